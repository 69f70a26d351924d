"""The consumer that keeps BI's dimensions: the lifecycle topic, folded into the tables of `warehouse.dimensions`.

It reads the whole topic at its start, which keeps everything and is small beside the hits, to know what each test looks
like; rows are stored only for what the warehouse's offsets say it has not seen. Rows and offsets move in one
transaction, offsets by compare-and-set: a crash loses nothing, and of two of these consumers one is fenced and stops.
"""

from collections.abc import Sequence
from logging import getLogger
from threading import Event
from typing import Final

from consumers.dimension_facts import DimensionFold
from events.errors import UnknownFact
from events.lifecycle_codec import decode_event
from events.registry import FactRegistry
from events.store import recorded
from streams.messages import Message, TopicPartition
from streams.ports import Broker, BrokerAway, LogReader, UnknownTopic
from streams.topics import LIFECYCLE
from warehouse.dimensions import DimensionWarehouse
from warehouse.errors import WarehouseDown
from warehouse.hits import OffsetRange

_MESSAGES: Final = 500
_RETRY_SECONDS: Final = 1.0

_log = getLogger(__name__)


class DimensionsFollower:
    """Follows the lifecycle topic. One thread only, and one process for each warehouse."""

    def __init__(
        self, *, broker: Broker, warehouse: DimensionWarehouse, registry: FactRegistry, topic: str = LIFECYCLE
    ) -> None:
        self._broker = broker
        self._warehouse = warehouse
        self._registry = registry
        self._topic = topic
        self._reader: LogReader | None = None
        self._fold = DimensionFold()
        self._stored: dict[TopicPartition, int] = {}

    def run(self, stop: Event) -> None:
        """Follow until `stop` is set. A broker or a warehouse that is away is waited for.

        Raises:
            Fenced: another one of these stores dimensions here; stop one of them. MalformedEvent, OffsetOutOfRange,
            WarehouseRefused: what a person must look at.
        """
        try:
            while not stop.is_set():
                try:
                    self.step()
                except (WarehouseDown, BrokerAway, UnknownTopic) as error:
                    _log.warning("dimensions: nothing stored, beginning again soon: %s", error)
                    self.close()
                    stop.wait(_RETRY_SECONDS)
        finally:
            self.close()

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
            self._apply(message)
        self._fold.take()
        if new:
            self._store(new)
        return len(new)

    def close(self) -> None:
        """Forget what was read and let go of the connection to Kafka. Idempotent."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _begin(self) -> LogReader:
        self._stored = {(self._topic, number): at for number, at in self._warehouse.offsets(self._topic).items()}
        self._fold = DimensionFold()
        self._reader = self._broker.log_reader(self._topic)
        return self._reader

    def _is_new(self, message: Message) -> bool:
        return message.offset >= self._stored.get((message.topic, message.partition), 0)

    def _store(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self._apply(message)
        following = {(message.topic, message.partition): message.offset + 1 for message in messages}
        ranges = [
            OffsetRange(topic=place[0], partition=place[1], first=self._stored.get(place, 0), next=end)
            for place, end in sorted(following.items())
        ]
        self._warehouse.store(self._fold.take(), ranges)
        self._stored.update(following)

    def _apply(self, message: Message) -> None:
        event = decode_event(message.value or b"")
        try:
            self._fold.apply(recorded(event, self._registry))
        except UnknownFact as error:
            _log.info("dimensions: a fact of a newer release is not shown in BI: %s", error)
