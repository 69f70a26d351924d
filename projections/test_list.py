"""The list of split tests with what a manager wants to see of each at a glance. A discarded Draft is not in it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Integer,
    MetaData,
    Row,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    func,
    or_,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Onlooker:
    """Who looks at the list. Drafts are shown to their authors and managers, and to who sees everything."""

    name: str
    sees_everything: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be shown.

    Attributes:
        statuses: only tests in one of these; empty is all.
        types: only tests of one of these; empty is all.
        search: only those with this text, in any case, in their key, name, description, issue key or people.
        is_mine: only those that the onlooker manages.
    """

    statuses: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    search: str = ""
    is_mine: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place in the list: behind the test of this moment and key."""

    created_at: datetime
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some lines of the list, how many there are on all pages, and where the next one begins (None: nowhere)."""

    rows: list[ListedSplitTest]
    total: int
    next: Place | None


def page(connection: Connection, onlooker: Onlooker, wanted: Wanted, *, limit: int, after: Place | None = None) -> Page:
    """Return a page of the list, the newest tests first.

    Args:
        connection: to the database of the read models.
        onlooker: who looks.
        wanted: which tests.
        limit: at most so many lines.
        after: where the page begins; what the page before gave as `next`.
    """
    table = live_tables(connection, PROJECTION)[_NAME]
    shape = _Shape(
        sees_everything=onlooker.sees_everything,
        has_statuses=bool(wanted.statuses),
        has_types=bool(wanted.types),
        has_search=bool(wanted.search),
        is_mine=wanted.is_mine,
        is_continued=after is not None,
    )
    asked = {
        **_asked(onlooker, wanted),
        "limit": limit + 1,
        "after_moment": after.created_at if after else None,
        "after_key": after.key if after else None,
    }
    found = connection.execute(_page(table, shape), asked).all()
    total = found[0].total if found else 0
    if after is not None and not found:
        total = connection.execute(_count(table, shape), asked).scalar_one()
    lines = [_listed(row) for row in found]
    last = lines[limit - 1] if len(lines) > limit else None
    return Page(rows=lines[:limit], total=total, next=Place(created_at=last.created_at, key=last.key) if last else None)


def visible_keys(connection: Connection, onlooker: Onlooker) -> frozenset[str]:
    """Return the keys of all tests that the onlooker may know of."""
    table = live_tables(connection, PROJECTION)[_NAME]
    shape = _Shape(sees_everything=onlooker.sees_everything)
    query = select(table.c.key).where(*_wheres(table, shape))
    return frozenset(connection.execute(query, _asked(onlooker, Wanted())).scalars())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """What a question about a page is made of. Those of one shape are one statement, made once."""

    sees_everything: bool
    has_statuses: bool = False
    has_types: bool = False
    has_search: bool = False
    is_mine: bool = False
    is_continued: bool = False


def _asked(onlooker: Onlooker, wanted: Wanted) -> dict[str, Any]:
    """Return the values of what `_wheres` leaves open."""
    # In the JSON list of managers a name stands between quotes, and a quote within a name is escaped. Only a name with
    # a comma could be found across two others; accounts have no such names, and actors of that kind manage nothing.
    quoted = write_json(onlooker.name) if "," not in onlooker.name else "\n"
    return {
        "name": onlooker.name,
        "manager": _containing(quoted),
        "statuses": list(wanted.statuses),
        "types": list(wanted.types),
        "search": _containing(wanted.search.casefold()),
    }


def _containing(text: str) -> str:
    """Return the pattern, escaped by `/`, of texts that contain `text`."""
    return "%" + text.replace("/", "//").replace("%", "/%").replace("_", "/_") + "%"


def _wheres(table: Table, shape: _Shape) -> Iterator[ColumnElement[bool]]:
    manages = table.c.managers.like(bindparam("manager"), escape="/")
    if not shape.sees_everything:
        yield or_(table.c.status != "draft", table.c.author == bindparam("name"), manages)
    if shape.is_mine:
        yield manages
    if shape.has_statuses:
        yield table.c.status.in_(bindparam("statuses", expanding=True))
    if shape.has_types:
        yield table.c.type.in_(bindparam("types", expanding=True))
    if shape.has_search:
        yield table.c.searched.like(bindparam("search"), escape="/")


def _columns(table: Table) -> Iterator[Column[Any]]:
    return (table.c[field.name] for field in fields(ListedSplitTest))


@lru_cache(maxsize=256)
def _page(table: Table, shape: _Shape) -> Select[Any]:
    # The first page counts what it goes through anyway; a later one does not go through all.
    total = func.count().over() if not shape.is_continued else _count(table, shape).scalar_subquery()
    query = select(*_columns(table), total.label("total")).where(*_wheres(table, shape))
    if shape.is_continued:
        moment = bindparam("after_moment", type_=UtcDateTime())
        is_behind = and_(table.c.created_at == moment, table.c.key > bindparam("after_key"))
        query = query.where(or_(table.c.created_at < moment, is_behind))
    return query.order_by(table.c.created_at.desc(), table.c.key).limit(bindparam("limit", type_=Integer()))


@lru_cache(maxsize=256)
def _count(table: Table, shape: _Shape) -> Select[Any]:
    return select(func.count()).select_from(table).where(*_wheres(table, shape))


@lru_cache(maxsize=64)
def _one(table: Table) -> Select[Any]:
    return select(*_columns(table)).where(table.c.key == bindparam("key"))


def rows(connection: Connection, *, status: str | None = None, search: str = "") -> list[ListedSplitTest]:
    """Return the split tests, the newest first.

    Args:
        connection: to the database of the read models.
        status: only those in this status.
        search: only those with this text, in any case, in their key, name, description, issue key or people.
    """
    table = live_tables(connection, PROJECTION)[_NAME]
    query = select(*_columns(table)).order_by(table.c.created_at.desc(), table.c.key)
    if status is not None:
        query = query.where(table.c.status == status)
    if search:
        query = query.where(table.c.searched.contains(search.casefold(), autoescape=True))
    return [_listed(row) for row in connection.execute(query)]


def get(connection: Connection, key: str) -> ListedSplitTest | None:
    """Return the line of the split test `key`, None if there is no such test."""
    table = live_tables(connection, PROJECTION)[_NAME]
    row = connection.execute(_one(table), {"key": key}).one_or_none()
    return None if row is None else _listed(row)


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


def _listed(row: Row[Any]) -> ListedSplitTest:
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
