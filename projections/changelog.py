"""The changelog of every split test: who, when, what, before → after, in sentences a manager understands.

One entry a fact. A key that is used again after its Draft was discarded begins a new life: the entries of the earlier
one stay in the table, and nobody is shown them, because a Draft is invisible to others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Boolean, Column, Connection, Integer, MetaData, Row, Table, Text, insert, select

from events.database import UtcDateTime
from events.facts import DraftDiscarded, SettingsGroupPrepared, SettingsGroupProposed, SplitTestCreated
from events.store import RecordedFact
from projections.changelog_sentences import Before, Change, Told, tell, write_prepared
from projections.projection import Projection, Tables
from projections.proposals import proposal_of, write_json
from projections.registry import live_tables
from projections.rows import KeyedRows, StoredRow
from projections.split_test_facts import STATUS_AFTER, keys_of, of_split_tests

_NAME = "changelog"
_TESTS = "changelog__tests"

_metadata = MetaData()

_entries_template = Table(
    _NAME,
    _metadata,
    Column("key", Text, primary_key=True),
    Column("life", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("changes", Text, nullable=False),
)

# What the next entry of a test needs to know of the entries before it.
_tests_template = Table(
    _TESTS,
    _metadata,
    Column("key", Text, primary_key=True),
    Column("life", Integer, nullable=False),
    Column("is_discarded", Boolean, nullable=False),
    Column("status", Text, nullable=False),
    Column("proposed", Text, nullable=False),
    Column("prepared", Text, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangelogEntry:
    """One change: `actor` did at `at` what `sentence` says; `changes` are (what, before, after), "" for nothing."""

    position: int
    at: datetime
    actor: str
    key: str
    sentence: str
    changes: tuple[Change, ...]


def entries(connection: Connection, key: str, *, limit: int = 200, after: int = 0) -> list[ChangelogEntry]:
    """Return the changelog of the split test `key`, oldest first; empty for an unknown or discarded one.

    Args:
        connection: to the database of the read models.
        key: the test's key.
        limit: at most so many entries.
        after: only entries behind this position; the last one's position continues a list.
    """
    tables = live_tables(connection, PROJECTION)
    entry, test = tables[_NAME], tables[_TESTS]
    query = (
        select(entry)
        .join(test, (test.c.key == entry.c.key) & (test.c.life == entry.c.life))
        .where(entry.c.key == key, entry.c.position > after, test.c.is_discarded.is_(False))
        .order_by(entry.c.position)
        .limit(limit)
    )
    return [_entry(row) for row in connection.execute(query)]


def _apply(connection: Connection, tables: Tables, facts: Sequence[RecordedFact]) -> None:
    facts = of_split_tests(facts)
    tests = KeyedRows(connection, tables[_TESTS], keys_of(facts))
    written: list[StoredRow] = []
    for recorded in facts:
        fact = recorded.fact
        test = tests.get(fact.key) or tests.put(_test(fact.key))
        if isinstance(fact, SplitTestCreated):
            test = tests.put(_test(fact.key, life=test["life"] + 1))
        told = tell(fact, Before(status=test["status"], proposed=test["proposed"], prepared=test["prepared"]))
        written.append(_written(recorded, test["life"], told))
        _remember(test, fact)
    if written:
        connection.execute(insert(tables[_NAME]), written)
    tests.write()


def _test(key: str, *, life: int = 0) -> StoredRow:
    return {"key": key, "life": life, "is_discarded": False, "status": "", "proposed": "", "prepared": ""}


def _remember(test: StoredRow, fact: object) -> None:
    match fact:
        case SettingsGroupProposed():
            test["proposed"] = write_json(proposal_of(fact))
        case SettingsGroupPrepared():
            test["prepared"] = write_prepared(fact)
        case _ if (status := STATUS_AFTER.get(type(fact))) is not None:
            test["status"] = status
            test["is_discarded"] = isinstance(fact, DraftDiscarded)
        case _:
            pass


def _written(recorded: RecordedFact, life: int, told: Told) -> StoredRow:
    return {
        "key": recorded.fact.key,
        "life": life,
        "position": recorded.position,
        "at": recorded.recorded_at,
        "actor": recorded.actor,
        "sentence": told.sentence,
        "changes": write_json(told.changes),
    }


_changes_decoder = msgspec.json.Decoder(tuple[Change, ...])


def _entry(row: Row[Any]) -> ChangelogEntry:
    return ChangelogEntry(
        position=row.position,
        at=row.at,
        actor=row.actor,
        key=row.key,
        sentence=row.sentence,
        changes=_changes_decoder.decode(row.changes),
    )


PROJECTION = Projection(name=_NAME, version=1, templates=(_entries_template, _tests_template), apply=_apply)
