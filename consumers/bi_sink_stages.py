"""The BI sink's other two threads: one decodes what the reading thread hands over, one stores it, both in order.

Reading, decoding and storing take about as long as each other and mostly outside of Python's lock, so that three
threads drain a topic nearly three times as fast as one.
"""

from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from logging import getLogger
from threading import Condition, Event, Thread
from time import monotonic

from consumers.bi_sink_batch import ReadyBatch
from consumers.bi_sink_limits import BatchLimits, PoisonGuard
from consumers.dead_letters import DeadLetterWriter
from streams.messages import MessageRun, TopicPartition
from streams.ports import DeliveryFailed
from warehouse.errors import WarehouseDown
from warehouse.hits import HitWarehouse, OffsetRange

_log = getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class _Batch:
    """A batch on its way. `runs` are let go of once it is `ready`; `dropped` partitions are not to be stored."""

    runs: Sequence[MessageRun]
    ranges: Sequence[OffsetRange]
    size_bytes: int
    ready: ReadyBatch | None = None
    dropped: set[TopicPartition] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What was stored since it was last asked for: how many new hits, and the offsets reached."""

    hits: int
    reached: dict[TopicPartition, int]


class Stages:
    """Decodes and stores, each batch after the one before it. Its methods are for the reading thread."""

    def __init__(
        self, *, warehouse: HitWarehouse, dead_letters: DeadLetterWriter, limits: BatchLimits, guard: PoisonGuard
    ) -> None:
        self._warehouse = warehouse
        self._dead_letters = dead_letters
        self._limits = limits
        self._guard = guard
        self._changed = Condition()
        self._batches: deque[_Batch] = deque()
        self._threads: list[Thread] = []
        self._closed = False
        self._attempting = False
        self._outage = False
        self._failure: BaseException | None = None
        self._give_up = Event()
        self._hits = 0
        self._reached: dict[TopicPartition, int] = {}

    def start(self) -> None:
        """Start the threads."""
        for work in (self._decode_all, self._store_all):
            # A daemon: a warehouse that never answers must not keep a process that failed from ending.
            thread = Thread(target=self._guarded, args=[work], name=f"bi-sink{work.__name__}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def hand_over(self, runs: Sequence[MessageRun], ranges: Sequence[OffsetRange], *, size_bytes: int) -> None:
        """Take a batch in. Never blocks; whoever hands over looks at `size_bytes` before."""
        with self._changed:
            self._batches.append(_Batch(runs=runs, ranges=ranges, size_bytes=size_bytes))
            self._changed.notify_all()

    @property
    def size_bytes(self) -> int:
        """How much is in hand here."""
        with self._changed:
            return sum(batch.size_bytes for batch in self._batches)

    @property
    def waiting(self) -> bool:
        """Whether a batch waits for another one to be stored."""
        with self._changed:
            return len(self._batches) > 1

    @property
    def outage(self) -> bool:
        """Whether the last attempt to store found the warehouse, or the dead letters' topic, away."""
        with self._changed:
            return self._outage

    def wait_below(self, size_bytes: int, timeout_seconds: float) -> bool:
        """Wait until less than `size_bytes` are in hand; True if so, False after the timeout or a failure."""
        return self._wait(lambda: sum(batch.size_bytes for batch in self._batches) < size_bytes, timeout_seconds)

    def wait_until_idle(self, timeout_seconds: float) -> bool:
        """Wait until everything is stored; False if it is not: an outage, a failure, or not within the timeout."""
        self._wait(lambda: not self._batches or self._outage, timeout_seconds)
        with self._changed:
            return not self._batches and self._failure is None

    def take_stored(self) -> Stored:
        """Return what was stored since the last call."""
        with self._changed:
            stored = Stored(hits=self._hits, reached=self._reached)
            self._hits, self._reached = 0, {}
            return stored

    def check(self) -> None:
        """Return if both threads are well.

        Raises:
            TooManyDeadLetters, Fenced, WarehouseRefused: and whatever else ended one of them.
        """
        with self._changed:
            if self._failure is not None:
                raise self._failure

    def drop(self, partitions: Collection[TopicPartition]) -> None:
        """Store nothing more of `partitions`, and return when an attempt that is under way is over.

        So the warehouse's offsets, read after this, are not moved by us any more.
        """
        with self._changed:
            for batch in self._batches:
                batch.dropped.update(partitions)
            # Dead letters may wait for their broker for ever.
            self._give_up.set()
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._attempting)

    def close(self) -> None:
        """Drop what is in hand and end the threads. Idempotent."""
        with self._changed:
            self._closed = True
            self._give_up.set()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        self._batches.clear()

    def _wait(self, condition: Callable[[], bool], timeout_seconds: float) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: condition() or self._failure is not None or self._closed, timeout_seconds)
            return condition()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again where it is checked, on the reading thread
            with self._changed:
                self._failure = self._failure or error
                self._attempting = False
                self._changed.notify_all()

    def _decode_all(self) -> None:
        while (
            batch := self._next(lambda: next((one for one in self._batches if one.ready is None), None))
        ) is not None:
            ready = ReadyBatch(batch.runs, batch.ranges)
            self._guard.check(messages=ready.messages, poison=ready.poison)
            with self._changed:
                batch.ready, batch.runs = ready, ()
                self._changed.notify_all()

    def _store_all(self) -> None:
        while (batch := self._next(self._first_ready)) is not None:
            self._store(batch)

    def _first_ready(self) -> _Batch | None:
        return self._batches[0] if self._batches and self._batches[0].ready is not None else None

    def _next(self, find: Callable[[], _Batch | None]) -> _Batch | None:
        """Wait for a batch. None: closed, or the other thread failed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._failure is not None or find() is not None)
            return None if self._closed or self._failure is not None else find()

    def _store(self, batch: _Batch) -> None:
        wait_seconds = self._limits.first_retry_seconds
        while (ready := self._begin_attempt(batch)) is not None:
            try:
                new = self._store_once(ready)
            except (WarehouseDown, DeliveryFailed) as error:
                _log.warning("BI sink: nothing stored, trying again in %.1f s: %s", wait_seconds, error)
                self._wait_out(wait_seconds)
                wait_seconds = min(2 * wait_seconds, self._limits.last_retry_seconds)
            else:
                self._count(ready, new)
                return

    def _begin_attempt(self, batch: _Batch) -> ReadyBatch | None:
        with self._changed:
            if self._closed or self._failure is not None:
                return None
            self._attempting = True
            self._give_up.clear()
            dropped, batch.dropped = batch.dropped, set()
        if batch.ready is not None:
            batch.ready.drop(dropped)
        return batch.ready

    def _store_once(self, ready: ReadyBatch) -> int:
        if not ready.letters_written:
            # Before the offsets: a crash in between leaves a second letter, the other order would leave none.
            self._dead_letters.write(ready.letters, give_up=self._give_up)
            ready.letters_written = True
        return self._warehouse.store(ready.hits, ready.ranges) if ready.ranges else 0

    def _wait_out(self, seconds: float) -> None:
        until = monotonic() + seconds
        with self._changed:
            self._attempting, self._outage = False, True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._closed or monotonic() >= until, seconds)

    def _count(self, ready: ReadyBatch, new: int) -> None:
        with self._changed:
            if self._outage:
                _log.warning("BI sink: storing again")
            self._attempting = self._outage = False
            self._batches.popleft()
            self._hits += new
            self._reached.update({(part.topic, part.partition): part.next for part in ready.ranges})
            self._changed.notify_all()
