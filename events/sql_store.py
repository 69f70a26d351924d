"""The event store on SQLAlchemy: SQLite and PostgreSQL.

Position order is commit order because one counter row is taken before the insert and held to the commit. A bare
sequence would let a tailing reader skip an event whose transaction commits late; the row costs writers a queue and buys
every reader the right to trust `position`.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import Engine, case, func, select

from events import postgres_append, sqlite_append
from events.database import named_errors
from events.group_commit import GroupCommit
from events.registry import EncodedFact, FactRegistry
from events.sql_append import Batch, append_in_turn, first_answer
from events.sql_tables import commands_table, event_counter_table, events_table, metadata
from events.store import Appended, Command, Provenance, StoredEvent, require_storable, require_zone

__all__ = ["SqlEventStore", "commands_table", "event_counter_table", "events_table", "metadata"]

_APPEND_AT_ONCE: dict[str, Callable[[Engine, Sequence[Batch]], Sequence[Appended] | None]] = {
    "postgresql": postgres_append.append_at_once,
    "sqlite": sqlite_append.append_at_once,
}


class SqlEventStore:
    """An `events.store.EventStore` in the tables of `events.sql_tables`, which `migrations` makes."""

    def __init__(self, engine: Engine, registry: FactRegistry) -> None:
        self._engine = engine
        self._registry = registry
        self._at_once = GroupCommit(partial(_APPEND_AT_ONCE[engine.dialect.name], engine))

    @property
    def engine(self) -> Engine:
        """The database of the log, for who reads it in bulk as bare rows."""
        return self._engine

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
        require_storable("stream", stream)
        batch = Batch(
            stream=stream,
            facts=[self._registry.encode(fact) for fact in facts],
            expected_version=expected_version,
            provenance=provenance,
            command=command,
        )
        # The short way needs a fact: it is UNIQUE(stream, version) that catches a stream which moved on.
        at_once = self._at_once.append(batch) if batch.facts else None
        return at_once or append_in_turn(self._engine, batch)

    def answered(self, command_id: str, fingerprint: str) -> Appended | None:
        """See `EventStore.answered`."""
        with named_errors(), self._engine.connect() as connection:
            return first_answer(connection, command_id, fingerprint)

    def read_stream(self, stream: str, *, after_version: int = 0) -> Sequence[StoredEvent]:
        """See `EventStore.read_stream`."""
        query = _EVENTS.where(events_table.c.stream == stream, events_table.c.version > after_version).order_by(
            events_table.c.version
        )
        with named_errors(), self._engine.connect() as connection:
            return [_stored(*row) for row in connection.execute(query)]

    def read(self, *, after: int, limit: int) -> Sequence[StoredEvent]:
        """See `EventStore.read`."""
        query = _EVENTS.where(events_table.c.position > after).order_by(events_table.c.position).limit(limit)
        with named_errors(), self._engine.connect() as connection:
            return [_stored(*row) for row in connection.execute(query)]

    def head(self) -> int:
        """See `EventStore.head`."""
        with named_errors(), self._engine.connect() as connection:
            return int(connection.execute(select(event_counter_table.c.position)).scalar_one())

    def position_at(self, moment: datetime) -> int:
        """See `EventStore.position_at`.

        It reads the times of the whole log, rather than making every append keep an index of times for the rare
        question: whoever asks goes on to read the log up to the answer, which takes longer.
        """
        require_zone(moment)
        step = case((events_table.c.recorded_at <= moment, 1), else_=-1)
        balance = func.sum(step).over(order_by=events_table.c.position).label("balance")
        balances = select(events_table.c.position, balance).subquery()
        best = (
            select(balances.c.position)
            # Below zero, the empty log before the first fact is the better cut.
            .where(balances.c.balance >= 0)
            .order_by(balances.c.balance.desc(), balances.c.position.desc())
            .limit(1)
        )
        with named_errors(), self._engine.connect() as connection:
            return connection.execute(best).scalar_one_or_none() or 0


_EVENTS = select(
    events_table.c.position,
    events_table.c.stream,
    events_table.c.version,
    events_table.c.name,
    events_table.c.fact_version,
    events_table.c.payload,
    events_table.c.actor,
    events_table.c.recorded_at,
    events_table.c.command_id,
)


def _stored(  # noqa: PLR0913, PLR0917 - a row of the table, in the order of its columns
    position: int,
    stream: str,
    version: int,
    name: str,
    fact_version: int,
    payload: str,
    actor: str,
    recorded_at: datetime,
    command_id: str,
) -> StoredEvent:
    return StoredEvent(
        position=position,
        stream=stream,
        version=version,
        encoded=EncodedFact(name=name, version=fact_version, payload=payload.encode()),
        actor=actor,
        recorded_at=recorded_at,
        command_id=command_id,
    )
