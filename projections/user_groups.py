"""User groups: the list, the conditions in force, the changelog, and the config document of every one ever active.

A discarded one is in no list and has no changelog; its document stays, for servers must be told to forget it.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, Connection, Integer, MetaData, Row, Table, Text, func, select

from events.database import UtcDateTime
from events.shared_facts import FilterUsed
from events.store import RecordedFact
from events.user_group_facts import (
    UserGroupConditionsChanged,
    UserGroupCreated,
    UserGroupEdited,
    UserGroupManagersChanged,
)
from projections.changelog import ChangelogEntry
from projections.config import FORMAT, ConfigDocument, filters_document
from projections.json_text import write_json
from projections.projection import Projection, Tables
from projections.registry import live_tables
from projections.rows import KeyedRows, StoredRow, insert_rows
from projections.settings_changes import ReadConditions
from projections.user_group_changes import FACTS, STATUS_AFTER, TOLD, GroupBefore, read_kept, tell, without_hidden

NAME_PREFIX = "~user_group."
"""What the names of their documents start with: no test's key holds a tilde."""

_NAME = "user_groups"
_CHANGES = "user_groups__changes"
_KNOWN_TO_SERVERS = ("active", "off")

_template = Table(
    _NAME,
    MetaData(),
    Column("key", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("managers", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("settings_group", Integer, nullable=False),
    Column("conditions", Text, nullable=False),
    Column("filters", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("version", Integer, nullable=False),
    # Of the document: of the fact that last changed it.
    Column("position", BigInteger, nullable=False),
    Column("document", Text),
)
_changes_template = Table(
    _CHANGES,
    MetaData(),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("key", Text, nullable=False, index=True),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("fact", Text, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedUserGroup:
    """A user group as lists and pages show it.

    Attributes:
        status: draft, active or off.
        settings_group: the number of the conditions in force, 0 while there are none.
        conditions: JSON text as it was given; `[]` is everybody.
        filters: the catalog's word on the filters in use, as it was then.
        version: of its stream, what a command expects that was decided on this line.
    """

    key: str
    name: str
    description: str
    author: str
    managers: tuple[str, ...]
    status: str
    settings_group: int
    conditions: str
    filters: tuple[FilterUsed, ...]
    created_at: datetime
    updated_at: datetime
    version: int


def rows(connection: Connection, *, status: str | None = None, search: str = "") -> list[ListedUserGroup]:
    """Return the user groups, the newest first.

    Args:
        connection: to the database of the read models.
        status: only those in this status.
        search: only those with this text, in any case, in their key, name, description or people.
    """
    table = live_tables(connection, PROJECTION)[_NAME]
    query = select(table).where(table.c.status != "discarded").order_by(table.c.created_at.desc(), table.c.key)
    if status is not None:
        query = query.where(table.c.status == status)
    found = [_listed(row) for row in connection.execute(query)]
    return [group for group in found if search.casefold() in _searched(group)]


def get(connection: Connection, key: str) -> ListedUserGroup | None:
    """Return the user group `key`, None if there is no such group."""
    table = live_tables(connection, PROJECTION)[_NAME]
    row = connection.execute(select(table).where(table.c.key == key, table.c.status != "discarded")).one_or_none()
    return None if row is None else _listed(row)


def changelog(
    connection: Connection,
    key: str,
    *,
    limit: int = 200,
    after: int = 0,
    visible: Container[str] | None = None,
    read: ReadConditions | None = None,
) -> list[ChangelogEntry]:
    """Return the changelog of the user group `key`, oldest first; empty for an unknown or discarded one.

    Args:
        connection: to the database of the read models.
        key: the user group's key.
        limit: at most so many entries.
        after: only entries behind this position; the last one's position continues a list.
        visible: the keys of tests that may be named, None: all. One that was In Dev when it was counted may have become
            somebody's Draft since.
        read: makes conditions readable, see `projections.settings_changes`.
    """
    table = live_tables(connection, PROJECTION)[_CHANGES]
    created = select(func.max(table.c.position)).where(table.c.key == key, table.c.kind == UserGroupCreated.__name__)
    query = (
        select(table)
        .where(table.c.key == key, table.c.position >= func.coalesce(created.scalar_subquery(), 0))
        .order_by(table.c.position)
    )
    found: list[ChangelogEntry] = []
    before = GroupBefore()
    for row in connection.execute(query):
        fact = read_kept(row.kind, row.fact)
        if row.position > after and len(found) < limit:
            told = tell(without_hidden(fact, visible), before, read)
            found.append(
                ChangelogEntry(
                    position=row.position,
                    at=row.at,
                    actor=row.actor,
                    key=row.key,
                    sentence=told.sentence,
                    changes=told.changes,
                )
            )
        before = before.after(fact)
    return [] if before.status == "discarded" else found


def documents(connection: Connection, keys: Sequence[str] | None = None) -> list[ConfigDocument]:
    """Return the documents of those of `keys` that have one, of all without `keys`; by key.

    Their `key` is the name that topic and files know them by, `~user_group.<key>`.
    """
    table = live_tables(connection, PROJECTION)[_NAME]
    query = select(table.c.key, table.c.position, table.c.document).where(table.c.document.is_not(None))
    if keys is not None:
        query = query.where(table.c.key.in_(list(keys)))
    found = [
        ConfigDocument(key=NAME_PREFIX + row.key, position=row.position, document=row.document)
        for row in connection.execute(query)
    ]
    return sorted(found, key=lambda document: document.key)


def _apply(connection: Connection, tables: Tables, facts: Sequence[RecordedFact]) -> None:
    told = [recorded for recorded in facts if type(recorded.fact) in TOLD]
    facts = [recorded for recorded in told if type(recorded.fact) in FACTS]
    groups = KeyedRows(connection, tables[_NAME], {recorded.fact.key for recorded in facts})
    for recorded in facts:
        fact = recorded.fact
        if isinstance(fact, UserGroupCreated):
            groups.put(_created(fact, recorded, groups.get(fact.key)))
        elif (row := groups.get(fact.key)) is not None:
            _change(row, fact)
            row.update(updated_at=recorded.recorded_at, version=recorded.version)
            _render(row, recorded.position)
            if row["status"] == "discarded" and row["document"] is None:
                groups.remove(fact.key)
    groups.write()
    kept = [
        (each.position, each.fact.key, each.recorded_at, each.actor, type(each.fact).__name__, write_json(each.fact))
        for each in told
    ]
    insert_rows(connection, tables[_CHANGES], kept)


def _created(fact: UserGroupCreated, recorded: RecordedFact, earlier: StoredRow | None) -> StoredRow:
    # What servers know of an earlier life of the key stays as it is until this one is activated.
    return {
        "key": fact.key,
        "name": fact.name,
        "description": fact.description,
        "author": fact.author,
        "managers": write_json(fact.managers),
        "status": "draft",
        "settings_group": 0,
        "conditions": "[]",
        "filters": "[]",
        "created_at": recorded.recorded_at,
        "updated_at": recorded.recorded_at,
        "version": recorded.version,
        "position": earlier["position"] if earlier else 0,
        "document": earlier["document"] if earlier else None,
    }


def _change(row: StoredRow, fact: object) -> None:
    match fact:
        case UserGroupEdited():
            row.update({each.name: each.after for each in fact.changes if each.name in {"name", "description"}})
        case UserGroupManagersChanged():
            row["managers"] = write_json(fact.managers)
        case UserGroupConditionsChanged():
            # It would make every later document of the group unreadable.
            msgspec.json.decode(fact.conditions)
            row.update(settings_group=fact.settings_group, conditions=fact.conditions, filters=write_json(fact.filters))
        case _:
            row["status"] = STATUS_AFTER.get(type(fact), row["status"])


def _render(row: StoredRow, position: int) -> None:
    """Write the document anew at `position` if anything but the position is different in it."""
    is_known_to_servers = row["status"] in _KNOWN_TO_SERVERS or (
        row["status"] == "discarded" and row["document"] is not None
    )
    if is_known_to_servers and row["document"] != _rendered(row, row["position"]):
        row["position"] = position
        row["document"] = _rendered(row, position)


def _rendered(row: StoredRow, position: int) -> str:
    document: dict[str, object] = {
        "format": FORMAT,
        "kind": "user_group",
        "key": row["key"],
        "position": position,
        "status": row["status"],
    }
    if row["status"] in _KNOWN_TO_SERVERS:
        document |= {
            "settings_group": row["settings_group"],
            "conditions": msgspec.Raw(row["conditions"]),
            "filters": filters_document(_filters_decoder.decode(row["filters"])),
        }
    return write_json(document)


_filters_decoder = msgspec.json.Decoder(tuple[FilterUsed, ...])
_managers_decoder = msgspec.json.Decoder(tuple[str, ...])


def _searched(group: ListedUserGroup) -> str:
    return "\n".join((group.key, group.name, group.description, group.author, *group.managers)).casefold()


def _listed(row: Row[Any]) -> ListedUserGroup:
    return ListedUserGroup(
        key=row.key,
        name=row.name,
        description=row.description,
        author=row.author,
        managers=_managers_decoder.decode(row.managers),
        status=row.status,
        settings_group=row.settings_group,
        conditions=row.conditions,
        filters=_filters_decoder.decode(row.filters),
        created_at=row.created_at,
        updated_at=row.updated_at,
        version=row.version,
    )


PROJECTION = Projection(name=_NAME, version=2, templates=(_template, _changes_template), apply=_apply)
