"""The event store on SQLAlchemy: SQLite and PostgreSQL.

Position order is commit order because one counter row is taken before the insert and held to the commit. A bare
sequence would let a tailing reader skip an event whose transaction commits late; the row costs writers a queue and buys
every reader the right to trust `position`.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
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
from sqlalchemy.exc import IntegrityError

from events.database import UtcDateTime, named_errors, write_transaction
from events.errors import CommandIdReused, CounterBehindLog, VersionConflict
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
    CheckConstraint("id = 1", name="ck_event_counter_one_row"),
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
        try:
            with named_errors(), write_transaction(self._engine) as connection:
                # First of all: from here to the commit this writer is alone, so what it reads below cannot change.
                position = _take_positions(connection, len(encoded))
                if command and (first := _first_answer(connection, command.command_id, command.fingerprint)):
                    connection.rollback()  # gives the positions back
                    return first
                version = _stream_version(connection, stream)
                if version != expected_version:
                    raise VersionConflict(stream, expected_version, version)
                answer = Appended(
                    stream=stream,
                    version=version + len(encoded),
                    position=position,
                    answer=command.answer if command else "",
                )
                if encoded:
                    connection.execute(insert(events_table), _event_rows(encoded, answer, provenance, command))
                if command:
                    connection.execute(insert(commands_table), _command_row(command, answer, provenance))
        except IntegrityError as error:
            self._explain(error, stream, expected_version)
            raise
        return answer

    def answered(self, command_id: str, fingerprint: str) -> Appended | None:
        """See `EventStore.answered`."""
        with named_errors(), self._engine.connect() as connection:
            return _first_answer(connection, command_id, fingerprint)

    def read_stream(self, stream: str, *, after_version: int = 0) -> Sequence[StoredEvent]:
        """See `EventStore.read_stream`."""
        query = (
            select(events_table)
            .where(events_table.c.stream == stream, events_table.c.version > after_version)
            .order_by(events_table.c.version)
        )
        with named_errors(), self._engine.connect() as connection:
            return [_stored(row) for row in connection.execute(query)]

    def read(self, *, after: int, limit: int) -> Sequence[StoredEvent]:
        """See `EventStore.read`."""
        query = (
            select(events_table).where(events_table.c.position > after).order_by(events_table.c.position).limit(limit)
        )
        with named_errors(), self._engine.connect() as connection:
            return [_stored(row) for row in connection.execute(query)]

    def head(self) -> int:
        """See `EventStore.head`."""
        with named_errors(), self._engine.connect() as connection:
            return int(connection.execute(select(event_counter_table.c.position)).scalar_one())

    def _explain(self, error: IntegrityError, stream: str, expected_version: int) -> None:
        """Name what a broken UNIQUE means. The counter's lock rules it out, unless somebody writes around it."""
        with named_errors(), self._engine.connect() as connection:
            version = _stream_version(connection, stream)
            counter = connection.execute(select(event_counter_table.c.position)).scalar_one()
            newest = connection.execute(select(func.max(events_table.c.position))).scalar_one() or 0
        if version != expected_version:
            raise VersionConflict(stream, expected_version, version) from error
        if newest > counter:
            raise CounterBehindLog(counter, newest) from error


def _take_positions(connection: Connection, count: int) -> int:
    taken = update(event_counter_table).values(position=event_counter_table.c.position + count)
    return int(connection.execute(taken.returning(event_counter_table.c.position)).scalar_one())


def _stream_version(connection: Connection, stream: str) -> int:
    newest = select(func.max(events_table.c.version)).where(events_table.c.stream == stream)
    return int(connection.execute(newest).scalar_one() or 0)


def _first_answer(connection: Connection, command_id: str, fingerprint: str) -> Appended | None:
    row = connection.execute(select(commands_table).where(commands_table.c.command_id == command_id)).one_or_none()
    if row is None:
        return None
    if row.fingerprint != fingerprint:
        raise CommandIdReused(command_id)
    return Appended(stream=row.stream, version=row.version, position=row.position, answer=row.answer, replayed=True)


def _event_rows(
    encoded: Sequence[EncodedFact], last: Appended, provenance: Provenance, command: Command | None
) -> list[dict[str, Any]]:
    return [
        {
            "position": last.position - behind,
            "stream": last.stream,
            "version": last.version - behind,
            "name": fact.name,
            "fact_version": fact.version,
            "payload": fact.payload.decode(),
            "actor": provenance.actor,
            "recorded_at": provenance.recorded_at,
            "command_id": command.command_id if command else "",
        }
        for behind, fact in zip(range(len(encoded) - 1, -1, -1), encoded, strict=True)
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
