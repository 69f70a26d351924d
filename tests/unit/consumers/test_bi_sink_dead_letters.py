"""What the BI sink cannot read goes to the dead letters, and stops it where it is too much."""

from collections.abc import Iterator

import pytest

from consumers.bi_sink import BiSink
from consumers.bi_sink_limits import PoisonLimits, TooManyDeadLetters
from consumers.dead_letters import UnknownDeadLetter, dead_letter, dead_letters, drop, replay
from streams.memory import MemoryBroker
from streams.messages import OutgoingMessage
from streams.topics import DEAD_HITS, HITS, all_topics
from tests.support.memory_sink import NOW, drain, produce, sink_of, units, value
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


@pytest.mark.parametrize("place", [0, 2, 4])
def test_poison_goes_to_the_dead_letters_and_its_neighbours_are_stored(
    broker: MemoryBroker, warehouse: MemoryHits, sink: BiSink, place: int
) -> None:
    values = [value(number) for number in range(5)]
    values[place] = b"poison"
    produce(broker, *values)
    drain(sink)
    assert units(warehouse) == [number for number in range(5) if number != place]
    (letter,) = dead_letters(broker)
    assert (letter.topic, letter.offset, letter.value, letter.key) == (HITS, place, b"poison", b"one partition")
    assert (letter.at, letter.letter_id) == (NOW.isoformat(), "0:0")
    assert "starts with" in letter.reason
    assert list(warehouse.offsets(HITS).values()) == [5]


def test_a_batch_of_nothing_but_poison_within_the_limits_moves_on(
    broker: MemoryBroker, warehouse: MemoryHits, sink: BiSink
) -> None:
    produce(broker, b"a", None, b"c")
    drain(sink)
    assert [letter.value for letter in dead_letters(broker)] == [b"a", None, b"c"]
    assert list(warehouse.offsets(HITS).values()) == [3]


def test_a_run_of_poison_stops_the_sink_before_anything_moves(broker: MemoryBroker, warehouse: MemoryHits) -> None:
    produce(broker, value(1), *[b"poison"] * 4)
    sink = sink_of(broker, warehouse, poison=PoisonLimits(max_run=3))
    sink.start()
    with pytest.raises(TooManyDeadLetters, match="4 messages in a row"):
        drain(sink)
    sink.close()
    assert (units(warehouse), list(dead_letters(broker)), dict(warehouse.offsets(HITS))) == ([], [], {})


def test_a_run_is_counted_across_batches(broker: MemoryBroker, warehouse: MemoryHits) -> None:
    sink = sink_of(broker, warehouse, poison=PoisonLimits(max_run=3))
    sink.start()
    for _ in range(3):
        produce(broker, b"poison")
        drain(sink, 1)
    produce(broker, b"poison")
    with pytest.raises(TooManyDeadLetters):
        drain(sink)
    sink.close()


def test_too_much_poison_in_a_window_stops_the_sink(broker: MemoryBroker, warehouse: MemoryHits) -> None:
    limits = PoisonLimits(max_run=3, window=10, max_in_window=4)
    values = [value(number) if number % 2 else b"poison" for number in range(10)]
    sink = sink_of(broker, warehouse, poison=limits)
    sink.start()
    produce(broker, *values[:8])
    drain(sink)
    produce(broker, *values[8:])
    with pytest.raises(TooManyDeadLetters, match="5 of the last 10"):
        drain(sink)
    sink.close()


def test_dead_letters_that_cannot_be_delivered_hold_the_offsets_back(warehouse: MemoryHits) -> None:
    broker = MemoryBroker()
    hits, dead = all_topics(hit_partitions=2)[:2]
    broker.ensure_topics([hits])
    produce(broker, b"poison", value(1))
    sink = sink_of(broker, warehouse)
    sink.start()
    assert drain(sink) == 0
    assert dict(warehouse.offsets(HITS)) == {}
    broker.ensure_topics([dead])
    assert drain(sink) == 1
    assert len(list(dead_letters(broker))) == 1
    sink.close()


def test_letters_are_listed_shown_and_replayed(broker: MemoryBroker, sink: BiSink) -> None:
    produce(broker, b"poison", value(1), b"venom")
    drain(sink)
    assert dead_letter(broker, "0:1").value == b"venom"
    with pytest.raises(UnknownDeadLetter, match="there is no dead letter 0:7"):
        dead_letter(broker, "0:7")
    with pytest.raises(UnknownDeadLetter):
        replay(broker, ["0:0", "0:7"])
    assert replay(broker, ["0:1"]) == 1
    drain(sink)
    assert [letter.value for letter in dead_letters(broker)] == [b"poison", b"venom", b"venom"]
    assert replay(broker) == 3


def test_a_replayed_letter_that_is_valid_by_now_is_stored(
    broker: MemoryBroker, warehouse: MemoryHits, sink: BiSink
) -> None:
    broker.producer().send([OutgoingMessage(topic=DEAD_HITS, key=b"k", value=value(5))])
    assert replay(broker) == 1
    assert drain(sink) == 1
    assert units(warehouse) == [5]


def test_letters_that_were_dropped_are_not_listed_shown_or_replayed(broker: MemoryBroker, sink: BiSink) -> None:
    produce(broker, b"poison", b"venom", b"bane")
    drain(sink)
    with pytest.raises(UnknownDeadLetter):
        drop(broker, ["0:1", "0:7"])
    assert drop(broker, ["0:1"]) == 1
    assert [letter.value for letter in dead_letters(broker)] == [b"poison", b"bane"]
    with pytest.raises(UnknownDeadLetter):
        dead_letter(broker, "0:1")
    with pytest.raises(UnknownDeadLetter):
        drop(broker, ["0:1"])
    assert replay(broker) == 2
    assert drop(broker) == 2
    assert list(dead_letters(broker)) == []
