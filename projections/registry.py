"""Which generations of which projections exist, where each stands, and which one serves readers.

At most one generation of a projection serves: the `live` one, or the `paused` one while it waits for an operator.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, cast
from zlib import crc32

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Integer,
    MetaData,
    Row,
    Table,
    Text,
    delete,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.schema import CreateTable

from events.errors import VersionConflict
from projections.errors import NoLiveGeneration, NothingToPause, NothingToResume, ProjectionOutdated
from projections.projection import Projection, Tables

State: TypeAlias = Literal["live", "building", "paused", "retired"]

metadata = MetaData()

projections_table = Table(
    "projections",
    metadata,
    Column("name", Text, primary_key=True),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
)

_SERVING = ("live", "paused")
_READERS_LOCK_CLASS = 0x75737274
"""Any constant of ours: the first half of PostgreSQL's advisory lock keys, the second half being the projection."""

_STATE_VERSIONS = 1_000_000_000
"""So many numbers are there for states: as many as an ETag has digits for."""

_REMEMBERED = "usersplit_serving"
"""The execution option of a connection that knows already which generations serve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One set of a projection's tables: who made it, the last position in it, and what it is for."""

    name: str
    generation: int
    version: int
    position: int
    state: State
    reason: str = ""

    @property
    def serves(self) -> bool:
        """Say whether readers are given this generation."""
        return self.state in _SERVING

    def at(self, position: int) -> "Generation":
        """Return this generation as it is after being moved to `position`."""
        return replace(self, position=position)


def generations(connection: Connection, name: str | None = None) -> list[Generation]:
    """Return all generations, or those of one projection, in the order of their names and numbers."""
    query = select(projections_table).order_by(projections_table.c.name, projections_table.c.generation)
    if name is not None:
        query = query.where(projections_table.c.name == name)
    return [_generation(row) for row in connection.execute(query)]


def serving(connection: Connection, name: str) -> Generation | None:
    """Return the generation that readers are given, None before the first one exists."""
    query = select(projections_table).where(projections_table.c.name == name, projections_table.c.state.in_(_SERVING))
    row = connection.execute(query).one_or_none()
    return None if row is None else _generation(row)


def live_tables(connection: Connection, projection: Projection) -> Tables:
    """Return the tables that readers use now. They stay until the connection's transaction ends.

    Raises:
        NoLiveGeneration: the projector never ran.
        ProjectionOutdated: the rows were made by another version of the code.
    """
    remembered: Mapping[str, Generation] | None = connection.get_execution_options().get(_REMEMBERED)
    if remembered is not None:
        found = remembered.get(projection.name)
    else:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(lock_for_readers([projection]))
        found = serving(connection, projection.name)
    if found is None:
        raise NoLiveGeneration(projection.name)
    if found.version != projection.version:
        raise ProjectionOutdated(projection.name, stored=found.version, code=projection.version)
    return projection.tables(found.generation)


def lock_for_readers(projections: Sequence[Projection]) -> str:
    """Return the statement that keeps the serving tables of `projections` until its transaction ends (PostgreSQL).

    A rebuild drops the old tables only when no reader holds this lock: without it they could go between two statements
    of a reader. SQLite needs none: a reader's first statement fixes what it sees, tables included.
    """
    keys = sorted(_lock_key(projection.name) for projection in projections)
    locks = ", ".join(f"pg_advisory_xact_lock_shared({_READERS_LOCK_CLASS}, {key})" for key in keys)
    return f"SELECT {locks}"


def remember_serving(connection: Connection, generations: Mapping[str, Generation]) -> None:
    """Let `live_tables` know what serves, for as long as the connection is in use; `lock_for_readers` comes before."""
    connection.execution_options(**{_REMEMBERED: generations})


def lock(connection: Connection) -> None:
    """Let nobody else create, switch or move a generation before this transaction ends.

    SQLite's write transactions are alone from their first statement on.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE projections IN SHARE ROW EXCLUSIVE MODE"))


def create(connection: Connection, projection: Projection, *, number: int, state: State) -> Generation:
    """Create the tables of a new generation and its row, at position 0. Call `lock` first.

    The tables of one that is being built have no indexes until `create_indexes`: it takes less to sort a whole table
    once than to keep it sorted while it grows.
    """
    created = Generation(name=projection.name, generation=number, version=projection.version, position=0, state=state)
    connection.execute(
        insert(projections_table),
        {
            "name": created.name,
            "generation": created.generation,
            "version": created.version,
            "position": created.position,
            "state": created.state,
        },
    )
    for table in projection.tables(number).values():
        connection.execute(CreateTable(table))
        if connection.dialect.name == "postgresql":
            _keep_texts_as_they_are(connection, table)
    if state != "building":
        create_indexes(connection, projection, created)
    return created


def _keep_texts_as_they_are(connection: Connection, table: Table) -> None:
    """Have PostgreSQL try to compress no text, but for those in an index, which takes a long one only compressed.

    The longest ones hold lists of split groups, from which it saves an eighth; trying took two fifths of its time in a
    rebuild (*measured*), and every reader waits for the way back.
    """
    changes = [
        f'ALTER "{column.name}" SET STORAGE EXTERNAL'
        for column in table.columns
        if isinstance(column.type, Text) and not (column.primary_key or column.index)
    ]
    if changes:
        connection.exec_driver_sql(f'ALTER TABLE "{table.name}" {", ".join(changes)}')


def create_indexes(connection: Connection, projection: Projection, generation: Generation) -> None:
    """Give the tables of a generation their indexes."""
    for table in projection.tables(generation.generation).values():
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            index.create(connection)


def move(connection: Connection, generation: Generation, *, to: int) -> bool:
    """Move the position by compare-and-set; False if the generation is not as it was read.

    Done before the rows are written: from here to the end of the transaction nobody else writes them.
    """
    moved = connection.execute(update(projections_table).where(*_is_still(generation)).values(position=to))
    return moved.rowcount == 1


def pause_where_it_stands(connection: Connection, generation: Generation, *, reason: str) -> bool:
    """Pause a live generation that cannot go on, by compare-and-set; False if it is not as it was read.

    What failed was rolled back with all its locks. Meanwhile a rebuild may have retired the generation, and paused it
    would serve beside the new one; or another projector may have gone further.
    """
    paused = update(projections_table).where(*_is_still(generation)).values(state="paused", reason=reason)
    return connection.execute(paused).rowcount == 1


def set_state(connection: Connection, generation: Generation, state: State, *, reason: str = "") -> None:
    """Change what the generation is for."""
    connection.execute(update(projections_table).where(*_is(generation)).values(state=state, reason=reason))


def pause(connection: Connection, name: str, *, reason: str) -> None:
    """Keep a live projection where it stands; readers go on to be given its rows.

    Raises:
        NothingToPause: it is not live.
    """
    if not _change_state(connection, name, "live", "paused", reason=reason):
        raise NothingToPause(name, _state_of(connection, name))


def resume(connection: Connection, name: str) -> None:
    """Let a paused projection go on from where it stands.

    For a cause that is gone, such as a fixed program. Rows that went wrong earlier need a rebuild.

    Raises:
        NothingToResume: it is not paused.
    """
    if not _change_state(connection, name, "paused", "live"):
        raise NothingToResume(name, _state_of(connection, name))


def state_version(connection: Connection, name: str) -> int:
    """Return a number for the state of a projection.

    It is another one once a generation was begun, switched to, paused or resumed, and the same while it only moves on.
    """
    known = (each for each in generations(connection, name) if each.state != "retired")
    states = [(each.generation, each.version, each.state, each.reason) for each in known]
    return crc32(json.dumps(states).encode()) % _STATE_VERSIONS


def require_state(connection: Connection, name: str, expected_version: int | None) -> None:
    """Return if a projection is in the state that somebody saw (None: whatever it is); it stays so until the commit.

    Raises:
        VersionConflict: it is in another one.
    """
    if expected_version is None:
        return
    lock(connection)
    version = state_version(connection, name)
    if version != expected_version:
        raise VersionConflict(f"projection {name}", expected_version, version)


def _change_state(connection: Connection, name: str, before: State, after: State, *, reason: str = "") -> bool:
    changed = connection.execute(
        update(projections_table)
        .where(projections_table.c.name == name, projections_table.c.state == before)
        .values(state=after, reason=reason)
    )
    return changed.rowcount == 1


def _state_of(connection: Connection, name: str) -> str:
    found = serving(connection, name)
    return found.state if found else "not built yet"


def wait_for_readers(connection: Connection, name: str, *, milliseconds: int) -> None:
    """Wait until no transaction that called `live_tables` for this projection is open (PostgreSQL).

    Raises:
        sqlalchemy.exc.OperationalError: one is still open after the time given.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SET LOCAL lock_timeout = {milliseconds:d}"))
        connection.execute(select(func.pg_advisory_xact_lock(_READERS_LOCK_CLASS, _lock_key(name))))


def drop(connection: Connection, projection: Projection, generation: Generation) -> None:
    """Drop the generation's tables, also those that today's code no longer has, and forget its row."""
    connection.execute(delete(projections_table).where(*_is(generation)))
    quote = connection.dialect.identifier_preparer.quote
    for name in inspect(connection).get_table_names():
        if projection.owns(name, generation.generation):
            connection.execute(text(f"DROP TABLE {quote(name)}"))


def _is_still(generation: Generation) -> Sequence[ColumnElement[bool]]:
    return (
        *_is(generation),
        projections_table.c.state == generation.state,
        projections_table.c.version == generation.version,
        projections_table.c.position == generation.position,
    )


def _is(generation: Generation) -> Sequence[ColumnElement[bool]]:
    return (
        projections_table.c.name == generation.name,
        projections_table.c.generation == generation.generation,
    )


def _lock_key(name: str) -> int:
    return crc32(name.encode()) - 2**31


def _generation(row: Row[Any]) -> Generation:
    return Generation(
        name=row.name,
        generation=row.generation,
        version=row.version,
        position=row.position,
        state=cast("State", row.state),
        reason=row.reason,
    )
