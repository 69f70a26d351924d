"""The event store on SQLAlchemy: SQLite and PostgreSQL.

Position order is commit order because one counter row is taken before the insert and held to the commit. A bare
sequence would let a tailing reader skip an event whose transaction commits late; the row costs writers a queue and buys
every reader the right to trust `position`.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    Row,
    Table,
    Text,
    UniqueConstraint,
    func,
    insert,
    select,
    update,
)

from events.database import UtcDateTime, write_transaction
from events.errors import CommandIdReused, VersionConflict
from events.registry import EncodedFact, FactRegistry
from events.store import Appended, Command, Provenance, StoredEvent

metadata = MetaData()

events_table = Table(
    "events",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("stream", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("fact_version", Integer, nullable=False),
    Column("payload", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
    Column("command_id", Text, nullable=False, server_default=""),
    UniqueConstraint("stream", "version", name="uq_events_stream_version"),
)

event_counter_table = Table(
    "event_counter",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, nullable=False),
)

commands_table = Table(
    "commands",
    metadata,
    Column("command_id", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("stream", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("answer", Text, nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
)


class SqlEventStore:
    """An `events.store.EventStore` in the tables above, which `migrations` makes."""

    def __init__(self, engine: Engine, registry: FactRegistry) -> None:
        self._engine = engine
        self._registry = registry

    def append(
        self,
        stream: str,
        facts: Sequence[object],
        *,
        expected_version: int,
        provenance: Provenance,
        command: Command | None = None,
    ) -> Appended:
        """See `EventStore.append`."""
        encoded = [self._registry.encode(fact) for fact in facts]
        with write_transaction(self._engine) as connection:
            # First of all: from here to the commit this writer is alone, so what it reads below cannot change.
            position = _take_positions(connection, len(encoded))
            if command and (first := _first_answer(connection, command.command_id, command.fingerprint)):
                connection.rollback()
                return first
            version = _stream_version(connection, stream)
            if version != expected_version:
                raise VersionConflict(stream, expected_version, version)
            if encoded:
                rows = _event_rows(stream, encoded, position, version, provenance, command)
                connection.execute(insert(events_table), rows)
            answer = Appended(
                stream=stream,
                version=version + len(encoded),
                position=position,
                answer=command.answer if command else "",
            )
            if command:
                connection.execute(insert(commands_table), _command_row(command, answer, provenance))
        return answer

    def answered(self, command_id: str, fingerprint: str) -> Appended | None:
        """See `EventStore.answered`."""
        with self._engine.connect() as connection:
            return _first_answer(connection, command_id, fingerprint)

    def read_stream(self, stream: str, *, after_version: int = 0) -> Sequence[StoredEvent]:
        """See `EventStore.read_stream`."""
        query = (
            select(events_table)
            .where(events_table.c.stream == stream, events_table.c.version > after_version)
            .order_by(events_table.c.version)
        )
        with self._engine.connect() as connection:
            return [_stored(row) for row in connection.execute(query)]

    def read(self, *, after: int, limit: int) -> Sequence[StoredEvent]:
        """See `EventStore.read`."""
        query = (
            select(events_table)
            .where(events_table.c.position > after)
            .order_by(events_table.c.position)
            .limit(limit)
        )
        with self._engine.connect() as connection:
            return [_stored(row) for row in connection.execute(query)]

    def head(self) -> int:
        """See `EventStore.head`."""
        with self._engine.connect() as connection:
            return connection.execute(select(event_counter_table.c.position)).scalar_one()


def _take_positions(connection: Connection, count: int) -> int:
    taken = update(event_counter_table).values(position=event_counter_table.c.position + count)
    return connection.execute(taken.returning(event_counter_table.c.position)).scalar_one()


def _stream_version(connection: Connection, stream: str) -> int:
    newest = select(func.max(events_table.c.version)).where(events_table.c.stream == stream)
    return connection.execute(newest).scalar_one() or 0


def _first_answer(connection: Connection, command_id: str, fingerprint: str) -> Appended | None:
    row = connection.execute(select(commands_table).where(commands_table.c.command_id == command_id)).one_or_none()
    if row is None:
        return None
    if row.fingerprint != fingerprint:
        raise CommandIdReused(command_id)
    return Appended(stream=row.stream, version=row.version, position=row.position, answer=row.answer, replayed=True)


def _event_rows(  # noqa: PLR0913, PLR0917 - the six parts an event row is made of
    stream: str,
    encoded: Sequence[EncodedFact],
    last_position: int,
    version: int,
    provenance: Provenance,
    command: Command | None,
) -> list[dict[str, Any]]:
    first_position = last_position - len(encoded)
    return [
        {
            "position": first_position + offset,
            "stream": stream,
            "version": version + offset,
            "name": fact.name,
            "fact_version": fact.version,
            "payload": fact.payload.decode(),
            "actor": provenance.actor,
            "recorded_at": provenance.recorded_at,
            "command_id": command.command_id if command else "",
        }
        for offset, fact in enumerate(encoded, start=1)
    ]


def _command_row(command: Command, answer: Appended, provenance: Provenance) -> dict[str, Any]:
    return {
        "command_id": command.command_id,
        "fingerprint": command.fingerprint,
        "stream": answer.stream,
        "version": answer.version,
        "position": answer.position,
        "answer": answer.answer,
        "recorded_at": provenance.recorded_at,
    }


def _stored(row: Row[Any]) -> StoredEvent:
    return StoredEvent(
        position=row.position,
        stream=row.stream,
        version=row.version,
        encoded=EncodedFact(name=row.name, version=row.fact_version, payload=row.payload.encode()),
        actor=row.actor,
        recorded_at=row.recorded_at,
        command_id=row.command_id,
    )
