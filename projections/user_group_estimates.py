"""How many users each user group has, and how many of them are in tests: as counted last, and what waits to be counted.

A row for every user group that has conditions; one that is discarded has none. Numbers belong to the conditions in
force: with other conditions they are gone until these are counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import BigInteger, Column, Connection, Integer, MetaData, Row, Table, Text, select

from events.database import UtcDateTime
from events.store import RecordedFact
from events.user_group_estimate_facts import (
    SharedWithTest,
    UserGroupEstimateAsked,
    UserGroupEstimated,
    UserGroupEstimateFailed,
)
from events.user_group_facts import UserGroupConditionsChanged, UserGroupCreated, UserGroupDiscarded
from projections.projection import Projection, Tables
from projections.registry import live_tables
from projections.rows import KeyedRows, StoredRow

_NAME = "user_group_estimates"
_FACTS = (
    UserGroupCreated,
    UserGroupConditionsChanged,
    UserGroupDiscarded,
    UserGroupEstimateAsked,
    UserGroupEstimated,
    UserGroupEstimateFailed,
)

_template = Table(
    _NAME,
    MetaData(),
    Column("key", Text, primary_key=True),
    Column("settings_group", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    # NULL while these conditions were never counted.
    Column("users", BigInteger),
    Column("shared", Text, nullable=False),
    Column("assumed_filters", Text, nullable=False),
    Column("counted_at", UtcDateTime),
    Column("position", BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserGroupEstimate:
    """The estimate of one user group.

    Attributes:
        settings_group: the number of the conditions in force, which it is about.
        state: "waiting" to be counted (anew), "counted", or "failed" with `reason`.
        users: who met the conditions when they were counted last, None if they never were.
        shared: with tests that were not over then, the most users first.
        assumed_filters: filters of the visit that were taken to be met: with any of them the numbers are upper bounds.
        counted_at: when that was.
        position: of the last fact that changed anything here.
    """

    key: str
    settings_group: int
    state: Literal["waiting", "counted", "failed"]
    reason: str
    users: int | None
    shared: tuple[SharedWithTest, ...]
    assumed_filters: tuple[str, ...]
    counted_at: datetime | None
    position: int


def get(connection: Connection, key: str) -> UserGroupEstimate | None:
    """Return the estimate of the user group `key`, None if there is no such group, or it has no conditions."""
    table = live_tables(connection, PROJECTION)[_NAME]
    row = connection.execute(select(table).where(table.c.key == key)).one_or_none()
    return None if row is None else _estimate(row)


def of_all(connection: Connection) -> dict[str, UserGroupEstimate]:
    """Return the estimates of all user groups that have conditions, by key."""
    table = live_tables(connection, PROJECTION)[_NAME]
    return {row.key: _estimate(row) for row in connection.execute(select(table).order_by(table.c.key))}


def waiting(connection: Connection) -> list[str]:
    """Return the keys of the user groups that wait to be counted, the one that has waited longest first."""
    table = live_tables(connection, PROJECTION)[_NAME]
    query = select(table.c.key).where(table.c.state == "waiting").order_by(table.c.position)
    return list(connection.execute(query).scalars())


def _apply(connection: Connection, tables: Tables, facts: Sequence[RecordedFact]) -> None:
    facts = [recorded for recorded in facts if isinstance(recorded.fact, _FACTS)]
    rows = KeyedRows(connection, tables[_NAME], {recorded.fact.key for recorded in facts})
    for recorded in facts:
        fact = recorded.fact
        match fact:
            case UserGroupConditionsChanged():
                rows.put(_uncounted(fact, recorded.position))
            case UserGroupCreated() | UserGroupDiscarded():
                rows.remove(fact.key)
            case _:
                row = rows.get(fact.key)
                if row is not None and row["settings_group"] == fact.settings_group:
                    _change(row, fact, recorded)
    rows.write()


def _uncounted(fact: UserGroupConditionsChanged, position: int) -> StoredRow:
    return {
        "key": fact.key,
        "settings_group": fact.settings_group,
        "state": "waiting",
        "reason": "",
        "users": None,
        "shared": "[]",
        "assumed_filters": "[]",
        "counted_at": None,
        "position": position,
    }


def _change(row: StoredRow, fact: object, recorded: RecordedFact) -> None:
    row["position"] = recorded.position
    match fact:
        case UserGroupEstimateAsked():
            row.update(state="waiting", reason="")
        case UserGroupEstimateFailed():
            row.update(state="failed", reason=fact.reason)
        case UserGroupEstimated():
            row.update(
                state="counted",
                reason="",
                users=fact.users,
                shared=fact.shared,
                assumed_filters=fact.assumed_filters,
                counted_at=recorded.recorded_at,
            )


_shared_decoder = msgspec.json.Decoder(tuple[SharedWithTest, ...])
_names_decoder = msgspec.json.Decoder(tuple[str, ...])


def _estimate(row: Row[Any]) -> UserGroupEstimate:
    return UserGroupEstimate(
        key=row.key,
        settings_group=row.settings_group,
        state=row.state,
        reason=row.reason,
        users=row.users,
        shared=_shared_decoder.decode(row.shared),
        assumed_filters=_names_decoder.decode(row.assumed_filters),
        counted_at=row.counted_at,
        position=row.position,
    )


PROJECTION = Projection(name=_NAME, version=1, templates=(_template,), apply=_apply)
