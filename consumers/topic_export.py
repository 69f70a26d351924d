"""The loop of what exports a topic to BI beside the hits: folded into rows of `warehouse.dimensions`.

It reads the whole topic at its start, which is small beside the hits, to know what came before; rows are stored only
for what the warehouse's offsets say it has not seen. Rows and offsets move in one transaction, offsets by
compare-and-set: a crash loses nothing, and of two of these consumers one is fenced and stops.
"""

from collections.abc import Callable, Sequence
from logging import getLogger
from threading import Event
from typing import Final, Protocol

from consumers.repeated import Repeated
from streams.messages import Message, TopicPartition
from streams.ports import Broker, BrokerAway, LogReader, UnknownTopic
from warehouse.dimensions import DimensionRows, DimensionWarehouse
from warehouse.errors import WarehouseDown
from warehouse.hits import OffsetRange

_MESSAGES: Final = 500
_RETRY_SECONDS: Final = 1.0

_log = getLogger(__name__)


class Fold(Protocol):
    """Takes a topic's messages in, in their order within each partition, and gives the rows that changed."""

    def apply(self, message: Message) -> None:
        """Take a message in. Raises for one that a person must look at."""
        ...

    def take(self) -> DimensionRows:
        """Return the rows that changed since the last call, each key once."""
        ...


class TopicExport:
    """Follows one topic. One thread only, and one process for each warehouse."""

    def __init__(self, *, broker: Broker, warehouse: DimensionWarehouse, topic: str, fold: Callable[[], Fold]) -> None:
        """`fold` makes what the messages are folded with, anew at every beginning."""
        self._broker = broker
        self._warehouse = warehouse
        self._topic = topic
        self._new_fold = fold
        self._fold = fold()
        self._reader: LogReader | None = None
        self._stored: dict[TopicPartition, int] = {}
        self._told = Repeated()

    def run(self, stop: Event) -> None:
        """Follow until `stop` is set. A broker or a warehouse that is away is waited for.

        Raises:
            Fenced: another one of these stores the topic's rows here; stop one of them. MalformedEvent,
            OffsetOutOfRange, WarehouseRefused: what a person must look at.
        """
        run_together([self], stop)

    def step(self, *, timeout_seconds: float = 0.5) -> int:
        """Read once, store what is new, and return how many messages that was.

        Blocks for about `timeout_seconds`, and while the warehouse does. Commits its own transaction. Raises as `run`,
        and WarehouseDown, BrokerAway, UnknownTopic: close, and begin again.
        """
        reader = self._reader or self._begin()
        messages = reader.poll(max_messages=_MESSAGES, timeout_seconds=timeout_seconds)
        # Of a partition, what is known comes before what is new.
        known = [message for message in messages if not self._is_new(message)]
        new = [message for message in messages if self._is_new(message)]
        for message in known:
            self._fold.apply(message)
        self._fold.take()
        if new:
            self._store(new)
        return len(new)

    def step_or_begin_again(self, stop: Event) -> None:
        """Step; while the broker or the warehouse is away, wait a little and begin again. Raises as `run`."""
        try:
            self.step()
        except (WarehouseDown, BrokerAway, UnknownTopic) as error:
            if self._told.is_due(str(error)):
                _log.warning("%s into BI: nothing stored, beginning again soon: %s", self._topic, error)
            self.close()
            stop.wait(_RETRY_SECONDS)

    def close(self) -> None:
        """Forget what was read and let go of the connection to Kafka. Idempotent."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _begin(self) -> LogReader:
        self._stored = {(self._topic, number): at for number, at in self._warehouse.offsets(self._topic).items()}
        self._fold = self._new_fold()
        self._reader = self._broker.log_reader(self._topic)
        return self._reader

    def _is_new(self, message: Message) -> bool:
        return message.offset >= self._stored.get((message.topic, message.partition), 0)

    def _store(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self._fold.apply(message)
        following = {(message.topic, message.partition): message.offset + 1 for message in messages}
        ranges = [
            OffsetRange(topic=place[0], partition=place[1], first=self._stored.get(place, 0), next=end)
            for place, end in sorted(following.items())
        ]
        self._warehouse.store(self._fold.take(), ranges)
        self._stored.update(following)


def run_together(exports: Sequence[TopicExport], stop: Event) -> None:
    """Follow the topics of `exports` in turns until `stop` is set. Raises as `TopicExport.run`."""
    try:
        while not stop.is_set():
            for export in exports:
                export.step_or_begin_again(stop)
    finally:
        for export in exports:
            export.close()
