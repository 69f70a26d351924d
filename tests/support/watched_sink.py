"""BI sinks in the tests' own process, each with a warehouse that tells what the sink stored, and may be away for it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from threading import Event, Thread
from typing import Any
from uuid import UUID

import pyarrow as pa

from consumers.bi_sink import BiSink
from consumers.bi_sink_limits import BatchLimits, PoisonLimits
from consumers.dead_letters import DeadLetterWriter
from streams.kafka_broker import KafkaBroker
from streams.messages import OutgoingMessage
from streams.ports import Source
from usersplit.hits import Hit, encode_hit
from warehouse.errors import WarehouseDown
from warehouse.hits import HitWarehouse, OffsetRange

_PLAIN = Hit(occurred_at=1_777_811_415_123_456, test_key="green", variant="red", settings_group=1)


class WatchedWarehouse:
    """The warehouse as one sink sees it."""

    def __init__(self, warehouse: HitWarehouse) -> None:
        self._warehouse = warehouse
        self.down = False
        self.stored: list[OffsetRange] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._warehouse, name)

    def store(self, hits: pa.Table, ranges: Sequence[OffsetRange]) -> int:
        """Store, unless it is away for this sink."""
        if self.down:
            raise WarehouseDown("it is away for this sink alone")
        new = self._warehouse.store(hits, ranges)
        self.stored.extend(ranges)
        return new

    def partitions(self) -> set[int]:
        """Return the partitions of which the sink stored something."""
        return {part.partition for part in self.stored}


@dataclass(frozen=True, slots=True)
class WatchedSink:
    """A sink and its warehouse. It runs as a thread, or a test steps it by hand."""

    sink: BiSink
    warehouse: WatchedWarehouse

    @contextmanager
    def running(self) -> Iterator[list[BaseException]]:
        """Run it while the block runs; what it failed of is in the list."""
        failed: list[BaseException] = []
        stop = Event()

        def run() -> None:
            try:
                self.sink.run(stop)
            except BaseException as error:  # noqa: BLE001 - the test's own thread tells it
                failed.append(error)

        thread = Thread(target=run)
        thread.start()
        try:
            yield failed
        finally:
            stop.set()
            thread.join(60)
            assert not thread.is_alive()

    def partitions(self) -> set[int]:
        """Return the partitions that are the sink's now."""
        return {partition for _, partition in self.sink._positions}

    def in_hand(self) -> int:
        """Return how many messages it has read and not handed over."""
        return self.sink._gathering.messages


def watched_sink(
    source: Source,
    broker: KafkaBroker,
    warehouse: HitWarehouse,
    topic: str,
    *,
    batches: BatchLimits | None = None,
    poison: PoisonLimits | None = None,
    patient: bool = False,
) -> WatchedSink:
    """Return a sink of `topic`, whose dead letters go to `topic`.dead.

    A patient one's time stands still: what it gathers is handed over only when its partitions go, or at its end.
    """
    watched = WatchedWarehouse(warehouse)
    port: Any = watched
    clock = {"clock": lambda: 0.0} if patient else {}
    sink = BiSink(
        source=source,
        warehouse=port,
        dead_letters=DeadLetterWriter(broker.producer, now=lambda: datetime.now(UTC), topic=f"{topic}.dead"),
        batches=batches or BatchLimits(max_messages=300, freshness_seconds=0.05),
        poison=poison,
        topic=topic,
        **clock,
    )
    return WatchedSink(sink, watched)


def a_hit(number: int, **fields: Any) -> bytes:
    """Return the bytes of a hit with an id and a unit of its own."""
    return encode_hit(replace(_PLAIN, **{"hit_id": str(UUID(int=(7 << 76) | number)), "unit_id": str(number)} | fields))


def send(broker: KafkaBroker, topic: str, values: Sequence[bytes | None]) -> None:
    """Put `values` on `topic`, over all of its partitions, and wait until they are there."""
    producer = broker.producer()
    producer.send([OutgoingMessage(topic=topic, key=str(at).encode(), value=value) for at, value in enumerate(values)])
    producer.close()
