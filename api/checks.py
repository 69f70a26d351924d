"""Who gets what, and why: for QA engineers, and for autotests. No check here logs a hit.

A check answers as a service would that has the newest config: QA overrides of its environment come first.
"""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Response
from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from api.checkers import CheckersHere
from api.configs import Live
from api.history import Moment, Position, resolve, seen_then
from api.identify import Reader
from api.parts import Here
from api.rendering import rendered
from api.sight import onlooker, seen_test, seen_user_group
from api.texts import AwareMoment, EnvironmentName, KeyInPath
from api.visits import AnswerDocument, VisitDocument, answer_document, nanoseconds
from events.facts import REGISTRY
from projections import list_pages
from projections.as_of import overrides_in_force
from projections.config import ConfigDocument
from usersplit import Checker, MemoryConfigs

router = APIRouter(prefix="/api/v1", tags=["checks"])

SOMEBODY: Final[dict[str, Any]] = {
    "user": {"id": 42, "split_group": 1207, "attributes": {"country_id": 50}},
    "environment_name": "devel",
}


class PastCheck(VisitDocument):
    """A visit, to a service in `environment_name`: its QA overrides hold."""

    model_config = ConfigDict(json_schema_extra={"examples": [SOMEBODY]})

    environment_name: EnvironmentName = "production"


class Check(PastCheck):
    """The same, checked as if it were another moment where `now` is given; the settings stay those in force."""

    now: AwareMoment | None = None


class ManyChecks(Check):
    """The same, checked in several tests; in all that you may see where no keys are given."""

    keys: Annotated[list[str], Field(max_length=1000)] | None = None


class Answers(TypedDict):
    """The answers, by key."""

    answers: list[AnswerDocument]


class MembershipDocument(TypedDict):
    """Whether somebody is in a user group, with the reason as a word and as a sentence."""

    key: str
    is_member: bool
    reason: str
    detail: str
    status: str | None
    settings_group: int
    position: int


@router.post("/tests/{key}/check", summary="Which variant somebody gets, and why", response_model=AnswerDocument)
def check(parts: Here, live: Live, checkers: CheckersHere, identity: Reader, key: KeyInPath, visit: Check) -> Response:
    """Answer as a service with today's config would."""
    with parts.reading() as connection:
        seen_test(connection, identity, key)
        is_current = live.is_current(connection)
    if not is_current:
        live.refresh()
    checker = checkers.of(visit.environment_name)
    if visit.now is not None:
        checker = checkers.at(visit.now, visit.environment_name, [key])
    return rendered(answer_document(checker.explain(key, visit.unit(), visit.way())))


@router.post("/tests/{key}/check-as-of", summary="Which variant somebody would have got then, and why")
def check_as_of(
    parts: Here, identity: Reader, key: KeyInPath, visit: PastCheck, position: Position = None, at: Moment = None
) -> AnswerDocument:
    """Answer with the settings, the overrides and the clock of that moment, or of that position of the log."""
    with parts.reading() as connection:
        seen_test(connection, identity, key)
    then, moment = resolve(parts, position, at)
    document = seen_then(parts, identity, key, then).document
    overrides = overrides_in_force(parts.store, REGISTRY, key=key, units=visit.unit_names(), position=then)
    checker = _checker([document, overrides], visit.environment_name, moment)
    return answer_document(checker.explain(key, visit.unit(), visit.way()))


@router.post(
    "/user-groups/{key}/check", summary="Whether somebody is in a user group", response_model=MembershipDocument
)
def check_membership(
    parts: Here, live: Live, checkers: CheckersHere, identity: Reader, key: KeyInPath, visit: VisitDocument
) -> Response:
    """Answer as a service with today's config would; servers know nothing of a Draft, so nobody is in it."""
    with parts.reading() as connection:
        seen_user_group(connection, identity, key)
        is_current = live.is_current(connection)
    if not is_current:
        live.refresh()
    answer = checkers.of("").explain_group(key, visit.unit(), visit.way())
    return rendered(
        MembershipDocument(
            key=key,
            is_member=answer.is_member,
            reason=answer.reason,
            detail=answer.detail,
            status=answer.status,
            settings_group=answer.settings_group,
            position=answer.position,
        )
    )


@router.post("/checks", summary="Which variants somebody gets of many tests, and why", response_model=Answers)
def check_many(parts: Here, live: Live, checkers: CheckersHere, identity: Reader, visit: ManyChecks) -> Response:
    """Answer for an autotest: all tests at once, or those named; one that you may not see is unknown."""
    with parts.reading() as connection:
        visible = list_pages.visible_keys(connection, onlooker(identity))
        is_current = live.is_current(connection)
    if not is_current:
        live.refresh()
    keys = sorted(visible if visit.keys is None else set(visit.keys))
    checker = checkers.of(visit.environment_name)
    if visit.now is not None:
        checker = checkers.at(visit.now, visit.environment_name, [key for key in keys if key in visible])
    unit, way = visit.unit(), visit.way()
    explained = ((checker if key in visible else _NOBODY_KNOWS).explain(key, unit, way) for key in keys)
    return rendered(Answers(answers=[answer_document(each) for each in explained]))


_NOBODY_KNOWS = Checker(MemoryConfigs())
"""For tests that the person may not know of: they look like no test at all."""


def _checker(documents: Iterable[ConfigDocument | None], environment_name: str, moment: datetime) -> Checker:
    configs = MemoryConfigs([json.loads(each.document) for each in documents if each is not None])
    return Checker(configs, environment_name=environment_name, now_ns=lambda: nanoseconds(moment))
