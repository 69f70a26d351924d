"""Loggers that spool, on a topic of their own of a real Kafka, and what a sink brings to BI from it."""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import duckdb
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from consumers.bi_sink_limits import BatchLimits
from streams.kafka_broker import KafkaBroker
from tests.support.kafka import RealKafka
from tests.support.watched_sink import watched_sink
from usersplit import HitLogger, KafkaHitTransport
from warehouse.duckdb_hits import DuckDbHits


def made_topic(kafka: RealKafka) -> str:
    """Make a topic of two partitions, and return its name."""
    name = f"hits-{uuid.uuid4()}"
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    admin.create_topics([NewTopic(name, 2, 1)])[name].result(30)
    return name


Opened = Callable[..., HitLogger]
"""Opens a logger with so much room, and with further settings of librdkafka."""


@contextmanager
def open_loggers(kafka: RealKafka, topic: str, directory: Path) -> Iterator[Opened]:
    """Yield what opens loggers that share a spool below `directory`; close them at the end."""
    made: list[HitLogger] = []

    def open_logger(
        capacity: int = 100_000, spool_bytes: int = 2**28, spool_in: Path = directory, **kafka_settings: Any
    ) -> HitLogger:
        transport = KafkaHitTransport(
            kafka.bootstrap_servers, topic=topic, reconnect_backoff_max_ms=500, **kafka_settings
        )
        made.append(
            HitLogger(
                transport,
                app="a",
                environment_name="devel",
                capacity=capacity,
                spool_directory=spool_in / "spool",
                spool_bytes=spool_bytes,
                interval_seconds=0.01,
            )
        )
        return made[-1]

    try:
        yield open_logger
    finally:
        for logger in made:
            logger.close(0)


def log(logger: HitLogger, count: int, start: int = 0) -> None:
    """Log hits of so many users, numbered from `start` on."""
    for number in range(start, start + count):
        logger.log(test_key="k", variant="v", unit_type="user", unit_id=number)


def until(reached: Callable[[], object], seconds: float = 60, *, else_say: Callable[[], object] = str) -> None:
    """Wait until it is so; fail after `seconds`, with what `else_say` has to say."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, else_say()
        time.sleep(0.02)


def in_bi(kafka: RealKafka, topic: str) -> int:
    """Let a sink drain the topic, and return how many hits BI has then."""
    broker = KafkaBroker(kafka.bootstrap_servers)
    with closing(broker.log_reader(topic)) as reader:
        ends = {number: end for (_, number), end in reader.end_offsets().items() if end}
    warehouse = DuckDbHits(duckdb.connect())
    warehouse.prepare()
    sink = watched_sink(broker.source(f"sinks of {topic}"), broker, warehouse, topic, batches=BatchLimits())
    with sink.running() as failed:
        until(lambda: failed or dict(warehouse.offsets(topic)) == ends)
    assert failed == []
    rows = warehouse.cursor().execute("SELECT count(*), count(DISTINCT hit_id) FROM hits").fetchall()
    assert rows[0][0] == rows[0][1]
    return int(rows[0][0])
