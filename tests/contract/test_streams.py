"""One suite over every `streams.ports.Broker`: in memory, librdkafka's embedded one, a real Apache Kafka."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka import TopicPartition as KafkaPartition

from streams.groups import ConsumerGroups
from streams.kafka_broker import KafkaBroker
from streams.memory import MemoryBroker
from streams.message_runs import in_runs
from streams.messages import Message, MessageRun, OutgoingMessage, Topic, TopicPartition
from streams.ports import Broker, BrokerAway, LogReader, OffsetOutOfRange, Source, StreamError, UnknownTopic
from tests.support.terminal import wait_until

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


def test_a_group_is_behind_by_what_it_did_not_commit_and_has_the_members_it_has(world: World) -> None:
    group = f"group-{uuid4().hex}"
    groups = world.groups

    def has_coordinator() -> bool:  # a broker that has just started looks for one
        with suppress(BrokerAway):
            return groups.standing(group, world.topic).behind == 0
        return False

    wait_until("the broker tells of the group", has_coordinator)
    send(world.broker, numbered(world.topic, 100))
    never = groups.standing(group, world.topic)
    assert (never.behind, never.members or 0) == (100, 0)
    source = join(world, group, Listener())
    found = read(source, 100)
    newest: dict[TopicPartition, int] = {}
    for message in found[:60]:
        newest[message.topic, message.partition] = message.offset + 1
    source.commit(newest)
    wait_until("the commit is seen", lambda: groups.standing(group, world.topic).behind == 100 - sum(newest.values()))
    assert groups.standing(group, world.topic).members in {1, None}
    source.close()
    assert groups.standing(group, world.topic).members in {0, None}
    elsewhere = {partition: offset for (_, partition), offset in newest.items()}
    assert groups.unread(world.topic, elsewhere) == 100 - sum(newest.values())
    assert groups.unread(world.topic, {}) == 100


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


def test_a_partition_starts_where_the_listener_says_and_at_its_beginning_otherwise(world: World) -> None:
    send(world.broker, numbered(world.topic, 400, keys=40))
    reader = world.broker.log_reader(world.topic)
    everything = read_to_end(reader)
    reader.close()
    listener = Listener(starts={(world.topic, 0): 5, (world.topic, 1): 1})
    source = join(world, f"group-{uuid4().hex}", listener)
    found = read(source, 394)
    source.close()
    expected = {(m.partition, m.offset) for m in everything} - {(0, n) for n in range(5)} - {(1, 0)}
    assert {(m.partition, m.offset) for m in found} == expected
    assert len(found) == len(expected)


def test_what_was_committed_does_not_move_the_start(world: World) -> None:
    group = f"group-{uuid4().hex}"
    send(world.broker, numbered(world.topic, 20))
    first = join(world, group, Listener())
    found = read(first, 20)
    first.commit({(m.topic, m.partition): m.offset + 1 for m in found})
    first.close()
    second = join(world, group, Listener())
    assert len(read(second, 20)) == 20
    second.close()


def test_a_commit_can_be_seen_by_whoever_measures_lag(world: World) -> None:
    group = f"group-{uuid4().hex}"
    send(world.broker, numbered(world.topic, 20, keys=1))
    source = join(world, group, Listener())
    last = read(source, 20)[-1]
    source.commit({(last.topic, last.partition): last.offset + 1})
    source.commit({})
    source.close()
    assert world.committed(group, (last.topic, last.partition)) == 20


def test_a_source_knows_how_much_is_unread(world: World, joined: tuple[Source, Listener]) -> None:
    source, _ = joined
    send(world.broker, numbered(world.topic, 30))
    given, deadline = read(source, 1), time.monotonic() + 60
    while source.unread() != 30 - len(given):  # of each partition, the first fetch tells its end
        assert time.monotonic() < deadline
        given.extend(source.poll(max_messages=1, timeout_seconds=0.2))
    assert len(given) + len(read(source, 30 - len(given))) == 30
    assert source.unread() == 0


def test_a_group_shares_the_partitions_and_reads_every_message(world: World) -> None:
    group = f"group-{uuid4().hex}"
    members = [(join(world, group, listener), listener) for listener in (Listener(), Listener())]
    assert poll_until_shared(members) == []
    assert not members[0][1].owned & members[1][1].owned
    send(world.broker, numbered(world.topic, 200, keys=40))
    shares: list[list[Message]] = [[], []]
    deadline = time.monotonic() + 60
    while sum(map(len, shares)) < 200 and time.monotonic() < deadline:
        for (source, _), share in zip(members, shares, strict=True):
            share.extend(source.poll(max_messages=50, timeout_seconds=0.1))
    assert len({(m.partition, m.offset) for share in shares for m in share}) == 200
    for (source, listener), share in zip(members, shares, strict=True):
        assert {(m.topic, m.partition) for m in share} <= listener.owned
        source.close()


def test_a_newcomer_takes_only_what_was_revoked_before(world: World) -> None:
    group = f"group-{uuid4().hex}"
    send(world.broker, numbered(world.topic, 100, keys=40))
    old = Listener()
    first = join(world, group, old)
    assert len(read(first, 100)) == 100
    new = Listener(starts={(world.topic, number): 10**6 for number in range(PARTITIONS)})
    reader = world.broker.log_reader(world.topic)
    new.starts = reader.end_offsets()
    reader.close()
    second = join(world, group, new)
    assert poll_until_shared([(first, old), (second, new)]) == [], "what stays is not read again"
    revoked = {partition for what, partitions in old.told if what == "revoked" for partition in partitions}
    assert new.owned
    assert new.owned <= revoked
    first.close()
    second.close()


def test_who_leaves_is_told_of_its_partitions_and_the_others_take_them_over(world: World) -> None:
    group = f"group-{uuid4().hex}"
    members = [(join(world, group, listener), listener) for listener in (Listener(), Listener())]
    poll_until_shared(members)
    leaver, listener = members[0]
    owned = sorted(listener.owned)
    leaver.close()
    assert listener.told[-1] == ("revoked", owned)
    stayer, stays = members[1]
    deadline = time.monotonic() + 60
    while len(stays.owned) < PARTITIONS and time.monotonic() < deadline:
        stayer.poll(max_messages=10, timeout_seconds=0.1)
    assert len(stays.owned) == PARTITIONS
    stayer.close()


def test_a_listener_that_fails_fails_the_poll(world: World) -> None:
    def refuse(partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        raise RuntimeError(f"no database for {len(partitions)} partitions")

    listener = Listener()
    source = world.broker.source(f"group-{uuid4().hex}")
    source.subscribe([world.topic], assigned=refuse, revoked=listener.revoked, lost=listener.lost)
    with pytest.raises(RuntimeError, match="no database"):
        read(source, 1)
    source.close()


def test_a_paused_partition_gives_nothing_until_it_is_resumed_and_then_everything(
    world: World, joined: tuple[Source, Listener]
) -> None:
    source, listener = joined
    send(world.broker, numbered(world.topic, 100, keys=40))
    first = source.poll(max_messages=10, timeout_seconds=20) or read(source, 1)
    source.pause(sorted(listener.owned))
    assert source.poll(max_messages=100, timeout_seconds=0.5) == []
    send(world.broker, numbered(world.topic, 100, keys=40))
    assert source.poll(max_messages=100, timeout_seconds=0.5) == []
    source.resume(sorted(listener.owned))
    rest = read(source, 200 - len(first))
    offsets: dict[int, list[int]] = {}
    for message in [*first, *rest]:
        offsets.setdefault(message.partition, []).append(message.offset)
    assert sum(map(len, offsets.values())) == 200
    assert all(found == list(range(len(found))) for found in offsets.values())


def test_one_paused_partition_does_not_hold_up_the_others(world: World, joined: tuple[Source, Listener]) -> None:
    source, listener = joined
    poll_until_shared([joined])
    source.pause([(world.topic, 0)])
    send(world.broker, numbered(world.topic, 200, keys=40))
    reader = world.broker.log_reader(world.topic)
    ends = reader.end_offsets()
    reader.close()
    found = read(source, 200 - ends[world.topic, 0])
    assert {m.partition for m in found} == {1, 2, 3}
    source.resume(sorted(listener.owned))
    assert len(read(source, ends[world.topic, 0])) == ends[world.topic, 0]


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


@pytest.mark.parametrize("world", [KINDS[0], KINDS[2]], indirect=True)
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
