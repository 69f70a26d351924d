"""Reading in runs, on every broker: the messages of a partition as columns."""

import gc
import time
from uuid import uuid4

import pytest
from confluent_kafka import Producer

from streams.message_runs import in_runs
from streams.messages import MessageRun, OutgoingMessage, Topic
from streams.ports import OffsetOutOfRange, StreamError
from tests.support.brokers import (
    KAFKA,
    PARTITIONS,
    Listener,
    World,
    join,
    numbered,
    read_to_end,
    send,
)


@pytest.mark.parametrize("most", [70, 100_000])
def test_runs_hold_what_messages_hold_in_order_within_a_partition(world: World, most: int) -> None:
    sent = [*numbered(world.topic, 4000, keys=40), OutgoingMessage(topic=world.topic, key=b"a", value=None)]
    send(world.broker, sent)
    reader = world.broker.log_reader(world.topic)
    expected = read_to_end(reader)
    reader.close()
    source = in_runs(join(world, f"group-{uuid4().hex}", Listener()))
    runs: list[MessageRun] = []
    deadline = time.monotonic() + 60
    while sum(len(run.values) for run in runs) < 4001 and time.monotonic() < deadline:
        found = source.poll_runs(max_messages=most, timeout_seconds=0.5)
        assert sum(len(run.values) for run in found) <= most
        runs.extend(found)
    source.close()
    for run in runs:
        assert len(run.offsets) == len(run.keys) == len(run.values) > 0
    for number in range(PARTITIONS):
        read_in_runs = [
            (offset, key, value)
            for run in runs
            if (run.topic, run.partition) == (world.topic, number)
            for offset, key, value in zip(run.offsets, run.keys, run.values, strict=True)
        ]
        assert read_in_runs == [(m.offset, m.key, m.value) for m in expected if m.partition == number]


@pytest.mark.parametrize("world", [KAFKA], indirect=True)
def test_runs_name_the_offsets_of_their_messages_where_a_transaction_left_a_gap(world: World) -> None:
    producer = Producer({"bootstrap.servers": world.bootstrap_servers, "transactional.id": uuid4().hex})
    producer.init_transactions(30)
    for number in range(3):
        producer.begin_transaction()
        for _ in range(2):
            producer.produce(world.topic, b"%d" % number, partition=0)
        producer.commit_transaction(30)
    expected = [(m.offset, m.value) for m in read_to_end(world.broker.log_reader(world.topic))]
    assert expected[-1][0] > 5  # the ends of transactions have offsets of their own
    source = in_runs(join(world, f"group-{uuid4().hex}", Listener()))
    found: list[tuple[int, bytes | None]] = []
    deadline = time.monotonic() + 60
    while len(found) < 6 and time.monotonic() < deadline:
        for run in source.poll_runs(max_messages=500, timeout_seconds=0.5):
            found.extend(zip(run.offsets, run.values, strict=True))
    source.close()
    assert found == expected


def test_runs_of_two_topics_are_kept_apart(world: World) -> None:
    other = f"{world.topic}.other"
    world.broker.ensure_topics([Topic(name=other, partitions=PARTITIONS)])
    for topic in (world.topic, other, world.topic, other):
        send(world.broker, [OutgoingMessage(topic=topic, key=b"same", value=topic.encode())] * 50)
    listener = Listener()
    plain = world.broker.source(f"group-{uuid4().hex}")
    plain.subscribe([world.topic, other], assigned=listener.assigned, revoked=listener.revoked, lost=listener.lost)
    source = in_runs(plain)
    found: dict[str, int] = {world.topic: 0, other: 0}
    deadline = time.monotonic() + 60
    while sum(found.values()) < 200 and time.monotonic() < deadline:
        for run in source.poll_runs(max_messages=500, timeout_seconds=0.5):
            assert set(run.values) == {run.topic.encode()}
            found[run.topic] += len(run.values)
    assert found == {world.topic: 100, other: 100}
    source.close()


def test_a_source_of_runs_raises_as_any_other(world: World) -> None:
    send(world.broker, numbered(world.topic, 3))
    source = in_runs(join(world, f"group-{uuid4().hex}", Listener(starts={(world.topic, 0): 1000})))

    def read_on() -> None:
        for _ in range(40):
            source.poll_runs(max_messages=1000, timeout_seconds=0.5)

    with pytest.raises(OffsetOutOfRange):
        read_on()
    source.close()
    with pytest.raises(StreamError, match="closed"):
        source.poll_runs(max_messages=1, timeout_seconds=0)


@pytest.mark.parametrize("world", [KAFKA], indirect=True)
def test_reading_many_messages_at_once_sets_off_no_search_for_garbage(world: World) -> None:
    send(world.broker, numbered(world.topic, 12_000, keys=40))
    source = in_runs(join(world, f"group-{uuid4().hex}", Listener()))
    searches: list[str] = []

    def searched(phase: str, _: object) -> None:
        searches.append(phase)

    left = 12_000
    deadline = time.monotonic() + 60
    gc.collect()
    gc.callbacks.append(searched)
    try:
        while left > 0 and time.monotonic() < deadline:
            left -= sum(len(run.values) for run in source.poll_runs(max_messages=left, timeout_seconds=0.5))
    finally:
        gc.callbacks.remove(searched)
        source.close()
    assert left == 0
    # 17 of them if all of the client's objects were there at once.
    assert searches.count("start") <= 3
