"""The config document of every split test that was ever published: all that a check in a service needs.

The format is `docs/config-documents.md`. Documents are compact JSON with the fields in the order of that page, so the
same facts give the same bytes. A document changes, and takes the position of a fact, only when something besides the
position differs; a Draft that was never published has none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Boolean, Column, Connection, Integer, MetaData, Table, Text, select

from events.facts import (
    FilterUsed,
    PropertiesEdited,
    SettingsGroupPrepared,
    SettingsGroupProposed,
    SplitTestCreated,
    SplitTestFinished,
    SplitTestPublished,
)
from events.store import RecordedFact
from projections.json_text import write_json
from projections.projection import Projection, Tables
from projections.proposals import join_variants, proposal_of, read_proposal
from projections.registry import live_tables
from projections.rows import KeyedRows, StoredRow
from projections.split_test_facts import STATUS_AFTER, keys_of, new_type, of_split_tests

FORMAT = 1

_NAME = "config"
_FORGOTTEN_STATUSES = ("draft", "discarded")

_template = Table(
    _NAME,
    MetaData(),
    Column("key", Text, primary_key=True),
    Column("type", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("is_published", Boolean, nullable=False),
    Column("settings_group", Integer, nullable=False),
    Column("starts_at", Text, nullable=False),
    Column("ends_at", Text, nullable=False),
    Column("conditions", Text, nullable=False),
    Column("filters", Text, nullable=False),
    Column("variants", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("pending", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("document", Text),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigDocument:
    """A document as servers get it. `position` is that of the fact that last changed it, and is in the document too."""

    key: str
    position: int
    document: str


def get(connection: Connection, key: str) -> ConfigDocument | None:
    """Return the document of the split test `key`, None if it was never published."""
    return next(iter(get_many(connection, [key])), None)


def get_many(connection: Connection, keys: Sequence[str]) -> list[ConfigDocument]:
    """Return the documents of those of `keys` that have one, by key."""
    table = live_tables(connection, PROJECTION)[_NAME]
    return _documents(connection, table, table.c.key.in_(list(keys)))


def all_documents(connection: Connection) -> list[ConfigDocument]:
    """Return every document, those of discarded tests too, by key."""
    return _documents(connection, live_tables(connection, PROJECTION)[_NAME])


def _documents(connection: Connection, table: Table, *where: Any) -> list[ConfigDocument]:
    query = select(table.c.key, table.c.position, table.c.document).where(table.c.document.is_not(None), *where)
    found = [
        ConfigDocument(key=row.key, position=row.position, document=row.document) for row in connection.execute(query)
    ]
    return sorted(found, key=lambda document: document.key)


def _apply(connection: Connection, tables: Tables, facts: Sequence[RecordedFact]) -> None:
    facts = of_split_tests(facts)
    rows = KeyedRows(connection, tables[_NAME], keys_of(facts))
    for recorded in facts:
        fact = recorded.fact
        row = rows.get(fact.key)
        if isinstance(fact, SplitTestCreated):
            _create(rows, fact)
        elif row is not None and _change(row, fact):
            _render(row, recorded.position)
            if row["status"] == "discarded" and row["document"] is None:
                rows.remove(fact.key)
    rows.write()


def _create(rows: KeyedRows, fact: SplitTestCreated) -> None:
    # A key that was published and discarded has a document for ever: servers must be told to forget the test. It
    # stays as it is until the new test of that key is published.
    earlier = rows.get(fact.key)
    rows.put(
        {
            "key": fact.key,
            "type": fact.type,
            "status": "draft",
            "is_published": False,
            "settings_group": 0,
            "starts_at": "",
            "ends_at": "",
            "conditions": "[]",
            "filters": "{}",
            "variants": "[]",
            "result": "null",
            "pending": "",
            "position": earlier["position"] if earlier else 0,
            "document": earlier["document"] if earlier else None,
        }
    )


def _change(row: StoredRow, fact: object) -> bool:
    """Change the row as the fact says; True if the document may look different afterwards."""
    match fact:
        case SettingsGroupProposed():
            _check_json(fact.conditions)
            row["pending"] = write_json(proposal_of(fact))
            return False
        case SettingsGroupPrepared():
            return _make_current(row, fact)
        case PropertiesEdited():
            edited = new_type(fact)
            row["type"] = row["type"] if edited is None else edited
            return edited is not None
        case _ if (status := STATUS_AFTER.get(type(fact))) is not None:
            row["status"] = status
            if isinstance(fact, SplitTestPublished):
                row["is_published"] = True
            if isinstance(fact, SplitTestFinished):
                row["result"] = write_json({"variant": fact.resulting_variant, "scope": fact.scope})
            return True
        case _:
            return False


def _make_current(row: StoredRow, fact: SettingsGroupPrepared) -> bool:
    proposal = read_proposal(row["pending"]) if row["pending"] else None
    if proposal is None or proposal.settings_group != fact.settings_group:
        return False
    row.update(
        settings_group=fact.settings_group,
        starts_at=_moment(proposal.starts_at),
        ends_at=_moment(proposal.ends_at),
        conditions=proposal.conditions,
        filters=write_json(filters_document(proposal.filters)),
        variants=write_json(
            [
                {
                    "name": variant.name,
                    "is_control": variant.is_control,
                    "split_groups": variant.split_groups,
                }
                for variant in join_variants(proposal.variants, fact.variants)
            ]
        ),
        pending="",
    )
    return True


def _render(row: StoredRow, position: int) -> None:
    """Write the document anew at `position` if anything but the position is different in it."""
    is_known_to_servers = row["is_published"] or (row["status"] == "discarded" and row["document"] is not None)
    if is_known_to_servers and row["document"] != _rendered(row, row["position"]):
        row["position"] = position
        row["document"] = _rendered(row, position)


def _rendered(row: StoredRow, position: int) -> str:
    document: dict[str, object] = {
        "format": FORMAT,
        "kind": "split_test",
        "key": row["key"],
        "position": position,
        "status": row["status"],
    }
    if row["status"] not in _FORGOTTEN_STATUSES:
        document |= {
            "type": row["type"],
            "settings_group": row["settings_group"],
            "starts_at": row["starts_at"] or None,
            "ends_at": row["ends_at"] or None,
            # As they are: parsing and writing them again could change a number that the manager gave.
            "conditions": msgspec.Raw(row["conditions"]),
            "filters": msgspec.Raw(row["filters"]),
            "variants": msgspec.Raw(row["variants"]),
            "result": msgspec.Raw(row["result"]),
        }
    return write_json(document)


def _check_json(conditions: str) -> None:
    """Raise if the text is no JSON: it would make every later document of its test unreadable."""
    msgspec.json.decode(conditions)


def filters_document(filters: Sequence[FilterUsed]) -> dict[str, dict[str, str]]:
    """Return the catalog's word on filters as documents carry it, by name."""
    by_name = sorted(filters, key=lambda used: used.name)
    return {used.name: {"type": used.type, "scope": used.scope} for used in by_name}


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


PROJECTION = Projection(name=_NAME, version=2, templates=(_template,), apply=_apply)
