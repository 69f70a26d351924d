"""The list of split tests with what a manager wants to see of each at a glance. A discarded Draft is not in it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import (
    Column,
    Connection,
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
    CodeDeployed,
    DraftDiscarded,
    ManagersChanged,
    PropertiesEdited,
    SettingsGroupPrepared,
    SettingsGroupProposed,
    SplitTestCreated,
)
from events.store import RecordedFact
from projections.json_text import write_json
from projections.projection import Projection, Tables
from projections.registry import live_tables
from projections.rows import KeyedRows, StoredRow
from projections.split_test_facts import STATUS_AFTER, Status, keys_of, of_split_tests

_NAME = "test_list"
_PROPERTIES = frozenset({"name", "description", "type", "issue_key", "chat_room"})

_template = Table(
    _NAME,
    MetaData(),
    Column("key", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("issue_key", Text, nullable=False),
    Column("chat_room", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("managers", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("settings_group", Integer, nullable=False),
    Column("starts_at", UtcDateTime),
    Column("ends_at", UtcDateTime),
    Column("pending_group", Integer),
    Column("pending_starts_at", UtcDateTime),
    Column("pending_ends_at", UtcDateTime),
    Column("code_deployed_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("version", Integer, nullable=False),
    # Folded here, because databases disagree on the lower case of letters outside ASCII.
    Column("searched", Text, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedSplitTest:
    """One line of the list.

    Attributes:
        settings_group: the current one, 0 while none was prepared; then `starts_at` and `ends_at` are None.
        code_deployed_at: when the first production hit of the test In Dev occurred, None before it.
        created_at: when it was created, `updated_at`: when anything about it was recorded last.
        version: of its stream, what a command expects that was decided on this line.
    """

    key: str
    name: str
    description: str
    type: str
    issue_key: str
    chat_room: str
    author: str
    managers: tuple[str, ...]
    status: Status
    settings_group: int
    starts_at: datetime | None
    ends_at: datetime | None
    code_deployed_at: datetime | None
    created_at: datetime
    updated_at: datetime
    version: int


def live_table(connection: Connection) -> Table:
    """Return the table that holds the list now."""
    return live_tables(connection, PROJECTION)[_NAME]


def columns(table: Table) -> Iterator[Column[Any]]:
    """Yield the columns that `listed` reads."""
    return (table.c[field.name] for field in fields(ListedSplitTest))


@lru_cache(maxsize=64)
def _one(table: Table) -> Select[Any]:
    return select(*columns(table)).where(table.c.key == bindparam("key"))


def rows(connection: Connection, *, status: str | None = None, search: str = "") -> list[ListedSplitTest]:
    """Return the split tests, the newest first.

    Args:
        connection: to the database of the read models.
        status: only those in this status.
        search: only those with this text, in any case, in their key, name, description, issue key or people.
    """
    table = live_table(connection)
    query = select(*columns(table)).order_by(table.c.created_at.desc(), table.c.key)
    if status is not None:
        query = query.where(table.c.status == status)
    if search:
        query = query.where(table.c.searched.contains(search.casefold(), autoescape=True))
    return [listed(row) for row in connection.execute(query)]


def get(connection: Connection, key: str) -> ListedSplitTest | None:
    """Return the line of the split test `key`, None if there is no such test."""
    table = live_table(connection)
    row = connection.execute(_one(table), {"key": key}).one_or_none()
    return None if row is None else listed(row)


def _apply(connection: Connection, tables: Tables, facts: Sequence[RecordedFact]) -> None:
    facts = of_split_tests(facts)
    lines = KeyedRows(connection, tables[_NAME], keys_of(facts))
    for recorded in facts:
        fact = recorded.fact
        if isinstance(fact, SplitTestCreated):
            lines.put(_created(fact, recorded))
        elif isinstance(fact, DraftDiscarded):
            lines.remove(fact.key)
        elif (line := lines.get(fact.key)) is not None:
            _change(line, fact)
            line.update(updated_at=recorded.recorded_at, version=recorded.version)
    lines.write()


def _created(fact: SplitTestCreated, recorded: RecordedFact) -> StoredRow:
    line: StoredRow = {
        "key": fact.key,
        "name": fact.name,
        "description": fact.description,
        "type": fact.type,
        "issue_key": fact.issue_key,
        "chat_room": fact.chat_room,
        "author": fact.author,
        "managers": write_json(fact.managers),
        "status": "draft",
        "settings_group": 0,
        "starts_at": None,
        "ends_at": None,
        "pending_group": None,
        "pending_starts_at": None,
        "pending_ends_at": None,
        "code_deployed_at": None,
        "created_at": recorded.recorded_at,
        "updated_at": recorded.recorded_at,
        "version": recorded.version,
    }
    line["searched"] = _searched(line)
    return line


def _change(line: StoredRow, fact: object) -> None:
    match fact:
        case PropertiesEdited():
            line.update({change.name: change.after for change in fact.changes if change.name in _PROPERTIES})
            line["searched"] = _searched(line)
        case ManagersChanged():
            line["managers"] = write_json(fact.managers)
            line["searched"] = _searched(line)
        case SettingsGroupProposed():
            line.update(
                pending_group=fact.settings_group, pending_starts_at=fact.starts_at, pending_ends_at=fact.ends_at
            )
        case SettingsGroupPrepared() if fact.settings_group == line["pending_group"]:
            line.update(
                settings_group=fact.settings_group,
                starts_at=line["pending_starts_at"],
                ends_at=line["pending_ends_at"],
                pending_group=None,
                pending_starts_at=None,
                pending_ends_at=None,
            )
        case CodeDeployed():
            line["code_deployed_at"] = fact.occurred_at
        case _ if (status := STATUS_AFTER.get(type(fact))) is not None:
            line["status"] = status
        case _:
            pass


def _searched(line: StoredRow) -> str:
    people = " ".join(_managers_decoder.decode(line["managers"]))
    parts = (line["key"], line["name"], line["description"], line["issue_key"], line["author"], people)
    return "\n".join(parts).casefold()


_managers_decoder = msgspec.json.Decoder(tuple[str, ...])


def listed(row: Row[Any]) -> ListedSplitTest:
    """Return the line of the list that a row of these columns is."""
    return ListedSplitTest(
        key=row.key,
        name=row.name,
        description=row.description,
        type=row.type,
        issue_key=row.issue_key,
        chat_room=row.chat_room,
        author=row.author,
        managers=_managers_decoder.decode(row.managers),
        status=row.status,
        settings_group=row.settings_group,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        code_deployed_at=row.code_deployed_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
        version=row.version,
    )


PROJECTION = Projection(name=_NAME, version=1, templates=(_template,), apply=_apply)
