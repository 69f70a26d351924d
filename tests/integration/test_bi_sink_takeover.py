"""A sink that was killed and started again: BI goes on at once, although Kafka believes the dead one to be alive."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event
from time import monotonic

import psycopg
import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition

from consumers.bi_sink import GROUP
from streams.kafka_broker import KafkaBroker
from streams.topics import HITS, all_topics
from tests.support.kafka_server import KafkaServer
from usersplit import HitLogger, KafkaHitTransport
from warehouse.duckdb_hits import DuckDbHits
from warehouse.postgres_hits import PostgresHits

pytestmark = pytest.mark.real_kafka

ROOT = Path(__file__).parents[2]
# Longer than the tests wait: without a name, the second sink would be given no partition in time.
SESSION_MS = 170_000


@contextmanager
def sink(kafka: KafkaServer, url: str, *, name: str = "") -> Iterator["subprocess.Popen[str]"]:
    """Run the sink's process; kill it at the end."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("USERSPLIT_")}
    environment = {
        **clean,
        "USERSPLIT_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "USERSPLIT_KAFKA_OPTIONS": f'{{"session.timeout.ms": "{SESSION_MS}"}}',
        "USERSPLIT_WAREHOUSE_URL": url,
        "USERSPLIT_SINK_NAME": name,
    }
    with subprocess.Popen(
        [sys.executable, "-m", "entrypoints", "bi-sink"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def log_hits(kafka: KafkaServer, count: int) -> None:
    with HitLogger(KafkaHitTransport(kafka.bootstrap_servers), app="shop", environment_name="production") as logger:
        for number in range(count):
            logger.log(test_key="green", variant="red", unit_type="user", unit_id=number)
        assert logger.flush(60)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline, pause = monotonic() + 120, Event()
    while not condition():
        assert monotonic() < deadline, "it did not come about in time"
        pause.wait(0.1)


def reached(kafka: KafkaServer) -> int:
    """How far the group committed: the sink itself tells it after each batch."""
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": GROUP})
    try:
        places = [TopicPartition(HITS, number) for number in range(4)]
        return sum(max(place.offset, 0) for place in consumer.committed(places, timeout=20))
    except KafkaException:  # a broker that has just started knows no groups yet
        return 0
    finally:
        consumer.close()


def test_the_sink_of_a_duckdb_file_takes_over_from_itself(own_kafka: KafkaServer, tmp_path: Path) -> None:
    own_kafka.start()
    KafkaBroker(own_kafka.bootstrap_servers).ensure_topics(all_topics(hit_partitions=4))
    path = tmp_path / "bi.duckdb"
    log_hits(own_kafka, 100)
    with sink(own_kafka, f"duckdb:///{path}"):
        wait_until(lambda: reached(own_kafka) == 100)
    log_hits(own_kafka, 50)
    with sink(own_kafka, f"duckdb:///{path}"):
        wait_until(lambda: reached(own_kafka) == 150)
    with closing(DuckDbHits(path)) as warehouse:
        assert [line.hits for line in warehouse.hits_per_variant()] == [150]


@pytest.mark.real_postgres
def test_a_named_sink_takes_over_from_one_that_still_runs_and_that_one_ends(
    own_kafka: KafkaServer, postgres_url: str
) -> None:
    own_kafka.start()
    KafkaBroker(own_kafka.bootstrap_servers).ensure_topics(all_topics(hit_partitions=4))
    url = postgres_url.replace("+psycopg", "", 1)
    with closing(PostgresHits(url)) as warehouse:
        warehouse.prepare()

        def stored() -> int:
            return sum(line.hits for line in warehouse.hits_per_variant())

        log_hits(own_kafka, 100)
        with sink(own_kafka, url, name="sink-1") as first:
            wait_until(lambda: stored() == 100)
            with sink(own_kafka, url, name="sink-1"):
                said, _ = first.communicate(timeout=120)
                log_hits(own_kafka, 50)
                wait_until(lambda: stored() == 150)
        assert first.returncode == 1
        assert "fenced" in said.lower()
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT count(DISTINCT hit_id) FROM hits").fetchone() == (150,)
