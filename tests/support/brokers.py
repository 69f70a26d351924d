"""Brokers of every kind for the contract suites of streams, each with a topic of its own."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

import pytest
from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as KafkaPartition

from streams.groups import ConsumerGroups
from streams.kafka_broker import KafkaBroker
from streams.memory import MemoryBroker
from streams.messages import Message, OutgoingMessage, Topic, TopicPartition
from streams.ports import Broker, LogReader, Source

PARTITIONS = 4
"""As many as the embedded broker gives every topic."""

KAFKA = pytest.param("kafka", marks=pytest.mark.real_kafka)
KINDS = ["memory", "embedded", KAFKA]


@dataclass
class World:
    """A broker with a topic of its own, and what only tests ask of it."""

    broker: Broker
    bootstrap_servers: str = ""
    topic: str = ""

    @property
    def groups(self) -> ConsumerGroups:
        assert isinstance(self.broker, MemoryBroker | KafkaBroker)
        return self.broker.groups()

    def committed(self, group: str, partition: TopicPartition) -> int | None:
        if isinstance(self.broker, MemoryBroker):
            return self.broker.committed(group).get(partition)
        consumer = Consumer({"bootstrap.servers": self.bootstrap_servers, "group.id": group})
        try:
            offset = consumer.committed([KafkaPartition(*partition)], timeout=10)[0].offset
        finally:
            consumer.close()
        return offset if offset >= 0 else None


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest) -> World:
    world = bare_world(request)
    world.topic = new_topic(world.broker)
    return world


def bare_world(request: pytest.FixtureRequest) -> World:
    if request.param == "memory":
        return World(broker=MemoryBroker())
    if request.param == "embedded":
        servers = request.getfixturevalue("embedded_bootstrap")
        return World(broker=KafkaBroker(servers, embedded=True), bootstrap_servers=servers)
    servers = request.getfixturevalue("kafka").bootstrap_servers
    return World(broker=KafkaBroker(servers), bootstrap_servers=servers)


def new_topic(broker: Broker, *, partitions: int = PARTITIONS) -> str:
    name = f"contract.{uuid4().hex}"
    broker.ensure_topics([Topic(name=name, partitions=partitions)])
    return name


@dataclass
class Listener:
    """Keeps what it is told, and answers with the offsets it was made with."""

    starts: Mapping[TopicPartition, int] = field(default_factory=dict)
    owned: set[TopicPartition] = field(default_factory=set)
    told: list[tuple[str, list[TopicPartition]]] = field(default_factory=list)

    def assigned(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        self.told.append(("assigned", sorted(partitions)))
        self.owned.update(partitions)
        return self.starts

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self.told.append(("revoked", sorted(partitions)))
        self.owned.difference_update(partitions)

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        self.told.append(("lost", sorted(partitions)))
        self.owned.difference_update(partitions)


def join(world: World, group: str, listener: Listener) -> Source:
    source = world.broker.source(group)
    source.subscribe([world.topic], assigned=listener.assigned, revoked=listener.revoked, lost=listener.lost)
    return source


@pytest.fixture
def joined(world: World) -> Iterator[tuple[Source, Listener]]:
    listener = Listener()
    source = join(world, f"group-{uuid4().hex}", listener)
    yield source, listener
    source.close()


@pytest.fixture
def log_reader(world: World) -> Iterator[LogReader]:
    reader = world.broker.log_reader(world.topic)
    yield reader
    reader.close()


def numbered(topic: str, count: int, *, keys: int = 7) -> list[OutgoingMessage]:
    return [OutgoingMessage(topic=topic, key=b"key-%d" % (n % keys), value=b"%d" % n) for n in range(count)]


def send(broker: Broker, messages: Sequence[OutgoingMessage]) -> None:
    producer = broker.producer()
    producer.send(messages)
    producer.close()


def read(reader: Source | LogReader, count: int, *, seconds: float = 60) -> list[Message]:
    found: list[Message] = []
    deadline = time.monotonic() + seconds
    while len(found) < count and time.monotonic() < deadline:
        found.extend(reader.poll(max_messages=100, timeout_seconds=0.2))
    return found


def read_to_end(reader: LogReader) -> list[Message]:
    ends = reader.end_offsets()
    found: list[Message] = []
    deadline = time.monotonic() + 60
    while any(reader.position().get(partition, 0) < end for partition, end in ends.items()):
        assert time.monotonic() < deadline, f"{reader.position()} never reached {ends}"
        found.extend(reader.poll(max_messages=100, timeout_seconds=0.2))
    return found


def poll_until_shared(sources: Sequence[tuple[Source, Listener]]) -> list[Message]:
    found: list[Message] = []
    deadline = time.monotonic() + 60
    while not all(listener.owned for _, listener in sources) or sum(len(x.owned) for _, x in sources) != PARTITIONS:
        assert time.monotonic() < deadline, [listener.told for _, listener in sources]
        for source, _ in sources:
            found.extend(source.poll(max_messages=100, timeout_seconds=0.1))
    return found


def values_by_key(messages: Sequence[Message]) -> dict[bytes | None, list[bytes | None]]:
    found: dict[bytes | None, list[bytes | None]] = {}
    for message in messages:
        found.setdefault(message.key, []).append(message.value)
    return found
