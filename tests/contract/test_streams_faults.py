"""What only a real Apache Kafka can show: retention, its death and its freezing under those who speak to it."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from threading import Event, Thread, Timer
from uuid import uuid4

import pytest
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient

from streams.groups import GroupStanding
from streams.kafka_broker import KafkaBroker
from streams.messages import Message, OutgoingMessage, Topic, TopicPartition
from streams.ports import BrokerAway, DeliveryFailed, MessageTooLarge, OffsetOutOfRange, Source
from streams.topics import LARGEST_MESSAGE_BYTES
from tests.support.kafka import RealKafka
from tests.support.terminal import wait_until

pytestmark = pytest.mark.real_kafka


@pytest.fixture
def broker(kafka: RealKafka) -> Iterator[KafkaBroker]:
    yield KafkaBroker(kafka.bootstrap_servers, source_extra={"session.timeout.ms": 6000})
    kafka.start()


@pytest.fixture
def topic(broker: KafkaBroker) -> str:
    name = f"faults.{uuid4().hex}"
    broker.ensure_topics([Topic(name=name, partitions=1)])
    return name


def numbered(topic: str, numbers: Sequence[int]) -> list[OutgoingMessage]:
    return [OutgoingMessage(topic=topic, key=b"k", value=b"%d" % number) for number in numbers]


def send(broker: KafkaBroker, messages: Sequence[OutgoingMessage]) -> None:
    producer = broker.producer()
    producer.send(messages)
    producer.close()


def join(broker: KafkaBroker, topic: str, *, start: int = 0, found: Sequence[Message] = ()) -> Source:
    """Join a group of its own; after a rebalance it goes on behind what was `found`, as a sink does."""

    def assigned(partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        return dict.fromkeys(partitions, found[-1].offset + 1 if found else start)

    source = broker.source(f"group-{uuid4().hex}")
    source.subscribe([topic], assigned=assigned, revoked=lambda _: None, lost=lambda _: None)
    return source


def read(source: Source, count: int, *, seconds: float = 90) -> list[Message]:
    found: list[Message] = []
    deadline = time.monotonic() + seconds
    while len(found) < count and time.monotonic() < deadline:
        found.extend(source.poll(max_messages=100, timeout_seconds=0.2))
    return found


def test_what_retention_took_is_out_of_range_for_a_source(kafka: RealKafka, broker: KafkaBroker, topic: str) -> None:
    send(broker, numbered(topic, range(10)))
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    for answer in admin.delete_records([KafkaPartition(topic, 0, 4)]).values():
        answer.result(timeout=60)
    source = join(broker, topic, start=3)
    with pytest.raises(OffsetOutOfRange) as caught:
        read(source, 1)
    assert (caught.value.topic, caught.value.partition) == (topic, 0)
    source.close()
    reader = broker.log_reader(topic)
    deadline = time.monotonic() + 60
    found: list[Message] = []
    while reader.position().get((topic, 0), 0) < 10 and time.monotonic() < deadline:
        found += reader.poll(max_messages=100, timeout_seconds=0.2)
    assert [m.offset for m in found] == [4, 5, 6, 7, 8, 9]
    reader.close()


@pytest.mark.parametrize("fault", ["kill", "freeze"])
def test_a_send_and_a_source_outlive_the_broker(kafka: RealKafka, broker: KafkaBroker, topic: str, fault: str) -> None:
    found: list[Message] = []
    source = join(broker, topic, found=found)
    send(broker, numbered(topic, range(50)))
    found += read(source, 50)
    if fault == "kill":
        kafka.kill()
    else:
        kafka.freeze()
    sender = Thread(target=send, args=(broker, numbered(topic, range(50, 100))))
    sender.start()
    assert source.poll(max_messages=10, timeout_seconds=1) == [], "a broker that is away is not an error"
    assert sender.is_alive(), "a send waits for its acknowledgements"
    if fault == "kill":
        kafka.start()
    else:
        kafka.thaw()
    while len(found) < 100 and (more := read(source, 1)):
        found += more
    sender.join(timeout=90)
    assert not sender.is_alive()
    assert [int(m.value or b"") for m in found] == list(range(100)), "in order, nothing lost, nothing twice"
    source.close()


def test_a_waiting_send_can_be_given_up_and_then_sends_nothing_more(
    kafka: RealKafka, broker: KafkaBroker, topic: str
) -> None:
    producer = broker.producer()
    producer.send(numbered(topic, [1]))
    kafka.kill()
    give_up = Event()
    Timer(0.5, give_up.set).start()
    with pytest.raises(DeliveryFailed, match="give up"):
        producer.send(numbered(topic, [2]), give_up=give_up)
    kafka.start()
    send(broker, numbered(topic, [3]))
    source = join(broker, topic)
    assert [m.value for m in read(source, 2)] == [b"1", b"3"]
    source.close()


def test_questions_to_a_broker_that_is_away_say_so(kafka: RealKafka, broker: KafkaBroker, topic: str) -> None:
    reader = broker.log_reader(topic)
    kafka.kill()
    with pytest.raises(BrokerAway):
        reader.end_offsets()
    assert reader.poll(max_messages=1, timeout_seconds=0.2) == []
    with pytest.raises(BrokerAway):
        broker.ensure_topics([Topic(name="another", partitions=1)], timeout_seconds=0.5)
    kafka.start()

    def answers() -> bool:
        with suppress(BrokerAway):  # it listens before it leads the partition again
            return reader.end_offsets() == {(topic, 0): 0}
        return False

    wait_until("the broker tells the end again", answers)
    reader.close()


def test_whoever_looks_at_groups_outlives_a_broker_that_hangs(
    kafka: RealKafka, broker: KafkaBroker, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.kafka_groups._ANSWER_SECONDS", 0.3)
    groups, stop, told = broker.groups(), Event(), Counter[str]()

    def look() -> None:
        while not stop.is_set():
            try:
                assert groups.standing(f"group-{uuid4().hex}", topic) == GroupStanding(behind=0, members=0)
                told["standing"] += 1
            except BrokerAway:
                told["away"] += 1

    def wait_for(more: int, word: str) -> None:
        before = told[word]
        wait_until(f"{more} x {word}", lambda: told[word] >= before + more)

    looking = Thread(target=look)
    looking.start()
    for _ in range(4):
        wait_for(1, "standing")
        kafka.freeze()  # in the midst of a request
        wait_for(2, "away")
        kafka.thaw()
    stop.set()
    looking.join(60)
    assert not looking.is_alive()


def test_a_message_for_a_topic_that_nobody_created_is_not_delivered(kafka: RealKafka) -> None:
    broker = KafkaBroker(kafka.bootstrap_servers, extra={"topic.metadata.propagation.max.ms": 1000})
    producer = broker.producer()
    with pytest.raises(DeliveryFailed):
        producer.send(numbered(f"nowhere.{uuid4().hex}", [1]))


def test_a_message_that_is_too_large_is_refused_at_once(broker: KafkaBroker, topic: str) -> None:
    producer = broker.producer()
    with pytest.raises(MessageTooLarge, match="is too large: 8,388,609 bytes"):
        producer.send([OutgoingMessage(topic=topic, key=None, value=bytes(LARGEST_MESSAGE_BYTES + 1))])
