"""The settings group in force of every split test, and the one that waits to be prepared.

A newer proposal takes the place of an older one that waits; a settings group that was prepared takes the place of the
current one. A discarded Draft has no row.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    Integer,
    MetaData,
    Row,
    Select,
    Table,
    Text,
    bindparam,
    select,
)

from events.database import UtcDateTime
from events.facts import (
    DraftDiscarded,
    FilterUsed,
    Overlap,
    PropertiesEdited,
    SettingsGroupPreparationFailed,
    SettingsGroupPreparationRetried,
    SettingsGroupPrepared,
    SettingsGroupProposed,
    SplitTestCreated,
)
from events.store import RecordedFact
from projections.projection import Projection, Tables
from projections.proposals import CurrentVariant, Proposal, join_variants, proposal_of, read_proposal
from projections.registry import live_tables
from projections.rows import KeyedRows, StoredRow
from projections.split_test_facts import STATUS_AFTER, Status, keys_of, new_type, of_split_tests

_NAME = "current_settings"
_OPEN_STATUSES = ("draft", "in_dev", "running", "paused")

_template = Table(
    _NAME,
    MetaData(),
    Column("key", Text, primary_key=True),
    Column("type", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("settings_group", Integer, nullable=False),
    Column("starts_at", UtcDateTime),
    Column("ends_at", UtcDateTime),
    Column("conditions", Text, nullable=False),
    Column("filters", Text, nullable=False),
    Column("variants", Text, nullable=False),
    # As text, because a seed may have more bits than a database's integers.
    Column("seed", Text, nullable=False),
    Column("overlaps", Text, nullable=False),
    Column("assumed_filters", Text, nullable=False),
    Column("base_rate", Float),
    Column("pending_group", Integer),
    Column("pending_state", Text, nullable=False),
    Column("pending_reason", Text, nullable=False),
    Column("pending", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentSettings:
    """The settings group in force of one split test, and what waits behind it.

    Attributes:
        settings_group: its number, 0 while none was prepared; then the dates are None, and the lists empty.
        starts_at: first moment of the test, included.
        ends_at: end of the test, excluded.
        conditions: JSON text as the manager gave it; `[]` is everybody.
        seed: of the draw of its split groups.
        overlaps: with other tests, as counted when it was prepared.
        assumed_filters: filters of the visit that were taken to be met: with any of them users are upper bounds.
        base_rate: for which the variants' smallest effects hold, None where nobody counted users.
        pending_group: the newest proposal that is not prepared, None if there is none.
        pending_state: "proposed" while it waits, "failed" when it could not be prepared, with `pending_reason`.
        position: of the last fact that changed anything here.
    """

    key: str
    type: str
    status: Status
    settings_group: int
    starts_at: datetime | None
    ends_at: datetime | None
    conditions: str
    filters: tuple[FilterUsed, ...]
    variants: tuple[CurrentVariant, ...]
    seed: int
    overlaps: tuple[Overlap, ...]
    assumed_filters: tuple[str, ...] = ()
    base_rate: float | None = None
    pending_group: int | None
    pending_state: Literal["", "proposed", "failed"]
    pending_reason: str
    position: int

    @property
    def users(self) -> int | None:
        """Users in all variants together, None where nobody counted."""
        counted = [variant.users for variant in self.variants if variant.users is not None]
        return sum(counted) if counted else None

    def without_hidden(self, visible: Container[str]) -> "CurrentSettings":
        """Return the same without the names of overlapping tests that are not `visible`: others' Drafts since."""
        seen = (each if each.key in visible else replace(each, key="", by_variant=()) for each in self.overlaps)
        return replace(self, overlaps=tuple(seen))


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingSettings:
    """A settings group that waits to be prepared."""

    key: str
    settings_group: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTest:
    """Who may take part in a test that is not over, and when: the settings in force without what was drawn."""

    key: str
    type: str
    status: Status
    starts_at: datetime
    ends_at: datetime
    conditions: str
    filters: tuple[FilterUsed, ...]

    def meets(self, starts_at: datetime | None, ends_at: datetime | None) -> bool:
        """Return whether its dates meet [starts_at, ends_at); None is open on that side."""
        return (ends_at is None or self.starts_at < ends_at) and (starts_at is None or self.ends_at > starts_at)


def get(connection: Connection, key: str) -> CurrentSettings | None:
    """Return the settings of the split test `key`, None if there is no such test."""
    table = live_tables(connection, PROJECTION)[_NAME]
    row = connection.execute(_one(table), {"key": key}).one_or_none()
    return None if row is None else _settings(row)


@lru_cache(maxsize=64)
def _one(table: Table) -> Select[Any]:
    return select(table).where(table.c.key == bindparam("key"))


def variants_of_open_tests(connection: Connection) -> dict[str, tuple[str, ...]]:
    """Return the names of the variants in force of every test that is not over, none where it has no settings yet."""
    table = live_tables(connection, PROJECTION)[_NAME]
    query = select(table.c.key, table.c.variants).where(table.c.status.in_(_OPEN_STATUSES))
    return {
        row.key: tuple(variant.name for variant in _variants_decoder.decode(row.variants))
        for row in connection.execute(query)
    }


def overlapping_by_dates(
    connection: Connection, *, key: str, starts_at: datetime, ends_at: datetime
) -> list[CurrentSettings]:
    """Return the tests other than `key` that are not over and whose dates meet [starts_at, ends_at), by key."""
    table = live_tables(connection, PROJECTION)[_NAME]
    query = select(table).where(
        table.c.key != key,
        table.c.settings_group > 0,
        table.c.status.in_(_OPEN_STATUSES),
        table.c.starts_at < ends_at,
        table.c.ends_at > starts_at,
    )
    return sorted((_settings(row) for row in connection.execute(query)), key=lambda settings: settings.key)


def open_tests(connection: Connection) -> list[OpenTest]:
    """Return the tests that are not over and have settings in force, by key."""
    table = live_tables(connection, PROJECTION)[_NAME]
    columns = (getattr(table.c, field.name) for field in fields(OpenTest))
    query = select(*columns).where(table.c.settings_group > 0, table.c.status.in_(_OPEN_STATUSES))
    found = (
        OpenTest(**{**row._mapping, "filters": _filters_decoder.decode(row.filters)})  # noqa: SLF001 - SQLAlchemy's public name
        for row in connection.execute(query)
    )
    return sorted(found, key=lambda test: test.key)


def pending(connection: Connection) -> list[PendingSettings]:
    """Return the settings groups that wait to be prepared, the one that has waited longest first."""
    table = live_tables(connection, PROJECTION)[_NAME]
    query = (
        select(table.c.key, table.c.pending_group)
        .where(table.c.pending_state == "proposed", table.c.status.in_(_OPEN_STATUSES))
        .order_by(table.c.position)
    )
    return [PendingSettings(key=row.key, settings_group=row.pending_group) for row in connection.execute(query)]


def pending_proposal(connection: Connection, key: str) -> Proposal | None:
    """Return the newest proposal of the split test `key` that is not prepared, None if there is none."""
    table = live_tables(connection, PROJECTION)[_NAME]
    query = select(table.c.pending).where(table.c.key == key, table.c.pending_group.is_not(None))
    text = connection.execute(query).scalar_one_or_none()
    return read_proposal(text) if text else None


def unprepared(connection: Connection) -> list[CurrentSettings]:
    """Return the settings of tests with a settings group that waits or whose preparation failed, by key."""
    table = live_tables(connection, PROJECTION)[_NAME]
    query = select(table).where(table.c.pending_group.is_not(None), table.c.status.in_(_OPEN_STATUSES))
    return sorted((_settings(row) for row in connection.execute(query)), key=lambda settings: settings.key)


def are_counted(connection: Connection) -> bool:
    """Say whether users were counted for any settings in force of a test that is not over."""
    table = live_tables(connection, PROJECTION)[_NAME]
    query = select(table.c.key).where(table.c.base_rate.is_not(None), table.c.status.in_(_OPEN_STATUSES)).limit(1)
    return connection.execute(query).first() is not None


def _apply(connection: Connection, tables: Tables, facts: Sequence[RecordedFact]) -> None:
    facts = of_split_tests(facts)
    rows = KeyedRows(connection, tables[_NAME], keys_of(facts))
    for recorded in facts:
        fact = recorded.fact
        if isinstance(fact, SplitTestCreated):
            rows.put(_created(fact, recorded.position))
        elif isinstance(fact, DraftDiscarded):
            rows.remove(fact.key)
        elif (row := rows.get(fact.key)) is not None and _change(row, fact):
            row["position"] = recorded.position
    rows.write()


def _created(fact: SplitTestCreated, position: int) -> StoredRow:
    return {
        "key": fact.key,
        "type": fact.type,
        "status": "draft",
        "settings_group": 0,
        "starts_at": None,
        "ends_at": None,
        "conditions": "[]",
        "filters": "[]",
        "variants": "[]",
        "seed": "0",
        "overlaps": "[]",
        "assumed_filters": "[]",
        "base_rate": None,
        **_NOTHING_PENDING,
        "position": position,
    }


_NOTHING_PENDING = {"pending_group": None, "pending_state": "", "pending_reason": "", "pending": ""}


def _change(row: StoredRow, fact: object) -> bool:
    """Change the row as the fact says; False if it says nothing about it."""
    # Most facts change the status and nothing else, and a look into a table is quicker than a row of cases.
    if (status := STATUS_AFTER.get(type(fact))) is not None:
        row["status"] = status
        return True
    match fact:
        case SettingsGroupProposed():
            row.update(
                pending_group=fact.settings_group,
                pending_state="proposed",
                pending_reason="",
                pending=proposal_of(fact),
            )
        case SettingsGroupPrepared() if fact.settings_group == row["pending_group"]:
            row.update(_current(row, fact))
        case SettingsGroupPreparationFailed() if fact.settings_group == row["pending_group"]:
            row.update(pending_state="failed", pending_reason=fact.reason)
        case SettingsGroupPreparationRetried() if fact.settings_group == row["pending_group"]:
            row.update(pending_state="proposed", pending_reason="")
        case PropertiesEdited() if (edited := new_type(fact)) is not None:
            row["type"] = edited
        case _:
            return False
    return True


def _current(row: StoredRow, fact: SettingsGroupPrepared) -> StoredRow:
    proposal = row["pending"] if isinstance(row["pending"], Proposal) else read_proposal(row["pending"])
    return {
        "settings_group": fact.settings_group,
        "starts_at": proposal.starts_at,
        "ends_at": proposal.ends_at,
        "conditions": proposal.conditions,
        "filters": proposal.filters,
        "variants": join_variants(proposal.variants, fact.variants),
        "seed": str(fact.seed),
        "overlaps": fact.overlaps,
        "assumed_filters": fact.assumed_filters,
        "base_rate": fact.base_rate,
        **_NOTHING_PENDING,
    }


_filters_decoder = msgspec.json.Decoder(tuple[FilterUsed, ...])
_variants_decoder = msgspec.json.Decoder(tuple[CurrentVariant, ...])
_names_decoder = msgspec.json.Decoder(tuple[str, ...])
_overlaps_decoder = msgspec.json.Decoder(tuple[Overlap, ...])


def _settings(row: Row[Any]) -> CurrentSettings:
    return CurrentSettings(
        key=row.key,
        type=row.type,
        status=row.status,
        settings_group=row.settings_group,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        conditions=row.conditions,
        filters=_filters_decoder.decode(row.filters),
        variants=_variants_decoder.decode(row.variants),
        seed=int(row.seed),
        overlaps=_overlaps_decoder.decode(row.overlaps),
        assumed_filters=_names_decoder.decode(row.assumed_filters),
        base_rate=row.base_rate,
        pending_group=row.pending_group,
        pending_state=row.pending_state,
        pending_reason=row.pending_reason,
        position=row.position,
    )


PROJECTION = Projection(name=_NAME, version=3, templates=(_template,), apply=_apply)
