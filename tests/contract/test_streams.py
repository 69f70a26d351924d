"""One suite over every `streams.ports.Broker`: in memory, librdkafka's embedded one, a real Apache Kafka."""

import time
from uuid import uuid4

import pytest

from streams.messages import OutgoingMessage, Topic
from streams.ports import LogReader, OffsetOutOfRange, Source, StreamError, UnknownTopic
from tests.support.brokers import (
    KAFKA,
    PARTITIONS,
    Listener,
    World,
    join,
    numbered,
    read,
    read_to_end,
    send,
    values_by_key,
)


def test_messages_of_one_key_arrive_in_the_order_they_were_sent(world: World, joined: tuple[Source, Listener]) -> None:
    messages = numbered(world.topic, 500)
    send(world.broker, messages[:300])
    send(world.broker, messages[300:])
    found = read(joined[0], 500)
    assert len(found) == 500
    for key, values in values_by_key(found).items():
        assert values == [message.value for message in messages if message.key == key]


def test_equal_keys_go_to_one_partition_and_several_partitions_are_used(world: World, log_reader: LogReader) -> None:
    send(world.broker, numbered(world.topic, 200, keys=40))
    partitions_of_key: dict[bytes | None, set[int]] = {}
    for message in read(log_reader, 200):
        partitions_of_key.setdefault(message.key, set()).add(message.partition)
    assert all(len(partitions) == 1 for partitions in partitions_of_key.values())
    assert len(set.union(*partitions_of_key.values())) > 1


def test_headers_null_values_null_keys_and_any_bytes_come_through_as_they_were_sent(
    world: World, log_reader: LogReader
) -> None:
    outgoing = [
        OutgoingMessage(topic=world.topic, key=b"k", value=None, headers=(("a", b"1"), ("a", b"2"), ("b", b""))),
        OutgoingMessage(topic=world.topic, key=b"k", value=b"", headers=(("position", b"\x00\xff"),)),
        OutgoingMessage(topic=world.topic, key=b"k", value=bytes(range(256))),
        OutgoingMessage(topic=world.topic, key=None, value=b"no key"),
    ]
    send(world.broker, outgoing)
    found = read(log_reader, 4)
    with_key = [message for message in found if message.key == b"k"]
    assert [(m.value, m.headers) for m in with_key] == [(o.value, o.headers) for o in outgoing[:3]]
    assert [m.value for m in found if m.key is None] == [b"no key"]


def test_a_poll_returns_no_more_than_it_was_asked_for(
    world: World, joined: tuple[Source, Listener], log_reader: LogReader
) -> None:
    send(world.broker, numbered(world.topic, 50))
    for reader in (joined[0], log_reader):
        sizes: list[int] = []
        deadline = time.monotonic() + 60
        while sum(sizes) < 50 and time.monotonic() < deadline:
            sizes.append(len(reader.poll(max_messages=3, timeout_seconds=0.2)))
        assert sum(sizes) == 50
        assert max(sizes) <= 3


def test_a_poll_returns_as_soon_as_something_is_there(world: World, joined: tuple[Source, Listener]) -> None:
    send(world.broker, numbered(world.topic, 1))
    assert len(read(joined[0], 1)) == 1
    send(world.broker, numbered(world.topic, 1))
    started = time.monotonic()
    assert len(joined[0].poll(max_messages=1000, timeout_seconds=15)) == 1
    assert time.monotonic() - started < 10


def test_an_empty_send_is_nothing(world: World, log_reader: LogReader) -> None:
    send(world.broker, [])
    assert read_to_end(log_reader) == []


def test_an_offset_after_the_end_is_an_error_and_stays_one(world: World) -> None:
    send(world.broker, numbered(world.topic, 3))
    source = join(world, f"group-{uuid4().hex}", Listener(starts={(world.topic, 0): 1000}))
    for _ in range(2):
        with pytest.raises(OffsetOutOfRange, match="decide where to go on"):
            read(source, 1000)
    source.close()


def test_a_log_reader_reads_the_whole_topic_and_reaches_its_end(world: World) -> None:
    send(world.broker, numbered(world.topic, 300))
    reader = world.broker.log_reader(world.topic)
    found = read_to_end(reader)
    assert len(found) == 300
    assert sum(reader.end_offsets().values()) == 300
    send(world.broker, numbered(world.topic, 5))
    assert len(read(reader, 5)) == 5
    assert reader.position() == reader.end_offsets()
    reader.close()


def test_a_log_reader_reaches_the_end_of_an_empty_topic(world: World) -> None:
    reader = world.broker.log_reader(world.topic)
    assert read_to_end(reader) == []
    assert set(reader.end_offsets().values()) == {0}
    reader.close()


def test_two_log_readers_do_not_share(world: World) -> None:
    send(world.broker, numbered(world.topic, 30))
    readers = [world.broker.log_reader(world.topic) for _ in range(2)]
    assert [len(read_to_end(reader)) for reader in readers] == [30, 30]
    for reader in readers:
        reader.close()


def test_creating_topics_again_changes_nothing(world: World) -> None:
    send(world.broker, numbered(world.topic, 3))
    world.broker.ensure_topics([Topic(name=world.topic, partitions=9)])
    reader = world.broker.log_reader(world.topic)
    assert len(reader.end_offsets()) == PARTITIONS
    assert len(read_to_end(reader)) == 3
    reader.close()


def test_closing_twice_is_no_error_and_closed_things_say_so(world: World) -> None:
    producer = world.broker.producer()
    source = join(world, f"group-{uuid4().hex}", Listener())
    reader = world.broker.log_reader(world.topic)
    for closed in (producer, source, reader, producer, source, reader):
        closed.close()
    with pytest.raises(StreamError, match="closed"):
        producer.send(numbered(world.topic, 1))
    for closed_reader in (source, reader):
        with pytest.raises(StreamError, match="closed"):
            closed_reader.poll(max_messages=1, timeout_seconds=0)


@pytest.mark.parametrize("world", ["memory", KAFKA], indirect=True)
def test_a_log_reader_waits_for_a_topic_that_is_not_there_yet(world: World) -> None:
    # The embedded broker creates every topic that is asked for, so it has no such case.
    name = f"contract.{uuid4().hex}"
    reader = world.broker.log_reader(name)
    with pytest.raises(UnknownTopic, match=name):
        reader.end_offsets()
    assert reader.poll(max_messages=1, timeout_seconds=0.1) == []
    world.broker.ensure_topics([Topic(name=name, partitions=1)])
    send(world.broker, numbered(name, 3))
    assert len(read(reader, 3)) == 3
    reader.close()
