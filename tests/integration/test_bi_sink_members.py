"""Sinks that join and leave their group under load, on a real Kafka: every hit is in BI, once."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from threading import Event, Thread
from time import monotonic
from uuid import UUID, uuid4

import pytest

from consumers.bi_sink import BiSink
from consumers.bi_sink_limits import BatchLimits
from consumers.dead_letters import DeadLetterWriter
from streams.kafka_broker import KafkaBroker
from streams.messages import OutgoingMessage, Topic
from tests.support.kafka import RealKafka
from usersplit.hits import Hit, encode_hit
from warehouse.postgres_hits import PostgresHits

pytestmark = [pytest.mark.real_kafka, pytest.mark.real_postgres]

PLAIN = Hit(occurred_at=1_777_811_415_123_456, test_key="green", variant="red", settings_group=1)


@contextmanager
def member(broker: KafkaBroker, topic: str, url: str) -> Iterator[None]:
    """Run a sink of its own while the block runs; it must not have failed at the end."""
    failed: list[BaseException] = []
    with closing(PostgresHits(url)) as warehouse:
        sink = BiSink(
            source=broker.source(f"sinks of {topic}"),
            warehouse=warehouse,
            dead_letters=DeadLetterWriter(broker.producer, now=lambda: datetime.now(UTC), topic=f"{topic}.dead"),
            batches=BatchLimits(max_messages=300, freshness_seconds=0.05),
            topic=topic,
        )
        stop = Event()

        def run() -> None:
            try:
                sink.run(stop)
            except BaseException as error:  # noqa: BLE001 - the test's own thread tells it
                failed.append(error)

        running = Thread(target=run)
        running.start()
        try:
            yield
        finally:
            stop.set()
            running.join(60)
    assert not running.is_alive()
    assert failed == []


def test_members_that_join_and_leave_under_load_store_every_hit_once(kafka: RealKafka, postgres_url: str) -> None:
    topic = f"hits-{uuid4().hex}"
    # A member hears of a rebalance at its next heartbeat.
    broker = KafkaBroker(kafka.bootstrap_servers, source_extra={"heartbeat.interval.ms": 200})
    broker.ensure_topics([Topic(name=topic, partitions=6), Topic(name=f"{topic}.dead", partitions=1)])
    enough, sent = Event(), 0

    def produce() -> None:
        nonlocal sent
        with closing(broker.producer()) as producer:
            while not enough.wait(0.01):
                values = [
                    encode_hit(replace(PLAIN, hit_id=str(UUID(int=(7 << 76) | number))))
                    for number in range(sent, sent + 50)
                ]
                producer.send([OutgoingMessage(topic=topic, key=value[:50], value=value) for value in values])
                sent += len(values)

    producing = Thread(target=produce)
    with closing(PostgresHits(postgres_url)) as warehouse:
        warehouse.prepare()
        producing.start()
        try:
            with member(broker, topic, postgres_url):
                for _ in range(3):
                    with member(broker, topic, postgres_url):
                        before = stored(warehouse)
                        wait_for_more_than(before + 300, warehouse)
                    wait_for_more_than(stored(warehouse) + 300, warehouse)
                enough.set()
                producing.join(30)
                wait_for_more_than(sent - 1, warehouse)
        finally:
            enough.set()
            producing.join(30)
        assert stored(warehouse) == sum(warehouse.offsets(topic).values()) == sent


def stored(warehouse: PostgresHits) -> int:
    return sum(line.hits for line in warehouse.hits_per_variant())


def wait_for_more_than(count: int, warehouse: PostgresHits) -> None:
    deadline, pause = monotonic() + 60, Event()
    while stored(warehouse) <= count:
        assert monotonic() < deadline, "it did not come about in time"
        pause.wait(0.1)
