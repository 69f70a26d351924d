from collections.abc import Mapping, Sequence
from threading import Thread

import pytest

from streams.memory import MemoryBroker
from streams.memory_group import MemorySource
from streams.messages import OutgoingMessage, Topic, TopicPartition
from streams.ports import DeliveryFailed, OffsetOutOfRange

PARTITION: TopicPartition = ("t", 0)


def a_broker(*, messages: int = 0) -> MemoryBroker:
    broker = MemoryBroker()
    broker.ensure_topics([Topic(name="t", partitions=1)])
    send(broker, messages)
    return broker


def send(broker: MemoryBroker, count: int) -> None:
    broker.producer().send([OutgoingMessage(topic="t", key=b"k", value=b"%d" % number) for number in range(count)])


def join(broker: MemoryBroker, *, start: int = 0) -> tuple[MemorySource, list[str]]:
    told: list[str] = []

    def assigned(partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        told.append("assigned")
        return dict.fromkeys(partitions, start)

    source = broker.source("group")
    source.subscribe(
        ["t"], assigned=assigned, revoked=lambda _: told.append("revoked"), lost=lambda _: told.append("lost")
    )
    return source, told


def test_what_retention_took_is_out_of_range_for_a_source() -> None:
    broker = a_broker(messages=10)
    broker.drop_before(PARTITION, 4)
    source, _ = join(broker, start=3)
    with pytest.raises(OffsetOutOfRange, match="no offset 3 in the log"):
        source.poll(max_messages=1, timeout_seconds=0)


def test_retention_that_overtakes_a_reader_is_an_error_not_a_silent_jump() -> None:
    broker = a_broker(messages=10)
    source, _ = join(broker)
    assert [m.offset for m in source.poll(max_messages=2, timeout_seconds=0)] == [0, 1]
    broker.drop_before(PARTITION, 4)
    with pytest.raises(OffsetOutOfRange):
        source.poll(max_messages=2, timeout_seconds=0)


def test_a_partition_without_a_start_begins_with_its_oldest_message() -> None:
    broker = a_broker(messages=10)
    broker.drop_before(PARTITION, 4)
    reader = broker.log_reader("t")
    assert [m.offset for m in reader.poll(max_messages=100, timeout_seconds=0)] == [4, 5, 6, 7, 8, 9]


def test_who_was_expelled_is_told_of_the_loss_may_not_commit_and_joins_again() -> None:
    broker = a_broker(messages=3)
    source, told = join(broker)
    source.poll(max_messages=10, timeout_seconds=0)
    source.expel()
    source.commit({PARTITION: 3})
    assert broker.committed("group") == {}
    assert len(source.poll(max_messages=10, timeout_seconds=0)) == 3
    assert told == ["assigned", "lost", "assigned"]


def test_who_was_expelled_and_closes_is_told_of_the_loss_only() -> None:
    source, told = join(a_broker())
    source.poll(max_messages=10, timeout_seconds=0)
    source.expel()
    source.close()
    assert told == ["assigned", "lost"]


def test_a_waiting_poll_is_woken_by_a_message() -> None:
    broker = a_broker()
    source, _ = join(broker)
    sender = Thread(target=send, args=(broker, 1))
    sender.start()
    assert len(source.poll(max_messages=10, timeout_seconds=30)) == 1
    sender.join()


def test_a_message_for_a_topic_that_nobody_created_is_not_delivered() -> None:
    with pytest.raises(DeliveryFailed, match="create the topics first"):
        a_broker().producer().send([OutgoingMessage(topic="nowhere", key=None, value=b"")])
