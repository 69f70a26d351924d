"""UserSplit over a users table of this test's own: real commands, preparer and audience service."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb

from commands.split_tests import Request
from domain.people import Actor
from entrypoints.backbone import Backbone, migrate
from entrypoints.clock import now
from events.facts import REGISTRY, SettingsGroupPreparationFailed, SettingsGroupPrepared, split_test_stream
from projections import current_settings
from projections.current_settings import CurrentSettings
from warehouse.duckdb_users import DuckDbUsers
from warehouse.generated_users import generate_duckdb

ANNA = Request(actor=Actor(name="anna"))
COUNTRIES = {"filter": "country_id", "operator": "in", "value": [50, 51]}
ADULTS = {"filter": "age", "operator": "gte", "value": 18}
VISITORS = {"filter": "platform", "operator": "eq", "value": "ios"}

CONDITION_SQL: Mapping[str, str] = {"country_id": "country_id IN (50, 51)", "age": "age >= 18", "platform": "true"}


def proposal(
    percents: Mapping[str, float], conditions: Sequence[Any] = (), *, from_day: int = 1, days: int = 30
) -> dict[str, Any]:
    """Return a settings document; the variant `control` is the control."""
    today = now().replace(hour=0, minute=0, second=0, microsecond=0)
    return {
        "starts_at": (today + timedelta(days=from_day)).isoformat(),
        "ends_at": (today + timedelta(days=from_day + days)).isoformat(),
        "conditions": list(conditions),
        "variants": [
            {"name": name, "percent": percent, "control": name == "control"} for name, percent in percents.items()
        ],
    }


class CountedHouse:
    """A backbone with users in DuckDB, and the same users for whoever asks in plain SQL."""

    def __init__(self, directory: Path, *, users: int = 20_000, catalog: Path | None = None) -> None:
        self.url = f"sqlite:///{directory / 'usersplit.db'}"
        migrate(self.url)
        self.connection = duckdb.connect(":memory:")
        database = DuckDbUsers(self.connection.cursor)
        generate_duckdb(database, "users", users=users, seed=5)
        self.backbone = Backbone(self.url, catalog_path=catalog, users=database)

    def close(self) -> None:
        self.backbone.close()
        self.connection.close()

    def propose(self, key: str, document: Mapping[str, Any]) -> None:
        commands = self.backbone.split_tests
        if not self.backbone.store.read_stream(split_test_stream(key)):
            commands.create(ANNA, key=key, name=key)
        commands.propose_settings(ANNA, key, document)

    def prepare(self, key: str, document: Mapping[str, Any], *, publish: bool = True) -> SettingsGroupPrepared:
        self.propose(key, document)
        assert self.backbone.preparer.prepare(key), self.failure(key)
        if publish and self.settings(key).status == "draft":
            self.backbone.split_tests.publish(ANNA, key)
        return [fact for fact in self.facts(key) if isinstance(fact, SettingsGroupPrepared)][-1]

    def facts(self, key: str) -> list[Any]:
        return [REGISTRY.decode(event.encoded) for event in self.backbone.store.read_stream(split_test_stream(key))]

    def failure(self, key: str) -> str:
        fact = self.facts(key)[-1]
        return fact.reason if isinstance(fact, SettingsGroupPreparationFailed) else ""

    def settings(self, key: str) -> CurrentSettings:
        with self.backbone.reading() as connection:
            found = current_settings.get(connection, key)
        assert found is not None
        return found

    def users(self, *conditions: str, split_groups: Sequence[int] | None = None) -> int:
        """Count in SQL that was written by hand: nothing of the product has a part in it."""
        where = [*conditions, *([] if split_groups is None else [f"split_group IN ({_listed(split_groups)})"])]
        sql = f"SELECT count(*) FROM users WHERE {' AND '.join(where or ['true'])}"  # noqa: S608 - a test's own words
        return int(self.connection.execute(sql).fetchall()[0][0])


def _listed(split_groups: Sequence[int]) -> str:
    return ", ".join(map(str, split_groups)) or "NULL"
