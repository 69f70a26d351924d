"""The BI sink on the broker and the warehouse in memory: every hit once, whatever happens around it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from threading import Event, Thread
from time import monotonic

import pyarrow as pa
import pytest

from consumers.bi_sink import GROUP, BiSink
from consumers.bi_sink_batch import MESSAGE_OVERHEAD_BYTES, Gathering, ReadyBatch
from consumers.bi_sink_limits import BatchLimits
from consumers.dead_letters import DeadLetterWriter, dead_letters
from streams.memory import MemoryBroker
from streams.messages import MessageRun
from streams.ports import OffsetOutOfRange
from streams.topics import HITS, all_topics
from tests.support.memory_sink import AT_ONCE, NOW, drain, produce, sink_of, units, value
from warehouse.errors import Fenced
from warehouse.hits import HITS_SCHEMA, OffsetRange
from warehouse.memory_hits import MemoryHits


@pytest.fixture
def broker() -> MemoryBroker:
    made = MemoryBroker()
    made.ensure_topics(all_topics(hit_partitions=2))
    return made


@pytest.fixture
def warehouse() -> MemoryHits:
    return MemoryHits()


@pytest.fixture
def sink(broker: MemoryBroker, warehouse: MemoryHits) -> Iterator[BiSink]:
    made = sink_of(broker, warehouse)
    made.start()
    yield made
    made.close()


def test_hits_of_all_partitions_reach_the_warehouse(broker: MemoryBroker, warehouse: MemoryHits, sink: BiSink) -> None:
    produce(broker, *[value(number) for number in range(20)], key=None)
    assert drain(sink) == 20
    assert units(warehouse) == list(range(20))
    assert dict(warehouse.offsets(HITS)) == {0: 10, 1: 10}
    assert broker.committed(GROUP) == {(HITS, 0): 10, (HITS, 1): 10}


def test_a_hit_that_was_produced_twice_is_counted_once(
    broker: MemoryBroker, warehouse: MemoryHits, sink: BiSink
) -> None:
    produce(broker, value(1), value(2), value(1))
    drain(sink)
    produce(broker, value(2), value(3))
    drain(sink)
    assert units(warehouse) == [1, 2, 3]


def test_a_restarted_sink_goes_on_from_the_warehouse_whatever_kafka_says(
    broker: MemoryBroker, warehouse: MemoryHits
) -> None:
    produce(broker, value(1), value(2))
    first = sink_of(broker, warehouse)
    first.start()
    drain(first)
    first.close()
    produce(broker, value(3))
    second = sink_of(broker, warehouse)
    second.start()
    assert drain(second) == 1
    second.close()


def test_a_first_sink_starts_at_the_oldest_message_that_is_left(broker: MemoryBroker, warehouse: MemoryHits) -> None:
    produce(broker, *[value(number) for number in range(10)])
    partition = next(part for part in ((HITS, 0), (HITS, 1)) if broker.log_reader(HITS).end_offsets()[part] == 10)
    broker.drop_before(partition, 4)
    sink = sink_of(broker, warehouse)
    sink.start()
    drain(sink)
    sink.close()
    assert units(warehouse) == list(range(4, 10))
    assert dict(warehouse.offsets(HITS)) == {partition[1]: 10}


def test_stored_offsets_that_the_topic_lost_stop_the_sink(broker: MemoryBroker, warehouse: MemoryHits) -> None:
    produce(broker, *[value(number) for number in range(10)])
    ends = broker.log_reader(HITS).end_offsets()
    (_, number) = partition = next(part for part, end in ends.items() if end == 10)
    warehouse.store(
        HITS_SCHEMA.empty_table(),
        [OffsetRange(topic=HITS, partition=number, first=0, next=2)],
    )
    broker.drop_before(partition, 5)
    sink = sink_of(broker, warehouse)
    sink.start()
    with pytest.raises(OffsetOutOfRange):
        drain(sink)
    sink.close()
    assert units(warehouse) == []


def test_a_warehouse_that_is_down_is_waited_for(broker: MemoryBroker, warehouse: MemoryHits, sink: BiSink) -> None:
    produce(broker, value(1), b"poison")
    drain(sink)
    warehouse.down = True
    produce(broker, value(2), b"poison")
    assert drain(sink) == 0
    produce(broker, value(3))
    assert drain(sink) == 0
    warehouse.down = False
    assert drain(sink) == 2
    assert units(warehouse) == [1, 2, 3]
    assert len(list(dead_letters(broker))) == 2


def test_a_sink_that_starts_before_its_warehouse_waits_for_the_offsets(
    broker: MemoryBroker, warehouse: MemoryHits
) -> None:
    warehouse.down = True
    produce(broker, value(1))
    sink = sink_of(broker, warehouse, batches=replace(AT_ONCE, first_retry_seconds=0.01, last_retry_seconds=0.01))
    stop = Event()
    running = Thread(target=sink.run, args=[stop])
    running.start()
    running.join(0.1)
    warehouse.down = False
    while not warehouse.rows():
        running.join(0.01)
    stop.set()
    running.join(60)
    assert not running.is_alive()
    assert units(warehouse) == [1]


def test_a_sink_can_be_stopped_while_its_warehouse_is_down(broker: MemoryBroker, warehouse: MemoryHits) -> None:
    warehouse.down = True
    produce(broker, value(1))
    sink = sink_of(broker, warehouse, batches=BatchLimits(first_retry_seconds=60.0))
    stop = Event()
    running = Thread(target=sink.run, args=[stop])
    running.start()
    running.join(0.05)
    stop.set()
    running.join(60)
    assert not running.is_alive()


def test_partitions_that_are_handed_over_are_stored_first(broker: MemoryBroker, warehouse: MemoryHits) -> None:
    patient = BatchLimits(freshness_seconds=3600.0)
    first = sink_of(broker, warehouse, batches=patient)
    first.start()
    produce(broker, *[value(number) for number in range(10)], key=None)
    first.step()
    assert units(warehouse) == []
    first.close()
    assert units(warehouse) == list(range(10))


def test_two_sinks_share_the_partitions_and_store_every_hit_once(broker: MemoryBroker, warehouse: MemoryHits) -> None:
    first, second = sink_of(broker, warehouse), sink_of(broker, warehouse)
    first.start()
    produce(broker, *[value(number) for number in range(10)], key=None)
    drain(first, 1)
    second.start()
    produce(broker, *[value(number) for number in range(10, 20)], key=None)
    stored = [(drain(first, 1), drain(second, 1)) for _ in range(6)]
    assert sum(mine for mine, _ in stored) == sum(theirs for _, theirs in stored) == 5
    assert units(warehouse) == list(range(20))
    first.close()
    second.close()


class ExpelledWhileStoring(MemoryHits):
    """Before its first store, another sink stores the same messages: what a sink that slept too long runs into."""

    def __init__(self, broker: MemoryBroker) -> None:
        super().__init__()
        self._broker = broker
        self._expelled = False

    def store(self, hits: pa.Table, ranges: Sequence[OffsetRange]) -> int:
        if not self._expelled:
            self._expelled = True
            other = BiSink(
                source=self._broker.source("the same partitions"),
                warehouse=self,
                dead_letters=DeadLetterWriter(self._broker.producer, now=lambda: NOW),
                batches=AT_ONCE,
            )
            other.start()
            drain(other)
            other.close()
        return super().store(hits, ranges)


def test_a_zombie_writes_nothing(broker: MemoryBroker) -> None:
    warehouse = ExpelledWhileStoring(broker)
    produce(broker, value(1), value(2))
    zombie = sink_of(broker, warehouse)
    zombie.start()
    with pytest.raises(Fenced):
        drain(zombie)
    zombie.close()
    assert units(warehouse) == [1, 2]
    assert list(warehouse.offsets(HITS).values()) == [2]
    again = sink_of(broker, warehouse)
    again.start()
    produce(broker, value(3))
    assert drain(again) == 1
    again.close()


def test_lost_partitions_are_dropped_and_read_again(broker: MemoryBroker, warehouse: MemoryHits) -> None:
    source = broker.source(GROUP)
    sink = BiSink(
        source=source,
        warehouse=warehouse,
        dead_letters=DeadLetterWriter(broker.producer, now=lambda: NOW),
        batches=BatchLimits(freshness_seconds=0.05),
    )
    sink.start()
    produce(broker, value(1))
    sink.step()
    source.expel()
    drain(sink, 3)
    assert units(warehouse) == [1]
    sink.close()


def test_what_is_in_hand_during_an_outage_stays_within_the_budget(broker: MemoryBroker, warehouse: MemoryHits) -> None:
    message = len(value(1)) + len(b"one partition") + MESSAGE_OVERHEAD_BYTES
    limits = replace(AT_ONCE, max_messages=10, budget_bytes=50 * message, first_retry_seconds=0.01)
    sink = sink_of(broker, warehouse, batches=limits)
    sink.start()
    drain(sink, 1)  # the assignment wants the warehouse
    warehouse.down = True
    produce(broker, *[value(number) for number in range(500)])
    for _ in range(20):
        sink.step()
    in_hand = sink._stages.size_bytes + sink._gathering.size_bytes
    assert 40 * message <= in_hand <= 70 * message, "the budget, and one poll"
    warehouse.down = False
    deadline = monotonic() + 20
    while len(warehouse.rows()) < 500 and monotonic() < deadline:
        sink.step()
    assert units(warehouse) == list(range(500))
    sink.close()


def test_partitions_that_are_lost_during_an_outage_are_stored_by_their_next_owner_alone(
    broker: MemoryBroker, warehouse: MemoryHits
) -> None:
    source = broker.source(GROUP)
    sink = BiSink(
        source=source,
        warehouse=warehouse,
        dead_letters=DeadLetterWriter(broker.producer, now=lambda: NOW),
        batches=replace(AT_ONCE, first_retry_seconds=30.0, last_retry_seconds=30.0),
    )
    sink.start()
    drain(sink, 1)
    warehouse.down = True
    produce(broker, *[value(number) for number in range(10)], key=None)
    drain(sink, 2)
    warehouse.down = False
    source.expel()
    other = sink_of(broker, warehouse)
    other.start()
    assert drain(other) == 10
    other.close()
    sink.close()
    assert units(warehouse) == list(range(10))


def test_a_batch_forgets_the_rows_and_the_letters_of_dropped_partitions_and_keeps_the_others() -> None:
    runs = [
        MessageRun(topic=HITS, partition=part, offsets=offsets, keys=[None] * 3, values=values)
        for part, offsets, values in [
            (0, [4, 5, 6], [value(1), b"poison", value(2)]),
            (1, [0, 1, 2], [b"venom", value(3), value(4)]),
            (0, [7, 8, 9], [value(5), value(6), b"bane"]),
        ]
    ]
    gathering = Gathering(runs, since=0.0)
    batch = ReadyBatch(runs, gathering.ranges({(HITS, 0): 3, (HITS, 1): None}))
    assert [(part.partition, part.first, part.next) for part in batch.ranges] == [(0, 3, 10), (1, 0, 3)]
    batch.drop([(HITS, 0)])
    assert batch.hits["unit_id"].to_pylist() == ["3", "4"]
    assert [letter.value for letter, _ in batch.letters] == [b"venom"]
    assert [(part.partition, part.first, part.next) for part in batch.ranges] == [(1, 0, 3)]
    batch.drop([(HITS, 1)])
    assert (batch.hits.num_rows, batch.letters, batch.ranges) == (0, [], [])
