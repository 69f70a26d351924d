"""The changelog of every split test: who, when, what, before → after, in sentences a manager understands.

One entry a fact, and in it what is kept of that fact alone. What was before it is found in the entries before it, and
the sentence is made, when the changelog of a test is read: so a better word needs no rebuild, and a rebuild makes no
sentences that nobody reads. A key that is used again after its Draft was discarded begins a new life: the entries of
the earlier one stay in the table, and nobody is shown them, because a Draft is invisible to others.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    MetaData,
    Row,
    Select,
    Table,
    Text,
    bindparam,
    func,
    select,
)

from events.database import UtcDateTime
from events.facts import CodeDeployed, SettingsGroupPreparationFailed, SettingsGroupPrepared, SplitTestCreated
from events.store import RecordedFact
from projections.changelog_entries import KeptFact, PreparedSummary, keep, read_kept
from projections.changelog_sentences import Before, Change, Told, tell
from projections.projection import Projection, Tables
from projections.registry import live_tables
from projections.rows import insert_rows
from projections.settings_changes import ReadConditions
from projections.split_test_facts import of_split_tests

_NAME = "changelog"

_template = Table(
    _NAME,
    MetaData(),
    # On SQLite only a key of the type INTEGER is the row's own number; any other one costs a second tree.
    Column("position", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("key", Text, nullable=False, index=True),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("fact", Text, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangelogEntry:
    """One change: `actor` did at `at` what `sentence` says; `changes` are (what, before, after), "" for nothing.

    `is_decided` says that a person decided it: not that settings were prepared, nor that a hit came from production.
    """

    position: int
    at: datetime
    actor: str
    key: str
    sentence: str
    changes: tuple[Change, ...]
    is_decided: bool = True


def entries(
    connection: Connection,
    key: str,
    *,
    limit: int = 200,
    after: int = 0,
    visible: Container[str] | None = None,
    read: ReadConditions | None = None,
) -> list[ChangelogEntry]:
    """Return the changelog of the split test `key`, oldest first; empty for an unknown or discarded one.

    Args:
        connection: to the database of the read models.
        key: the test's key.
        limit: at most so many entries.
        after: only entries behind this position; the last one's position continues a list.
        visible: the keys of other tests that may be named, None: all. A test that was In Dev when it was counted as
            an overlap may be somebody's Draft by now.
        read: makes conditions readable, see `projections.settings_changes`.
    """
    table = live_tables(connection, PROJECTION)[_NAME]
    found: list[ChangelogEntry] = []
    before = Before()
    for row in connection.execute(_entries(table), {"key": key}):
        fact = read_kept(row.kind, row.fact)
        if row.position > after and len(found) < limit:
            found.append(_entry(row, tell(_without_hidden(fact, visible), before, read)))
        before = before.after(fact)
    return [] if before.status == "discarded" else found


def prepared_at(entries: Sequence[ChangelogEntry], settings_group: int) -> datetime | None:
    """Return when a settings group was prepared, and all that is told of users with it was counted; None: never."""
    prepared = ("current settings group", str(settings_group))
    return next(
        (entry.at for entry in reversed(entries) if any((what, after) == prepared for what, _, after in entry.changes)),
        None,
    )


@lru_cache(maxsize=64)
def _entries(table: Table) -> Select[Any]:
    of_it = table.c.key == bindparam("key")
    created = select(func.max(table.c.position)).where(of_it, table.c.kind == SplitTestCreated.__name__)
    since_then = table.c.position >= func.coalesce(created.scalar_subquery(), 0)
    return select(table).where(of_it, since_then).order_by(table.c.position)


def _without_hidden(fact: KeptFact, visible: Container[str] | None) -> KeptFact:
    if visible is None or not isinstance(fact, PreparedSummary):
        return fact
    overlaps = tuple(each if each.key in visible else replace(each, key="") for each in fact.overlaps)
    return msgspec.structs.replace(fact, overlaps=overlaps)


def _apply(connection: Connection, tables: Tables, facts: Sequence[RecordedFact]) -> None:
    rows = [
        (
            recorded.position,
            recorded.fact.key,
            recorded.recorded_at,
            recorded.actor,
            type(recorded.fact).__name__,
            keep(recorded.fact),
        )
        for recorded in of_split_tests(facts)
    ]
    insert_rows(connection, tables[_NAME], rows)


_FOUND_OUT = frozenset(kind.__name__ for kind in (SettingsGroupPrepared, SettingsGroupPreparationFailed, CodeDeployed))
"""The facts that nobody decided."""


def _entry(row: Row[Any], told: Told) -> ChangelogEntry:
    return ChangelogEntry(
        position=row.position,
        at=row.at,
        actor=row.actor,
        key=row.key,
        sentence=told.sentence,
        changes=told.changes,
        is_decided=row.kind not in _FOUND_OUT,
    )


PROJECTION = Projection(name=_NAME, version=3, templates=(_template,), apply=_apply)
