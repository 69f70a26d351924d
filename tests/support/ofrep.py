"""Config documents, contexts, and the answers that OFREP makes of them, without a server."""

import json
from collections.abc import Mapping
from typing import Any

from api.live_configs import LiveConfigs
from api.ofrep.answers import Answers
from api.ofrep.requests import SplitGroups
from projections.config import ConfigDocument
from usersplit._documents import place_of

DAY = 86_400_000_000_000


MAY = 1_777_593_600_000_000_000  # 2026-05-01T00:00:00Z


FILTERS = {
    "country_id": {"type": "integer", "scope": "user"},
    "is_new_user": {"type": "boolean", "scope": "user"},
    "is_test_user": {"type": "boolean", "scope": "user"},
    "platform": {"type": "string", "scope": "environment"},
    "app_version": {"type": "version", "scope": "environment"},
}


CONDITIONS: list[Any] = [
    [],
    [{"filter": "country_id", "operator": "in", "value": ["50", "51"]}],
    [
        {"filter": "is_test_user", "operator": "eq", "value": "Yes"},
        "OR",
        [
            {"filter": "country_id", "operator": "ne", "value": 1},
            "AND",
            {"filter": "is_new_user", "operator": "eq", "value": "1"},
        ],
    ],
    [{"filter": "platform", "operator": "starts_with", "value": "i"}],
    [{"filter": "app_version", "operator": "gte", "value": "1.10"}],
]


def document(key: str, *, position: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "format": 1,
        "kind": "split_test",
        "key": key,
        "position": position,
        "status": "running",
        "type": "web",
        "settings_group": 3,
        "starts_at": "2026-05-01T00:00:00Z",
        "ends_at": "2026-06-01T00:00:00Z",
        "conditions": [],
        "filters": FILTERS,
        "variants": [
            {"name": "control", "is_control": True, "split_groups": list(range(1, 1001))},
            {"name": "red", "is_control": False, "split_groups": list(range(1001, 2001))},
        ],
        "result": None,
        **fields,
    }


class StillConfigs(LiveConfigs):
    """Live configs whose documents are given."""

    def __init__(self) -> None:
        super().__init__(None)  # type: ignore[arg-type]  # there is no database to look into

    def put(self, *documents: Mapping[str, Any]) -> None:
        found = {
            place_of(each): ConfigDocument(key=place_of(each), position=each["position"], document=json.dumps(each))
            for each in documents
        }
        self._take(found)
        for changed in self._told:
            changed()


class Clock:
    def __init__(self) -> None:
        self.now_ns = MAY + DAY

    def __call__(self) -> int:
        return self.now_ns


def answers_of(
    *documents: Mapping[str, Any], clock: Clock | None = None, split_groups: SplitGroups = "given"
) -> tuple[Answers, StillConfigs]:
    live = StillConfigs()
    live.put(*documents)
    made = Answers(live, environment_name="production", split_groups=split_groups, now_ns=clock or Clock())
    live.tell(made.renew)
    return made, live


def flags(answers: Answers, context: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    _, body = answers.bulk(context)
    document = json.loads(body + b"}")
    return {each["key"]: each for each in document["flags"]}


def etag(answers: Answers, context: Mapping[str, Any]) -> bytes:
    return answers.bulk(context)[0]


UNIT = {"targetingKey": "u1", "split_group": 1500}


def group(key: str, *, position: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "format": 1,
        "kind": "user_group",
        "key": key,
        "position": position,
        "status": "active",
        "settings_group": 2,
        "conditions": CONDITIONS[1],
        "filters": FILTERS,
        **fields,
    }
