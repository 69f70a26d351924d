"""From the SDK through a real Kafka into BI, with the broker killed under load: what was delivered is there, once."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from uuid import uuid4

import pytest

from consumers.bi_sink import BiSink
from consumers.bi_sink_limits import BatchLimits
from consumers.dead_letters import DeadLetterWriter
from streams.kafka_broker import KafkaBroker
from streams.messages import Topic
from tests.support.kafka import RealKafka
from usersplit import HitLogger, KafkaHitTransport
from warehouse.duckdb_hits import DuckDbHits
from warehouse.hits import HitWarehouse
from warehouse.postgres_hits import PostgresHits

pytestmark = [pytest.mark.real_kafka, pytest.mark.real_postgres]


@pytest.fixture(params=["duckdb", "postgresql"])
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[HitWarehouse]:
    made: HitWarehouse
    if request.param == "duckdb":
        made = DuckDbHits(tmp_path / "bi.duckdb")
    else:
        made = PostgresHits(request.getfixturevalue("postgres_url"))
    with closing(made):
        made.prepare()
        yield made


def in_bi(warehouse: HitWarehouse) -> dict[str, int]:
    return {line.variant: line.hits for line in warehouse.hits_per_variant("green_button")}


def test_the_broker_is_killed_under_load_and_every_delivered_hit_is_in_bi_once(
    kafka: RealKafka, warehouse: HitWarehouse
) -> None:
    topic = f"hits-{uuid4().hex}"
    broker = KafkaBroker(kafka.bootstrap_servers)
    broker.ensure_topics([Topic(name=topic, partitions=4), Topic(name=f"{topic}.dead", partitions=1)])
    sink = BiSink(
        source=broker.source(f"sinks of {topic}"),
        warehouse=warehouse,
        dead_letters=DeadLetterWriter(broker.producer, now=lambda: datetime.now(UTC), topic=f"{topic}.dead"),
        batches=BatchLimits(freshness_seconds=0.1),
        topic=topic,
    )
    stop, enough = Event(), Event()
    draining = Thread(target=sink.run, args=[stop])
    transport = KafkaHitTransport(kafka.bootstrap_servers, topic=topic, reconnect_backoff_max_ms=1000)
    logged = {"red": 0, "control": 0}
    with HitLogger(transport, app="shop", environment_name="production") as logger:

        def log_hits() -> None:
            number = 0
            while not enough.wait(0.005):
                for _ in range(20):
                    number += 1
                    variant = "red" if number % 3 else "control"
                    assert logger.log(test_key="green_button", variant=variant, unit_type="user", unit_id=number)
                    logged[variant] += 1

        logging = Thread(target=log_hits)
        draining.start()
        logging.start()
        try:
            wait_until(lambda: sum(in_bi(warehouse).values()) > 500)
            kafka.kill()
            before = sum(logged.values())
            wait_until(lambda: sum(logged.values()) > before + 500)
            kafka.start()
            back = sum(in_bi(warehouse).values())
            wait_until(lambda: sum(in_bi(warehouse).values()) > back + 500)
        finally:
            enough.set()
            logging.join(60)
        assert logger.flush(timeout_seconds=60)
        stats = logger.stats()
        assert (stats.accepted, stats.delivered, stats.buffered) == (sum(logged.values()), sum(logged.values()), 0)
        try:
            wait_until(lambda: in_bi(warehouse) == logged)
        finally:
            stop.set()
            draining.join(60)
    assert not draining.is_alive()
    assert in_bi(warehouse) == logged


def wait_until(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    deadline = monotonic() + seconds
    pause = Event()
    while not condition():
        assert monotonic() < deadline, "it did not come about in time"
        pause.wait(0.1)
