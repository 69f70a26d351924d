"""When each split group was last let go: of groups that cost the same, those are drawn that have rested longest.

A group is let go when its test is over, or when a newer settings group of the test does without it. What a Draft drew
and nobody ever saw leaves no memory with users, and no trace here.
"""

from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import BigInteger, Boolean, Column, Connection, MetaData, Table, Text, select

from events.facts import (
    DraftDiscarded,
    SettingsGroupPrepared,
    SplitTestCreated,
    SplitTestFinished,
    SplitTestPublished,
    SplitTestRejected,
)
from events.store import RecordedFact
from projections.projection import Projection, Tables
from projections.registry import live_tables
from projections.rows import KeyedRows, StoredRow
from projections.split_test_facts import keys_of, of_split_tests

_NAME = "split_group_rest"
_HOLDERS = f"{_NAME}__holders"

_template = Table(
    _NAME,
    MetaData(),
    # The number of the split group, as text.
    Column("key", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
)
_holders = Table(
    _HOLDERS,
    MetaData(),
    Column("key", Text, primary_key=True),
    Column("was_published", Boolean, nullable=False),
    Column("split_groups", Text, nullable=False),
)


def last_used(connection: Connection) -> Mapping[int, int]:
    """Return the position of the event log at which each split group was last let go; one that never was is missing."""
    table = live_tables(connection, PROJECTION)[_NAME]
    return {int(row.key): row.position for row in connection.execute(select(table))}


def _apply(connection: Connection, tables: Tables, facts: Sequence[RecordedFact]) -> None:
    facts = of_split_tests(facts)
    holders = KeyedRows(connection, tables[_HOLDERS], keys_of(facts))
    released: dict[int, int] = {}
    for recorded in facts:
        fact = recorded.fact
        if isinstance(fact, SplitTestCreated):
            holders.put({"key": fact.key, "was_published": False, "split_groups": "[]"})
        elif (row := holders.get(fact.key)) is not None:
            released |= dict.fromkeys(_let_go(holders, row, fact), recorded.position)
    holders.write()
    rest = KeyedRows(connection, tables[_NAME], [str(number) for number in released])
    for number, position in released.items():
        rest.put({"key": str(number), "position": position})
    rest.write()


def _let_go(holders: KeyedRows, row: StoredRow, fact: object) -> Sequence[int]:
    """Change who holds what as the fact says, and return the groups that people have seen and that it sets free."""
    held = _groups_of(row)
    match fact:
        case SplitTestPublished():
            row["was_published"] = True
            return ()
        case SettingsGroupPrepared():
            holds = {number for variant in fact.variants for number in variant.split_groups}
            row["split_groups"] = sorted(holds)
            free: Sequence[int] = [number for number in held if number not in holds]
        case SplitTestFinished() | SplitTestRejected() | DraftDiscarded():
            holders.remove(row["key"])
            free = held
        case _:
            return ()
    return free if row["was_published"] else ()


def _groups_of(row: StoredRow) -> list[int]:
    kept = row["split_groups"]
    return _decoder.decode(kept) if isinstance(kept, str) else kept


_decoder = msgspec.json.Decoder(list[int])

PROJECTION = Projection(name=_NAME, version=1, templates=(_template, _holders), apply=_apply)
