"""How fast one sink process drains a full topic of hits from a real Kafka into DuckDB, PostgreSQL and ClickHouse.

    PYTHONPATH=. python benchmarks/bi_sink.py [--hits 2000000] [--partitions 6] [--runs 3]

The topic is filled before the clock starts: realistic hits (UUIDv7 ids that rise with time as services make them, 40
tests, 2 to 4 variants, users who come again, about 160 bytes each), one in ten thousand of them delivered twice. Then

    ours    consumers.bi_sink.BiSink.run, as the process runs it: three threads, offsets in the rows' transaction,
            every hit_id looked up among those that are stored;
    plain   the loop that everybody writes first: consume(), confluent_kafka's AvroDeserializer for each message (its
            schema registered in memory, so no network), DuckDB's executemany into the same table, batches of 5,000,
            commit. It deduplicates nothing: with a primary key and ON CONFLICT it is thirty times slower still. It gets
            fewer hits, for it would take minutes.

Time runs from the first step to the last hit's commit, so joining the group counts. PostgreSQL is the wheel's, with
fsync; ClickHouse is its engine in this process (chdb), so that its own work counts as ours. At the end the rows are
counted: every hit once on every side, or the benchmark fails.

The last line of stdout is one JSON object: `duckdb_hits_per_second` is the median over `--runs`,
`postgres_hits_per_second` and `clickhouse_hits_per_second` over `--other-runs`; `duckdb_ratio` is ours against plain,
medians too; `cpu_microseconds` is this process's own time for a hit.
"""

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any
from uuid import uuid4

import duckdb
from confluent_kafka import Consumer, Producer
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from consumers.bi_sink import BiSink
from consumers.dead_letters import DeadLetterWriter
from streams.kafka_broker import KafkaBroker
from streams.messages import Topic
from tests.support.kafka_server import KafkaServer
from tests.support.postgres import running_postgres
from usersplit.hits import HIT_SCHEMA, Hit, encode_hit
from warehouse.clickhouse_hits import ClickHouseHits
from warehouse.duckdb_hits import DuckDbHits
from warehouse.hits import COLUMNS, HitWarehouse
from warehouse.postgres_hits import PostgresHits

TWICE_EVERY = 10_000
BEGINNING_MS = 1_777_811_415_123
UNIT, HIT_ID = b"1234567890", b"00000000-0000-0000-0000-000000000000"


def encoded_hits(count: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values, made by cutting ids and units into templates that `encode_hit` wrote."""
    chance = random.Random(7)
    templates = [_template(chance, test) for test in range(40) for _ in range(8)]
    for number in range(count):
        # 20 hits a millisecond, each up to 300 ms late, as if many services had logged them.
        milliseconds = BEGINNING_MS + number // 20 - chance.randrange(300)
        text = f"{milliseconds << 80 | 7 << 76 | chance.getrandbits(12) << 64 | 2 << 62 | chance.getrandbits(62):032x}"
        hit_id = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}".encode()
        unit = b"%010d" % chance.randrange(1_000_000)
        before, between, after = templates[number % len(templates)]
        yield unit, b"".join([before, hit_id, between, unit, after])


def _template(chance: random.Random, test: int) -> tuple[bytes, bytes, bytes]:
    value = encode_hit(
        Hit(
            hit_id=HIT_ID.decode(),
            occurred_at=(BEGINNING_MS + chance.randrange(100_000)) * 1000,
            test_key=f"checkout_step_{test}",
            settings_group=chance.randrange(1, 6),
            variant=chance.choice(["control", "red", "green", "blue"][: 2 + test % 3]),
            unit_type=chance.choice(["user", "user", "device", "guest"]),
            unit_id=UNIT.decode(),
            split_group=chance.randrange(2401),
            environment="production",
            platform=chance.choice(["web", "ios", "android"]),
            country=chance.choice(["DE", "FR", "US", "BR"]),
            app="shop-frontend",
            host=f"shop-{chance.randrange(20)}.example.net",
            sdk_version="0.1.0",
            attributes=chance.choice(["{}", '{"page": "cart"}']),
        )
    )
    before, _, rest = value.partition(HIT_ID)
    between, _, after = rest.partition(UNIT)
    return before, between, after


def fill(bootstrap_servers: str, topic: str, count: int) -> int:
    """Put `count` hits on the topic, some twice, and return how many messages that made."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "compression.type": "lz4",
            "linger.ms": 20,
            "batch.size": 1_000_000,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    messages = 0
    for number, (key, value) in enumerate(encoded_hits(count)):
        for _ in range(2 if number % TWICE_EVERY == 0 else 1):
            messages += 1
            while True:
                try:
                    producer.produce(topic, value, key=key)
                    break
                except BufferError:
                    producer.poll(0.05)
        if number % 10_000 == 0:
            producer.poll(0)
    producer.flush()
    return messages


class Drained:
    """What a side did."""

    def __init__(self, seconds: float, cpu_seconds: float, hits: int) -> None:
        self.hits_per_second = hits / seconds
        self.cpu_microseconds = cpu_seconds / hits * 1e6


def ours(broker: KafkaBroker, topic: str, warehouse: HitWarehouse, *, messages: int, hits: int) -> Drained:
    """Drain the topic with the product's sink."""
    warehouse.prepare()
    sink = BiSink(
        source=broker.source(f"ours-{uuid4().hex}"),
        warehouse=warehouse,
        dead_letters=DeadLetterWriter(broker.producer, now=lambda: datetime.now(UTC)),
        topic=topic,
    )
    stop = Event()
    draining = Thread(target=sink.run, args=[stop])
    cpu, started = time.process_time(), time.perf_counter()
    draining.start()
    while sum(warehouse.offsets(topic).values()) < messages:
        assert draining.is_alive(), "the sink failed"
        time.sleep(0.05)
    drained = Drained(time.perf_counter() - started, time.process_time() - cpu, hits)
    stop.set()
    draining.join()
    counted = sum(line.hits for line in warehouse.hits_per_variant())
    assert counted == hits, f"{counted} rows of {hits} hits"
    return drained


def plain(bootstrap_servers: str, topic: str, path: Path, *, hits: int) -> Drained:
    """Drain some of the topic as one does without us."""
    registry = SchemaRegistryClient.new_client({"url": "mock://benchmark"})
    registry.register_schema(f"{topic}-value", Schema(HIT_SCHEMA, "AVRO"))
    deserialize: Callable[..., Any] = AvroDeserializer(registry)
    context = SerializationContext(topic, MessageField.VALUE)
    database = duckdb.connect(str(path))
    columns = ", ".join(f"{name} {_kind(name)}" for name in COLUMNS)
    database.execute(f"CREATE TABLE hits ({columns})")
    insert = f"INSERT INTO hits VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608 - constants
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": f"plain-{uuid4().hex}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([topic])
    cpu, started, done = time.process_time(), time.perf_counter(), 0
    while done < hits:
        raw = consumer.consume(min(5_000, hits - done), 1.0)
        rows = [deserialize(message.value(), context) for message in raw]
        if not rows:
            continue
        database.begin()
        database.executemany(insert, [tuple(row[name] for name in COLUMNS) for row in rows])
        database.commit()
        consumer.commit(asynchronous=False)
        done += len(rows)
    drained = Drained(time.perf_counter() - started, time.process_time() - cpu, hits)
    consumer.close()
    database.close()
    return drained


def _kind(name: str) -> str:
    kinds = {"hit_id": "UUID", "occurred_at": "TIMESTAMPTZ", "forced": "BOOLEAN"}
    return kinds.get(name, "INTEGER" if name in {"settings_group", "split_group"} else "VARCHAR")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--hits", type=int, default=2_000_000)
    parser.add_argument("--partitions", type=int, default=6)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--plain-hits", type=int, default=10_000)
    parser.add_argument("--other-runs", type=int, default=1)
    options = parser.parse_args()
    topic = "usersplit.hits"
    runs: dict[str, list[Drained]] = {"plain": [], "duckdb": [], "postgres": [], "clickhouse": []}
    with KafkaServer() as kafka, tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        broker = KafkaBroker(kafka.bootstrap_servers)
        broker.ensure_topics([Topic(name=topic, partitions=options.partitions)])
        started = time.perf_counter()
        messages = fill(kafka.bootstrap_servers, topic, options.hits)
        seconds = time.perf_counter() - started
        print(f"the topic holds {messages:,} messages, after {seconds:.0f} s; load {os.getloadavg()[0]:.1f}")

        def report(side: str, drained: Drained) -> None:
            runs[side].append(drained)
            print(f"{side:9} {drained.hits_per_second:>9,.0f} hits/s, {drained.cpu_microseconds:6.2f} us of CPU a hit")

        for number in range(options.runs):
            report("plain", plain(kafka.bootstrap_servers, topic, directory / "plain", hits=options.plain_hits))
            (directory / "plain").unlink()
            path = directory / f"{number}.duckdb"
            with closing(DuckDbHits(path)) as duckdb_hits:
                report("duckdb", ours(broker, topic, duckdb_hits, messages=messages, hits=options.hits))
            path.unlink()
        for number in range(options.other_runs):
            with (
                running_postgres() as server,
                server.new_database() as url,
                closing(PostgresHits(url)) as postgres_hits,
            ):
                report("postgres", ours(broker, topic, postgres_hits, messages=messages, hits=options.hits))
            with closing(ClickHouseHits(f"chdb://{directory / str(number)}.clickhouse")) as clickhouse_hits:
                report("clickhouse", ours(broker, topic, clickhouse_hits, messages=messages, hits=options.hits))
    middle = {side: statistics.median(run.hits_per_second for run in found) for side, found in runs.items() if found}
    cpu = {side: statistics.median(run.cpu_microseconds for run in found) for side, found in runs.items() if found}
    figures = {
        "hits": options.hits,
        "duckdb_hits_per_second": round(middle["duckdb"]),
        "duckdb_ratio": round(middle["duckdb"] / middle["plain"], 1),
        "postgres_hits_per_second": round(middle.get("postgres", 0)),
        "clickhouse_hits_per_second": round(middle.get("clickhouse", 0)),
        "plain_hits_per_second": round(middle["plain"]),
        "cpu_microseconds": {side: round(value, 2) for side, value in cpu.items()},
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
