"""Pages of the list of split tests: what somebody may see of it, and wants to, the newest first."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    Table,
    and_,
    bindparam,
    func,
    or_,
    select,
)

from events.database import UtcDateTime
from projections.json_text import write_json
from projections.test_list import ListedSplitTest, columns, listed, live_table


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
    table = live_table(connection)
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
    lines = [listed(row) for row in found]
    last = lines[limit - 1] if len(lines) > limit else None
    return Page(rows=lines[:limit], total=total, next=Place(created_at=last.created_at, key=last.key) if last else None)


def visible_keys(connection: Connection, onlooker: Onlooker) -> frozenset[str]:
    """Return the keys of all tests that the onlooker may know of."""
    table = live_table(connection)
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


@lru_cache(maxsize=256)
def _page(table: Table, shape: _Shape) -> Select[Any]:
    # The first page counts what it goes through anyway; a later one does not go through all.
    total = func.count().over() if not shape.is_continued else _count(table, shape).scalar_subquery()
    query = select(*columns(table), total.label("total")).where(*_wheres(table, shape))
    if shape.is_continued:
        moment = bindparam("after_moment", type_=UtcDateTime())
        is_behind = and_(table.c.created_at == moment, table.c.key > bindparam("after_key"))
        query = query.where(or_(table.c.created_at < moment, is_behind))
    return query.order_by(table.c.created_at.desc(), table.c.key).limit(bindparam("limit", type_=Integer()))


@lru_cache(maxsize=256)
def _count(table: Table, shape: _Shape) -> Select[Any]:
    return select(func.count()).select_from(table).where(*_wheres(table, shape))
