"""How long it takes from a hit that a service logs until BI can see it, under 20,000 hits a second.

    make bench ONLY=hit_freshness        (or: python -m benchmarks.hit_freshness [--rate 20000] [--seconds 20])

A service (a process of its own, the SDK as services have it) logs at a steady rate into a real Kafka; a sink with the
settings of production drains it, into DuckDB and then into PostgreSQL. A reader looks every few milliseconds how far BI
is: the sink moves its offsets in the transaction that stores the rows below them, so a hit is visible when the offset
of its partition has passed it. Afterwards the topic itself says of every hit when it was logged (`occurred_at`, by the
service's clock, which here is the reader's), its partition and its offset. Nothing is sampled: the percentiles are over
all hits that were logged after the first seconds, in which the parts get to know each other. The rows are counted too.

The last line of stdout is one JSON object; `p99_seconds` is the worse of the two warehouses.
"""

import argparse
import json
import tempfile
import time
from bisect import bisect_right
from collections.abc import Mapping
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any
from uuid import uuid4

import numpy as np

from consumers.bi_sink import BiSink
from consumers.dead_letters import DeadLetterWriter
from consumers.hit_decoding import decode_hits
from streams.kafka_broker import KafkaBroker
from streams.messages import Topic
from tests.support.hit_service import Load, running
from tests.support.kafka_server import KafkaServer
from tests.support.postgres import running_postgres
from warehouse.duckdb_hits import DuckDbHits
from warehouse.hits import HitWarehouse
from warehouse.postgres_hits import PostgresHits

PARTITIONS = 12
LOOK_SECONDS = 0.005
SETTLING_SECONDS = 3.0


class Looks:
    """When BI was seen to have reached which offset of each partition."""

    def __init__(self) -> None:
        self._times: dict[int, list[int]] = {}
        self._offsets: dict[int, list[int]] = {}

    def note(self, offsets: Mapping[int, int], at_ns: int) -> None:
        """Remember what a look found."""
        for partition, offset in offsets.items():
            seen = self._offsets.setdefault(partition, [])
            if not seen or offset > seen[-1]:
                seen.append(offset)
                self._times.setdefault(partition, []).append(at_ns)

    def seen_at_ns(self, partition: int, offset: int) -> int:
        """Return the time of the first look that found the message at `offset` stored."""
        return self._times[partition][bisect_right(self._offsets[partition], offset)]


def look_on(warehouse: HitWarehouse, topic: str, looks: Looks, stop: Event) -> None:
    """Look until told to stop, and a last time then."""
    while True:
        last = stop.is_set()
        offsets = warehouse.offsets(topic)
        looks.note(offsets, time.time_ns())
        if last:
            return
        time.sleep(LOOK_SECONDS)


def ages_seconds(broker: KafkaBroker, topic: str, looks: Looks, *, since_ns: int) -> "np.ndarray[Any, Any]":
    """Return of every hit on the topic how old it was when BI had it."""
    ages: list[float] = []
    reader = broker.log_reader(topic)
    ends = reader.end_offsets()
    reached = dict.fromkeys(ends, 0)
    while any(reached[place] < end for place, end in ends.items()):
        messages = reader.poll(max_messages=20_000, timeout_seconds=1)
        logged = decode_hits([message.value for message in messages]).hits["occurred_at"].cast("int64").to_numpy()
        assert len(logged) == len(messages)
        for message, occurred_at in zip(messages, logged * 1000, strict=True):
            if occurred_at >= since_ns:
                ages.append((looks.seen_at_ns(message.partition, message.offset) - occurred_at) / 1e9)
        reached.update(reader.position())
    reader.close()
    return np.array(ages)


def measured(
    kafka: KafkaServer, warehouse: HitWarehouse, journal: Path, *, rate: int, seconds: float
) -> dict[str, Any]:
    """Run the load into `warehouse` and return the figures."""
    topic = f"hits-{uuid4().hex}"
    broker = KafkaBroker(kafka.bootstrap_servers)
    broker.ensure_topics([Topic(name=topic, partitions=PARTITIONS), Topic(name=f"{topic}.dead", partitions=1)])
    warehouse.prepare()
    sink = BiSink(
        source=broker.source(f"sinks of {topic}"),
        warehouse=warehouse,
        dead_letters=DeadLetterWriter(broker.producer, now=lambda: datetime.now(UTC), topic=f"{topic}.dead"),
        topic=topic,
    )
    looks, stop, stop_looking = Looks(), Event(), Event()
    draining = Thread(target=sink.run, args=[stop])
    looking = Thread(target=look_on, args=[warehouse, topic, looks, stop_looking])
    draining.start()
    looking.start()
    try:
        load = Load(bootstrap_servers=kafka.bootstrap_servers, topic=topic, journal=str(journal), rate=rate)
        with running(load) as service:
            while not service.told().taken:
                time.sleep(0.05)
            since_ns = time.time_ns() + int(SETTLING_SECONDS * 1e9)
            time.sleep(SETTLING_SECONDS)
            before = service.told().taken
            time.sleep(seconds)
            logged_in_time = service.told().taken - before
            told = service.end()
        assert told.closed
        assert told.dropped == 0, "the service dropped hits"
        while sum(warehouse.offsets(topic).values()) < told.taken:
            assert draining.is_alive(), "the sink failed"
            time.sleep(0.05)
    finally:
        stop_looking.set()
        looking.join()
        stop.set()
        draining.join()
    stored = sum(line.hits for line in warehouse.hits_per_variant())
    assert stored == told.taken, f"{stored} rows of {told.taken} hits"
    ages = ages_seconds(broker, topic, looks, since_ns=since_ns)
    return {
        "p50_seconds": round(float(np.percentile(ages, 50)), 3),
        "p99_seconds": round(float(np.percentile(ages, 99)), 3),
        "max_seconds": round(float(ages.max()), 3),
        "hits_per_second": round(logged_in_time / seconds),
        "hits": len(ages),
    }


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rate", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    figures: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        kafka = stack.enter_context(KafkaServer())
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(stack.enter_context(running_postgres()).new_database())
        duckdb = stack.enter_context(closing(DuckDbHits(directory / "bi.duckdb")))
        postgres = stack.enter_context(closing(PostgresHits(url)))
        warehouses: dict[str, HitWarehouse] = {"duckdb": duckdb, "postgres": postgres}
        for name, warehouse in warehouses.items():
            figures[name] = measured(
                kafka, warehouse, directory / f"{name}.journal", rate=options.rate, seconds=options.seconds
            )
            print(f"{name:9} {figures[name]}")
    worst = max(found["p99_seconds"] for found in figures.values())
    print(json.dumps({"p99_seconds": worst, "rate": options.rate, **figures}))


if __name__ == "__main__":
    main()
