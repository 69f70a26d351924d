"""Partitions that go from one sink to another, on a real Kafka: what is in hand is stored first, or never."""

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise
from time import monotonic, sleep
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka.admin import AdminClient

from consumers.bi_sink_limits import BatchLimits, PoisonLimits, TooManyDeadLetters
from consumers.dead_letters import dead_letters
from streams.kafka_broker import KafkaBroker
from streams.messages import Topic
from streams.ports import Source
from tests.support.kafka import RealKafka
from tests.support.watched_sink import WatchedSink, a_hit, send, watched_sink
from warehouse.hits import HitWarehouse
from warehouse.postgres_hits import PostgresHits

pytestmark = [pytest.mark.real_kafka, pytest.mark.real_postgres]

PARTITIONS = 4
HITS_SENT = 400
PATIENT = BatchLimits(freshness_seconds=0.05, flush_seconds=20.0)


@pytest.fixture
def topic(broker: KafkaBroker) -> str:
    name = f"hits-{uuid4().hex}"
    broker.ensure_topics([Topic(name=name, partitions=PARTITIONS), Topic(name=f"{name}.dead", partitions=1)])
    return name


@pytest.fixture
def broker(kafka: RealKafka) -> KafkaBroker:
    # A member hears of a rebalance at its next heartbeat.
    return KafkaBroker(kafka.bootstrap_servers, source_extra={"heartbeat.interval.ms": 200})


@pytest.fixture
def warehouse(postgres_url: str) -> Iterator[PostgresHits]:
    with closing(PostgresHits(postgres_url)) as made:
        made.prepare()
        yield made


@pytest.fixture
def opened(broker: KafkaBroker, topic: str, warehouse: PostgresHits) -> Iterator[Callable[..., WatchedSink]]:
    made: list[WatchedSink] = []

    def open_sink(source: Source | None = None, **more: Any) -> WatchedSink:
        source = source or broker.source(f"sinks of {topic}")
        made.append(watched_sink(source, broker, warehouse, topic, **more))
        return made[-1]

    yield open_sink
    for sink in made:
        sink.sink.close()


Opened = Callable[..., WatchedSink]


def stored(warehouse: HitWarehouse) -> int:
    return sum(line.hits for line in warehouse.hits_per_variant())


def until(reached: Callable[[], bool], step: Callable[[], object]) -> None:
    """Let a sink step until something is so."""
    deadline = monotonic() + 60
    while not reached():
        assert monotonic() < deadline, "it did not come about in time"
        step()


def members(admin: AdminClient, group: str) -> int:
    described: Any = admin.describe_consumer_groups([group])[group].result(timeout=20)
    return len(described.members)


def watch() -> None:
    """Wait a little while others work."""
    sleep(0.02)


def gather_everything(sink: WatchedSink, count: int) -> None:
    sink.sink.start()
    until(lambda: sink.in_hand() == count, sink.sink.step)


def test_what_is_in_hand_is_stored_before_its_partitions_go(
    broker: KafkaBroker, topic: str, warehouse: PostgresHits, opened: Opened
) -> None:
    send(broker, topic, [a_hit(number) for number in range(HITS_SENT)])
    first = opened(batches=PATIENT, patient=True)
    second = opened()
    gather_everything(first, HITS_SENT)
    assert stored(warehouse) == 0
    with second.running() as failed:
        until(lambda: len(second.partitions()) == PARTITIONS // 2, first.sink.step)
        assert stored(warehouse) == HITS_SENT
        assert second.warehouse.stored == []
        assert len(first.partitions()) == PARTITIONS // 2
        send(broker, topic, [a_hit(number) for number in range(HITS_SENT, 2 * HITS_SENT)])
        until(lambda: first.in_hand() + stored(warehouse) == 2 * HITS_SENT, first.sink.step)
        first.sink.close()
        assert stored(warehouse) == 2 * HITS_SENT
    assert failed == []
    for partition in range(PARTITIONS):
        ranges = [part for part in first.warehouse.stored + second.warehouse.stored if part.partition == partition]
        assert ranges[0].first == 0
        assert all(one.next == other.first for one, other in pairwise(ranges))


def test_what_cannot_be_stored_in_time_is_left_to_the_next_owner_and_the_rest_is_kept(
    broker: KafkaBroker, topic: str, warehouse: PostgresHits, opened: Opened
) -> None:
    send(broker, topic, [a_hit(number) for number in range(HITS_SENT)])
    hasty = BatchLimits(freshness_seconds=0.05, flush_seconds=0.2, first_retry_seconds=0.05, last_retry_seconds=0.05)
    first = opened(batches=hasty, patient=True)
    second = opened()
    first.warehouse.down = True
    gather_everything(first, HITS_SENT)
    with second.running() as failed:
        # It is given its partitions, and starts where the warehouse stands: at the beginning.
        until(lambda: len(second.warehouse.partitions()) == PARTITIONS // 2, first.sink.step)
        kept = first.partitions()
        assert (first.warehouse.stored, len(kept)) == ([], PARTITIONS // 2)
        first.warehouse.down = False
        until(lambda: stored(warehouse) == HITS_SENT, first.sink.step)
    assert failed == []
    first.sink.close()
    assert first.warehouse.partitions() == kept
    assert second.warehouse.partitions() == set(range(PARTITIONS)) - kept
    assert stored(warehouse) == sum(warehouse.offsets(topic).values()) == HITS_SENT


def test_what_is_in_hand_when_partitions_are_lost_is_dropped(
    kafka: RealKafka, broker: KafkaBroker, topic: str, warehouse: PostgresHits, opened: Opened
) -> None:
    send(broker, topic, [a_hit(number) for number in range(HITS_SENT)])
    # A member that does not ask for so long is one no more. Nobody tells it before it asks again.
    sleepy = {"session.timeout.ms": 2000, "max.poll.interval.ms": 2000, "heartbeat.interval.ms": 200}
    sleeper = KafkaBroker(kafka.bootstrap_servers, source_extra=sleepy)
    first = opened(sleeper.source(f"sinks of {topic}"), batches=PATIENT, patient=True)
    second = opened()
    gather_everything(first, HITS_SENT)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    until(lambda: members(admin, f"sinks of {topic}") == 0, watch)
    with second.running() as failed:
        until(lambda: stored(warehouse) == HITS_SENT, watch)
        assert (first.in_hand(), len(first.partitions())) == (HITS_SENT, PARTITIONS)
        until(lambda: not first.partitions(), first.sink.step)
        assert first.in_hand() == 0
        until(lambda: len(first.partitions()) == PARTITIONS // 2, first.sink.step)
        first.sink.step()
        first.sink.close()
    assert failed == []
    assert first.warehouse.stored == []
    assert stored(warehouse) == sum(warehouse.offsets(topic).values()) == HITS_SENT


def test_too_much_poison_in_hand_is_not_let_through_when_its_partitions_go(
    broker: KafkaBroker, topic: str, warehouse: PostgresHits, opened: Opened
) -> None:
    send(broker, topic, [b"poison"] * HITS_SENT)
    limits = PoisonLimits(max_run=HITS_SENT // PARTITIONS // 4)
    first = opened(batches=PATIENT, poison=limits, patient=True)
    second = opened(poison=limits)
    gather_everything(first, HITS_SENT)
    with second.running() as failed:
        with pytest.raises(TooManyDeadLetters):
            until(lambda: False, first.sink.step)
        first.sink.close()
        until(lambda: bool(failed), watch)
    assert [type(error) for error in failed] == [TooManyDeadLetters]
    assert list(dead_letters(broker, topic=f"{topic}.dead")) == []
    assert dict(warehouse.offsets(topic)) == {}
