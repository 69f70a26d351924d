"""The relay: it reads the event log itself and writes lifecycle events and config documents to Kafka.

Promise: at least once, in order for each key. The checkpoint moves only after every record of a batch is acknowledged,
so whatever dies in between is sent again; readers are exact by the position that each record carries.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import Event, Thread

from sqlalchemy import Engine

from consumers.leadership import LeaderLock, leader_lock
from consumers.relay_records import config_record, heartbeat_record, key_of, lifecycle_record
from events import checkpoints
from events.database import write_transaction
from events.errors import CheckpointMoved
from events.store import EventStore
from projections import config, registry
from projections.config import ConfigDocument
from streams.messages import OutgoingMessage
from streams.ports import Broker, DeliveryFailed, Producer

CHECKPOINT = "relay"
"""The name of the relay's checkpoint, and of its leader lock."""

_log = logging.getLogger(__name__)


class ConfigProjectionBehind(Exception):
    """The config documents do not reach the batch: relaying it now would lose a change for ever."""

    def __init__(self, reached: int, needed: int, reason: str) -> None:
        super().__init__(
            f"the config documents reach position {reached} and the relay needs {needed}; "
            f"{reason or 'is a rebuild needed?'} Repair or rebuild the projection config, the relay goes on by itself"
        )


class Relay:
    """Relays batch after batch while it leads. For one thread; any number of processes may stand by.

    Args:
        engine: the database of the log, the config documents, the checkpoint and, on PostgreSQL, the lock.
        store: the log.
        broker: where to; its topics exist.
        catch_up: brings the config projection to a position (`Projector.catch_up`).
        now: the clock, for heartbeats.
        lock: who leads; by default the lock of the database.
        batch_size: how many events are read, sent and acknowledged at a time.
        heartbeat_every: how often the config topic is told that the relay is alive, so that staleness is measurable.
        source: what CloudEvents calls the source of the events.
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
        self._engine = engine
        self._store = store
        self._broker = broker
        self._catch_up = catch_up
        self._now = now
        self._lock = lock or leader_lock(engine, CHECKPOINT)
        self._batch_size = batch_size
        self._heartbeat_every = heartbeat_every
        self._source = source
        self._producer: Producer | None = None
        self._last_heartbeat: datetime | None = None
        self._give_up = Event()

    def step(self) -> int:
        """Relay one batch, and a heartbeat if it is time for one; return how many events the batch held.

        Blocks while the broker is away.

        Raises:
            DeliveryFailed: nothing moved; the next step sends the batch again with a new producer.
            CheckpointMoved: another relay is at work; this one must not go on.
            ConfigProjectionBehind: the documents of this batch are not there; nothing was sent.
        """
        with self._engine.connect() as connection:
            position = checkpoints.position_of(connection, CHECKPOINT)
        events = self._store.read(after=position, limit=self._batch_size)
        if events:
            reached = events[-1].position
            keys = sorted({key_of(event) for event in events})
            documents = self._changed_documents(keys, after=position, until=reached)
            self._send(
                [
                    *(lifecycle_record(event, source=self._source) for event in events),
                    *(config_record(document) for document in documents),
                ]
            )
            with write_transaction(self._engine) as connection:
                checkpoints.move(connection, CHECKPOINT, expected=position, to=reached)
            position = reached
        self._beat(position)
        return len(events)

    def run(self, stop: Event, *, idle_seconds: float = 0.2, retry_seconds: float = 1.0) -> None:
        """Lead as soon as nobody else does, and relay until `stop` is set.

        Raises:
            sqlalchemy.exc.OperationalError: the database went away. Start the process again: leadership, if it was
                lost, is not taken for granted.
        """
        while not stop.is_set():
            if not self._lock.try_acquire():
                stop.wait(retry_seconds)
                continue
            _log.info("the relay leads")
            try:
                with self._watched(stop):
                    self._lead(stop, idle_seconds, retry_seconds)
            except CheckpointMoved as error:
                _log.warning("the relay steps down: %s", error)
            finally:
                self.close()
            if not stop.is_set():
                stop.wait(retry_seconds)

    def close(self) -> None:
        """Let go of the producer and of the leadership. Idempotent."""
        self._drop_producer()
        self._lock.release()

    def _lead(self, stop: Event, idle_seconds: float, retry_seconds: float) -> None:
        while not self._give_up.is_set():
            try:
                if self.step() == 0:
                    stop.wait(idle_seconds)
            except (DeliveryFailed, ConfigProjectionBehind) as error:
                if not stop.is_set():
                    _log.error("the relay starts again from its checkpoint: %s", error)
                    stop.wait(retry_seconds)

    @contextmanager
    def _watched(self, stop: Event) -> Iterator[None]:
        """Set `_give_up` when told to stop or when the lock is lost, even while a send waits for the broker."""
        over = Event()

        def watch() -> None:
            while not over.wait(0.2):
                if stop.is_set() or not self._lock.still_held():
                    self._give_up.set()
                    return

        self._give_up.clear()
        watcher = Thread(target=watch, name="relay-leadership", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()

    def _changed_documents(self, keys: Sequence[str], *, after: int, until: int) -> list[ConfigDocument]:
        self._catch_up(until)
        with self._engine.connect() as connection:
            found = registry.serving(connection, config.PROJECTION.name)
            if found is None or found.position < until:
                # A paused projection lets the others pass, and its documents would be passed over in silence.
                reached, reason = (0, "") if found is None else (found.position, found.reason)
                raise ConfigProjectionBehind(reached, until, reason)
            documents = config.get_many(connection, keys)
        # One changed since by a later event comes with the batch of that event.
        return [document for document in documents if after < document.position <= until]

    def _beat(self, position: int) -> None:
        now = self._now()
        if self._last_heartbeat is None or now - self._last_heartbeat >= self._heartbeat_every:
            self._send([heartbeat_record(position=position, at=now)])
            self._last_heartbeat = now

    def _send(self, records: Sequence[OutgoingMessage]) -> None:
        if self._producer is None:
            self._producer = self._broker.producer()
        try:
            self._producer.send(records, give_up=self._give_up)
        except DeliveryFailed:
            self._drop_producer()
            raise

    def _drop_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.close()
