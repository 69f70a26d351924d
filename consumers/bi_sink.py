"""The BI sink: hits from Kafka into the warehouse, every hit once.

Offsets live in the warehouse, in the transaction that stores the rows below them; Kafka's own commits only show the
lag. So a crash at any instruction leaves rows and offsets that agree, and a sink that lost its partitions without
knowing is fenced by the warehouse and writes nothing.

Three threads: this one reads, and is the one that Kafka tells of partitions that come and go; the others decode and
store (`consumers.bi_sink_stages`). Batches are small while the sink keeps up, and grow while storing is slower.

What it does with what goes wrong:

- poison (a message that is no valid hit) goes to the dead letters, acknowledged before the offsets pass it; too much
  of it stops the sink;
- a warehouse that is down, or dead letters that cannot be delivered: the same batch is tried again, for as long as it
  takes; reading goes on until the memory's budget is used up, then the partitions are paused and the membership is kept
  alive;
- anything else (fenced, refused, an offset out of range) stops the process: its supervisor starts it again, and it goes
  on from the warehouse's offsets.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from logging import getLogger
from threading import Event
from time import monotonic
from typing import Final

from consumers.bi_sink_batch import Gathering
from consumers.bi_sink_limits import BatchLimits, PoisonGuard, PoisonLimits
from consumers.bi_sink_stages import Stages
from consumers.dead_letters import DeadLetterWriter
from streams.message_runs import in_runs
from streams.messages import MessageRun, TopicPartition
from streams.ports import Source, StreamError
from streams.topics import HITS
from warehouse.errors import WarehouseDown
from warehouse.hits import HitWarehouse

GROUP: Final = "usersplit.bi-sink"
"""The consumer group that shares the partitions among the sinks of one warehouse."""

# Pausing makes librdkafka forget what it has fetched: worth it for an outage, not for a store that takes its time.
_PATIENCE_SECONDS: Final = 1.0
# A topic that gives a message now and then is asked this often, not once per message.
_NAP_SECONDS: Final = 0.02
_FEW_MESSAGES: Final = 500

_log = getLogger(__name__)


class BiSink:
    """Drains the hits topic into a warehouse. Its methods are for one thread."""

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
        self._source = in_runs(source)
        self._warehouse = warehouse
        self._dead_letters = dead_letters
        self._limits = batches or BatchLimits()
        self._clock = clock
        self._topic = topic
        self._stop = Event()
        # Of every partition that is ours, the offset after what was handed over; None if the warehouse never saw it.
        self._positions: dict[TopicPartition, int | None] = {}
        self._gathering = Gathering()
        self._paused = False
        self._stages = Stages(
            warehouse=warehouse,
            dead_letters=dead_letters,
            limits=self._limits,
            guard=PoisonGuard(poison or PoisonLimits()),
        )

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
        # What was in hand at the end may have been too much poison: whoever stopped the sink shall hear of it.
        self._stages.check()

    def start(self) -> None:
        """Join the group."""
        self._stages.start()
        self._source.subscribe([self._topic], assigned=self._assigned, revoked=self._revoked, lost=self._lost)

    def close(self) -> None:
        """Store what is in hand, if the warehouse takes it soon, and leave the group. Idempotent."""
        try:
            self._source.close()
        finally:
            self._stages.close()
            self._dead_letters.close()

    def step(self) -> int:
        """Read once, hand over what is due, and return how many new hits were stored since the last step.

        Blocks for the freshness target or a second at most, and on an assignment for as long as the warehouse is down.
        The offsets are committed by the warehouse's transaction. Raises as `run`; what was in hand is dropped then.
        """
        try:
            self._stages.check()
            self._gather()
            if self._is_due():
                self._hand_over()
            return self._take_stored()
        except BaseException:
            # Whoever closes the sink now must not store what has just failed.
            self._drop(list(self._positions))
            raise

    def _gather(self) -> None:
        if self._has_room():
            room = max(1, self._limits.max_messages - self._gathering.messages)
            self._take_in(self._source.poll_runs(max_messages=room, timeout_seconds=self._patience()))
        else:
            self._take_in(self._source.poll_runs(max_messages=1, timeout_seconds=self._limits.freshness_seconds))
            # A partition that was assigned meanwhile is not paused yet.
            self._source.pause(list(self._positions))

    def _has_room(self) -> bool:
        room = self._limits.budget_bytes - self._gathering.size_bytes
        below = self._stages.wait_below(room, 0.0 if self._paused else _PATIENCE_SECONDS)
        if below and self._paused:
            self._source.resume(list(self._positions))
        self._paused = not below
        return below

    def _take_in(self, runs: Sequence[MessageRun]) -> None:
        # A partition without a position is one whose assignment was cut short by the stop.
        ours = [run for run in runs if (run.topic, run.partition) in self._positions]
        if ours:
            self._gathering.add(ours, at=self._clock())
            if sum(len(run.values) for run in ours) < _FEW_MESSAGES:
                self._stop.wait(min(_NAP_SECONDS, self._patience()))

    def _patience(self) -> float:
        if not self._gathering.runs:
            return self._limits.freshness_seconds
        wait = self._gathering.since + self._limits.freshness_seconds - self._clock()
        # What is overdue waits for a batch to be stored.
        return max(wait, min(_NAP_SECONDS, self._limits.freshness_seconds) if self._stages.waiting else 0.0)

    def _is_due(self) -> bool:
        gathered = self._gathering
        if gathered.messages >= self._limits.max_messages or gathered.size_bytes >= self._limits.max_bytes:
            return True
        old = self._clock() - gathered.since >= self._limits.freshness_seconds
        return bool(gathered.runs) and old and not self._stages.waiting

    def _hand_over(self) -> None:
        gathered, self._gathering = self._gathering, Gathering()
        ranges = gathered.ranges(self._positions)
        self._positions.update({(part.topic, part.partition): part.next for part in ranges})
        self._stages.hand_over(gathered.runs, ranges, size_bytes=gathered.size_bytes)

    def _take_stored(self) -> int:
        stored = self._stages.take_stored()
        if stored.reached:
            with suppress(StreamError):  # it shows the lag, nothing else
                self._source.commit(stored.reached)
        return stored.hits

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
        if self._gathering.runs:
            self._hand_over()
        if not self._stages.wait_until_idle(self._limits.flush_seconds):
            # The next owner starts from the warehouse's offsets and meets the same messages.
            _log.warning("BI sink: partitions go to another sink with messages left to it")
        self._take_stored()
        self._drop(partitions)

    def _lost(self, partitions: Sequence[TopicPartition]) -> None:
        self._drop(partitions)

    def _drop(self, partitions: Sequence[TopicPartition]) -> None:
        self._gathering = self._gathering.without(partitions)
        self._stages.drop(partitions)
        for partition in partitions:
            self._positions.pop(partition, None)
