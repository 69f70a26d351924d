"""The relay: it reads the event log itself and writes lifecycle events and config documents to Kafka.

Promise: at least once, in order for each key. The checkpoint moves only after every record of a batch is acknowledged,
so whatever dies in between is sent again; readers are exact by the position that each record carries.

What it does with what goes wrong:

- the broker or the database is away: it waits, for as long as it takes;
- a projection of documents is paused or outdated: it waits and says so, because going on would lose one for ever;
- a record that is too large for its topic is withheld, loudly, and the others go on: one test must not stop all;
- another relay has moved the checkpoint: it steps down.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from threading import Event

from sqlalchemy import Engine

from consumers import republish_requests
from consumers.leadership import LeaderLock, Leadership, leader_lock
from consumers.relay_records import config_record, heartbeat_record, lifecycle_record, withheld_record
from consumers.repeated import Repeated
from events import checkpoints
from events.database import write_transaction
from events.errors import CheckpointMoved
from events.store import EventStore
from projections import documents
from projections.config import ConfigDocument
from projections.documents import Reached
from projections.errors import ProjectionsError
from streams.messages import OutgoingMessage
from streams.ports import Broker, DeliveryFailed, MessageTooLarge, Producer

CHECKPOINT = "relay"
"""The name of the relay's checkpoint, and of its leader lock."""

_REPUBLISHED_AT_ONCE = 200

_log = logging.getLogger(__name__)


class ConfigProjectionBehind(Exception):
    """The config documents do not reach the batch: relaying it now would lose a change for ever."""

    def __init__(self, reached: Reached, needed: int) -> None:
        super().__init__(
            f"the config documents reach position {reached.position} and the relay needs {needed}; "
            f"{reached.reason or 'is a rebuild needed?'} Repair or rebuild the projection {reached.projection}, the "
            "relay goes on by itself"
        )


class LogBehindRelay(Exception):
    """The checkpoint is beyond the end of the log, as after an older log was restored without its checkpoint."""

    def __init__(self, position: int, head: int) -> None:
        super().__init__(
            f"the relay stands at position {position} and the log ends at {head}: was an older log restored? It would "
            f"pass over all facts up to {position}. Stop the relay, do as docs/event-store.md says of lost facts, and "
            "set the position of `relay` in the table checkpoints to the end of the log"
        )


class Relay:
    """Relays batch after batch while it leads. For one thread; any number of processes may stand by.

    Args:
        engine: the database of the log, the config documents, the checkpoint and, on PostgreSQL, the lock.
        store: the log.
        broker: where to; its topics exist.
        catch_up: brings the projections of config documents to a position (`Projector.catch_up`).
        now: the clock, for heartbeats.
        lock: who leads; by default the lock of the database.
        batch_size: how many events are read, sent and acknowledged at a time.
        heartbeat_every: how often the config topic is told that the relay is alive, so that staleness is measurable.
        source: what CloudEvents calls the source of the events.

    Attributes:
        withheld: how many records were too large to be sent, since this relay was made.
    """

    def __init__(  # noqa: PLR0913 - a process is assembled from its parts in one place
        self,
        *,
        engine: Engine,
        store: EventStore,
        broker: Broker,
        catch_up: Callable[[int], object],
        now: Callable[[], datetime],
        lock: LeaderLock | None = None,
        batch_size: int = 500,
        heartbeat_every: timedelta = timedelta(seconds=10),
        source: str = "usersplit",
    ) -> None:
        self.withheld = 0
        self._engine = engine
        self._store = store
        self._broker = broker
        self._catch_up = catch_up
        self._now = now
        self._leadership = Leadership(CHECKPOINT, lock or leader_lock(engine, CHECKPOINT))
        self._batch_size = batch_size
        self._heartbeat_every = heartbeat_every
        self._source = source
        self._producer: Producer | None = None
        # Where the checkpoint stands, None if that must be read: nobody else moves it while this relay leads.
        self._position: int | None = None
        self._last_heartbeat: datetime | None = None
        self._over = Event()
        self._told = Repeated()
        # Documents on their way to Kafka, of whose arrival nothing is certain yet.
        self._doubtful: set[str] = set()

    @property
    def leads(self) -> bool:
        """Whether this relay is the one that relays."""
        return self._leadership.leads

    def step(self) -> int:
        """Relay one batch, and a heartbeat if it is time for one; return how many events the batch held.

        Blocks while the broker is away. The checkpoint is moved here, in a transaction of its own.

        Raises:
            DeliveryFailed: nothing moved; the next step sends the batch again with a new producer.
            CheckpointMoved: another relay is at work; this one must not go on.
            ConfigProjectionBehind: the documents of this batch are not there; nothing was sent.
            LogBehindRelay: the log is an older one; nothing was sent.
            ProjectionsError: they were written by another release; nothing was sent.
        """
        position = self._checkpoint() if self._position is None else self._position
        self._position = None  # known again only if all goes well
        events = self._store.read(after=position, limit=self._batch_size)
        if events:
            reached = events[-1].position
            names = sorted({name for event in events for name in documents.names_of(event.stream)})
            changed = self._changed_documents(names, after=position, until=reached)
            self._doubtful.update(document.key for document in changed)
            self._send(
                [
                    *(lifecycle_record(event, source=self._source) for event in events),
                    *(config_record(document) for document in changed),
                ]
            )
            with write_transaction(self._engine) as connection:
                checkpoints.move(connection, CHECKPOINT, expected=position, to=reached)
            self._doubtful.clear()
            position = reached
        self._beat(position)
        self._position = position
        return len(events)

    def republish(self) -> int:
        """Send the documents that somebody asked for again, some of them at a time; return how many were sent.

        Blocks and raises as `step`. A wish is forgotten when its document is acknowledged.
        """
        with self._engine.connect() as connection:
            requests = republish_requests.waiting(connection, limit=_REPUBLISHED_AT_ONCE)
        if not requests:
            return 0
        position = self._checkpoint() if self._position is None else self._position
        with self._engine.connect() as connection:
            wanted = documents.get_many(connection, sorted(requests))
        self._doubtful.update(document.key for document in wanted)
        self._send([config_record(document) for document in wanted])
        with write_transaction(self._engine) as connection:
            # It stays where it is. Where it does not stand there, somebody has sent newer documents meanwhile.
            checkpoints.move(connection, CHECKPOINT, expected=position, to=position)
            republish_requests.fulfilled(connection, requests)
        self._doubtful.clear()
        _log.info("sent %d config documents again", len(wanted))
        return len(wanted)

    def run(self, stop: Event, *, idle_seconds: float = 0.1, retry_seconds: float = 1.0) -> None:
        """Lead as soon as nobody else does, and relay until `stop` is set."""

        def work(over: Event) -> None:
            self._over = over
            self._ask_for_doubtful()
            try:
                self._relay_until(over, idle_seconds, retry_seconds)
            except CheckpointMoved as error:
                _log.warning("the relay steps down: %s", error)
            finally:
                self.close()

        self._leadership.run(stop, work, standing_by=self._ask_for_doubtful, retry_seconds=retry_seconds)

    def close(self) -> None:
        """Let go of the producer. Idempotent."""
        self._position = None
        self._drop_producer()

    def _relay_until(self, over: Event, idle_seconds: float, retry_seconds: float) -> None:
        while not over.is_set():
            try:
                beaten = self._last_heartbeat
                relayed = self.step()
                # Wishes can wait for a heartbeat: the log is asked several times a second.
                while beaten != self._last_heartbeat and not over.is_set() and self.republish():
                    pass
                if not relayed:
                    over.wait(idle_seconds)
            except (DeliveryFailed, ConfigProjectionBehind, LogBehindRelay, ProjectionsError) as error:
                if not over.is_set():
                    if self._told.is_due(str(error)):
                        _log.error("the relay starts again from its checkpoint: %s", error)
                    over.wait(retry_seconds)

    def _ask_for_doubtful(self) -> None:
        """Have documents sent again that may have come behind newer ones of a relay that has taken over.

        Readers that follow pass over such a one by its position. But compaction keeps the last record of a key, and a
        new server would have nothing else.
        """
        if self._doubtful:
            with write_transaction(self._engine) as connection:
                republish_requests.request(connection, sorted(self._doubtful), at=self._now())
            _log.warning("%d config documents may have come late and will be sent again", len(self._doubtful))
            self._doubtful.clear()

    def _checkpoint(self) -> int:
        with self._engine.connect() as connection:
            position = checkpoints.position_of(connection, CHECKPOINT)
        if position > (head := self._store.head()):
            raise LogBehindRelay(position, head)
        return position

    def _changed_documents(self, names: Sequence[str], *, after: int, until: int) -> list[ConfigDocument]:
        self._catch_up(until)
        with self._engine.connect() as connection:
            reached = documents.reached(connection)
            if reached.position < until:
                # A paused projection lets the others pass, and its documents would be passed over in silence.
                raise ConfigProjectionBehind(reached, until)
            found = documents.get_many(connection, names)
        # One changed since by a later event comes with the batch of that event.
        return [document for document in found if after < document.position <= until]

    def _beat(self, position: int) -> None:
        now = self._now()
        # Either way: a clock that is set back must not silence the relay until it has caught up with itself.
        if self._last_heartbeat is None or abs(now - self._last_heartbeat) >= self._heartbeat_every:
            self._send([heartbeat_record(position=position, at=now)])
            self._last_heartbeat = now

    def _send(self, records: Sequence[OutgoingMessage]) -> None:
        while True:
            if self._producer is None:
                self._producer = self._broker.producer()
            try:
                self._producer.send(records, give_up=self._over)
            except MessageTooLarge as error:
                self._drop_producer()
                if error.message.value is None:
                    raise
                self.withheld += 1
                _log.error("the relay withholds a record, the others go on: %s", error)
                records = _without(records, error.message)
            except DeliveryFailed:
                self._drop_producer()
                raise
            else:
                return

    def _drop_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.close()


def _without(records: Sequence[OutgoingMessage], large: OutgoingMessage) -> list[OutgoingMessage]:
    """Return `records` with what stands in for the one that is too large, if anything does."""
    found: list[OutgoingMessage] = []
    for record in records:
        if record is not large:
            found.append(record)
        elif (substitute := withheld_record(record)) is not None:
            found.append(substitute)
    return found
