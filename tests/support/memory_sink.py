"""A BI sink on the broker and the warehouse in memory, stepped by hand."""

from dataclasses import replace
from datetime import UTC, datetime
from threading import Event
from uuid import UUID

from consumers.bi_sink import GROUP, BiSink
from consumers.bi_sink_limits import BatchLimits, PoisonLimits
from consumers.dead_letters import DeadLetterWriter
from streams.memory import MemoryBroker
from streams.messages import OutgoingMessage
from streams.topics import HITS
from usersplit.hits import Hit, encode_hit
from warehouse.memory_hits import MemoryHits

NOW = datetime(2026, 5, 3, 12, 0, tzinfo=UTC)
AT_ONCE = BatchLimits(freshness_seconds=0.0, first_retry_seconds=0.0, last_retry_seconds=0.0)
_PLAIN = Hit(occurred_at=1_777_811_415_123_456, test_key="green_button", settings_group=3, variant="red")


def sink_of(
    broker: MemoryBroker,
    warehouse: MemoryHits,
    *,
    batches: BatchLimits = AT_ONCE,
    poison: PoisonLimits | None = None,
) -> BiSink:
    """Return a sink that has not started; it hands over at once unless `batches` says otherwise."""
    return BiSink(
        source=broker.source(GROUP),
        warehouse=warehouse,
        dead_letters=DeadLetterWriter(broker.producer, now=lambda: NOW),
        batches=batches,
        poison=poison,
    )


def value(number: int) -> bytes:
    """Return the bytes of a hit with an id and a unit of its own."""
    return encode_hit(replace(_PLAIN, hit_id=str(UUID(int=(7 << 76) | (2 << 62) | number)), unit_id=str(number)))


def produce(broker: MemoryBroker, *values: bytes | None, key: bytes | None = b"one partition") -> None:
    """Put `values` on the topic of hits: into one partition, or without a key over all of them."""
    broker.producer().send([OutgoingMessage(topic=HITS, key=key, value=value) for value in values])


def drain(sink: BiSink, steps: int = 6) -> int:
    """Let the sink read so many times, wait for the other threads each time, and return how many hits were stored."""
    stored = 0
    for _ in range(steps):
        stored += sink.step()
        if not sink._stages.wait_until_idle(5):
            Event().wait(0.02)  # an outage: it tries again
    return stored + sink.step()


def units(warehouse: MemoryHits) -> list[int]:
    """Return the number of every hit in the warehouse, in order."""
    return sorted(int(row["unit_id"]) for row in warehouse.rows())
