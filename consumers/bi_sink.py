"""The BI sink: hits from Kafka into the warehouse, every hit once.

Offsets live in the warehouse, in the transaction that stores the rows below them; Kafka's own commits only show the
lag. So a crash at any instruction leaves rows and offsets that agree, and a sink that lost its partitions without
knowing is fenced by the warehouse and writes nothing.

What it does with what goes wrong:

- poison (a message that is no valid hit) goes to the dead letters, acknowledged before the offsets pass it; too much
  of it stops the sink;
- a warehouse that is down, or dead letters that cannot be delivered: the partitions are paused, the membership is kept
  alive, and the same batch is tried again, for as long as it takes;
- anything else (fenced, refused, an offset out of range) stops the process: its supervisor starts it again, and it goes
  on from the warehouse's offsets.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from logging import getLogger
from threading import Event
from time import monotonic
from typing import Final

from consumers.bi_sink_batch import Gathering, ReadyBatch
from consumers.bi_sink_limits import BatchLimits, PoisonGuard, PoisonLimits, TooManyDeadLetters
from consumers.dead_letters import DeadLetterWriter
from streams.messages import Message, TopicPartition
from streams.ports import DeliveryFailed, Source, StreamError
from streams.topics import HITS
from warehouse.errors import WarehouseDown, WarehouseError
from warehouse.hits import HitWarehouse

GROUP: Final = "usersplit.bi-sink"
"""The consumer group that shares the partitions among the sinks of one warehouse."""

_log = getLogger(__name__)


class BiSink:
    """Drains the hits topic into a warehouse. One thread only."""

    def __init__(
        self,
        *,
        source: Source,
        warehouse: HitWarehouse,
        dead_letters: DeadLetterWriter,
        batches: BatchLimits | None = None,
        poison: PoisonLimits | None = None,
        clock: Callable[[], float] = monotonic,
        topic: str = HITS,
    ) -> None:
        self._source = source
        self._warehouse = warehouse
        self._dead_letters = dead_letters
        self._limits = batches or BatchLimits()
        self._guard = PoisonGuard(poison or PoisonLimits())
        self._clock = clock
        self._topic = topic
        self._stop = Event()
        # The next offset of every partition that is ours, None where the warehouse never saw it.
        self._positions: dict[TopicPartition, int | None] = {}
        self._gathering = Gathering()
        self._ready: ReadyBatch | None = None
        self._retry_at: float | None = None
        self._retry_seconds = self._limits.first_retry_seconds

    def run(self, stop: Event) -> None:
        """Drain until `stop` is set; then store what is in hand and leave the group.

        Raises:
            TooManyDeadLetters: see there; and Fenced, WarehouseRefused, OffsetOutOfRange: what a person must look at.
        """
        self._stop = stop
        self.start()
        try:
            while not stop.is_set():
                self.step()
        finally:
            self.close()

    def start(self) -> None:
        """Join the group."""
        self._source.subscribe([self._topic], assigned=self._assigned, revoked=self._revoked, lost=self._lost)

    def close(self) -> None:
        """Store what is in hand, if the warehouse takes it at once, and leave the group. Idempotent."""
        self._source.close()
        self._dead_letters.close()

    def step(self) -> int:
        """Read once, store what is due, and return how many new hits were stored.

        Blocks for the freshness target at most, and while the databases do. The offsets are committed by the
        warehouse's transaction. Raises as `run`; what was in hand is dropped then.
        """
        try:
            self._gather(self._source.poll(max_messages=self._room(), timeout_seconds=self._patience()))
            return self._store_or_wait() if self._is_due() else 0
        except BaseException:
            # Whoever closes the sink now must not store what has just failed.
            self._drop(list(self._positions))
            raise

    def _gather(self, messages: Sequence[Message]) -> None:
        # A partition without a position is one whose assignment was cut short by the stop.
        ours = [message for message in messages if (message.topic, message.partition) in self._positions]
        if ours:
            self._gathering.add(ours, at=self._clock())
        if self._retry_at is not None:
            # A partition that was assigned during the outage is not paused yet.
            self._source.pause(list(self._positions))

    def _room(self) -> int:
        return max(1, self._limits.max_messages - len(self._gathering.messages))

    def _patience(self) -> float:
        if self._retry_at is not None:
            wait = self._retry_at - self._clock()
        elif self._gathering.messages:
            wait = self._gathering.since + self._limits.freshness_seconds - self._clock()
        else:
            wait = self._limits.freshness_seconds
        return min(max(0.0, wait), self._limits.freshness_seconds)

    def _is_due(self) -> bool:
        if self._retry_at is not None:
            return self._clock() >= self._retry_at
        gathered = self._gathering
        return bool(gathered.messages) and (
            len(gathered.messages) >= self._limits.max_messages
            or gathered.size_bytes >= self._limits.max_bytes
            or self._clock() - gathered.since >= self._limits.freshness_seconds
        )

    def _store_or_wait(self) -> int:
        try:
            stored = self._store_all()
        except (WarehouseDown, DeliveryFailed) as error:
            _log.warning("BI sink: nothing stored, trying again in %.1f s: %s", self._retry_seconds, error)
            self._source.pause(list(self._positions))
            self._retry_at = self._clock() + self._retry_seconds
            self._retry_seconds = min(2 * self._retry_seconds, self._limits.last_retry_seconds)
            return 0
        if self._retry_at is not None:
            _log.warning("BI sink: storing again")
            self._source.resume(list(self._positions))
            self._retry_at, self._retry_seconds = None, self._limits.first_retry_seconds
        return stored

    def _store_all(self) -> int:
        stored = self._store_ready()
        if self._gathering.messages:
            gathered, self._gathering = self._gathering, Gathering()
            self._ready = ReadyBatch(gathered.messages)
            self._guard.check(messages=len(gathered.messages), poison=self._ready.poison)
            stored += self._store_ready()
        return stored

    def _store_ready(self) -> int:
        ready = self._ready
        if ready is None:
            return 0
        if not ready.letters_written:
            # Before the offsets: a crash in between leaves a second letter, the other order would leave none.
            self._dead_letters.write(ready.letters, give_up=self._stop)
            ready.letters_written = True
        ranges = ready.ranges(self._positions)
        stored = self._warehouse.store(ready.hits, ranges)
        self._ready = None
        reached = {(part.topic, part.partition): part.next for part in ranges}
        self._positions.update(reached)
        with suppress(StreamError):  # it shows the lag, nothing else
            self._source.commit(reached)
        return stored

    def _assigned(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        stored = self._offsets()
        if stored is None:
            return {}
        self._positions.update({partition: stored.get(partition[1]) for partition in partitions})
        return {partition: stored[partition[1]] for partition in partitions if partition[1] in stored}

    def _offsets(self) -> Mapping[int, int] | None:
        """Ask until the warehouse answers: without its offsets there is no right place to start. None: stopped."""
        wait = self._limits.first_retry_seconds
        while not self._stop.is_set():
            try:
                return self._warehouse.offsets(self._topic)
            except WarehouseDown as error:
                _log.warning("BI sink: the warehouse's offsets are needed, asking again in %.1f s: %s", wait, error)
                self._stop.wait(wait)
                wait = min(2 * wait, self._limits.last_retry_seconds)
        return None

    def _revoked(self, partitions: Sequence[TopicPartition]) -> None:
        if self._retry_at is None:
            try:
                self._store_all()
            except (WarehouseError, StreamError, TooManyDeadLetters) as error:
                # The next owner starts from the warehouse's offsets and meets the same messages.
                _log.warning("BI sink: partitions go to another sink with messages left to it: %s", error)
        self._drop(partitions)

    def _lost(self, partitions: Sequence[TopicPartition]) -> None:
        self._drop(partitions)

    def _drop(self, partitions: Sequence[TopicPartition]) -> None:
        self._gathering = self._gathering.without(partitions)
        self._ready = self._ready.without(partitions) if self._ready else None
        for partition in partitions:
            self._positions.pop(partition, None)
