"""A sink whose database is away, read-only or full, or whose topic lost messages: on a real Kafka and a real server."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from psycopg.sql import SQL, Identifier, Literal
from sqlalchemy import make_url

from consumers.bi_sink_limits import BatchLimits
from consumers.dead_letters import dead_letters
from streams.kafka_broker import KafkaBroker
from streams.messages import Topic
from streams.ports import OffsetOutOfRange
from tests.support.kafka import RealKafka
from tests.support.postgres import PostgresServer
from tests.support.small_disk import filled, small_disk
from tests.support.watched_sink import WatchedSink, a_hit, send, watched_sink
from warehouse.postgres_hits import PostgresHits

pytestmark = [pytest.mark.real_kafka, pytest.mark.real_postgres]

END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
IMPATIENT = BatchLimits(max_messages=300, freshness_seconds=0.05, first_retry_seconds=0.05, last_retry_seconds=0.1)


@pytest.fixture
def topic(broker: KafkaBroker) -> str:
    name = f"hits-{uuid4().hex}"
    broker.ensure_topics([Topic(name=name, partitions=2), Topic(name=f"{name}.dead", partitions=1)])
    return name


@pytest.fixture
def broker(kafka: RealKafka) -> KafkaBroker:
    return KafkaBroker(kafka.bootstrap_servers)


@pytest.fixture
def warehouse(postgres_url: str) -> Iterator[PostgresHits]:
    with closing(PostgresHits(postgres_url)) as made:
        made.prepare()
        yield made


@pytest.fixture
def sink(broker: KafkaBroker, topic: str, warehouse: PostgresHits) -> WatchedSink:
    return watched_sink(broker.source(f"sinks of {topic}"), broker, warehouse, topic, batches=IMPATIENT)


def stored(warehouse: PostgresHits) -> int:
    return sum(line.hits for line in warehouse.hits_per_variant())


def until(reached: Callable[[], bool]) -> None:
    deadline = monotonic() + 60
    while not reached():
        assert monotonic() < deadline, "it did not come about in time"
        sleep(0.02)


Fault = Callable[[PostgresServer, str], AbstractContextManager[None]]


@contextmanager
def away(server: PostgresServer, url: str) -> Iterator[None]:
    """Nobody can connect, and who was connected is not any more."""
    name = make_url(url).database
    server.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    server.run(END_SESSIONS.format(name=name))
    yield
    server.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


@contextmanager
def read_only(server: PostgresServer, url: str) -> Iterator[None]:
    """As a server that became a standby: whoever connects may only read."""
    name = make_url(url).database
    server.run(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    server.run(END_SESSIONS.format(name=name))
    yield
    server.run(f"ALTER DATABASE {name} RESET default_transaction_read_only")


@contextmanager
def disk_full(server: PostgresServer, url: str) -> Iterator[None]:
    """What the server answers when it cannot make the table's file longer, on any server; see `small_disk`, too."""
    del server
    with psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'could not "
            "extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$"
        )
        connection.execute("CREATE TRIGGER no_room BEFORE INSERT ON hits FOR EACH ROW EXECUTE FUNCTION no_room()")
        yield
        connection.execute("DROP FUNCTION no_room CASCADE")


@pytest.mark.parametrize("fault", [away, read_only, disk_full], ids=lambda fault: fault.__name__)
def test_a_database_that_cannot_store_is_waited_for_and_then_holds_every_hit_once(
    broker: KafkaBroker,
    topic: str,
    warehouse: PostgresHits,
    sink: WatchedSink,
    postgres_server: PostgresServer,
    postgres_url: str,
    fault: Fault,
) -> None:
    with sink.running() as failed:
        send(broker, topic, [a_hit(number) for number in range(100)])
        until(lambda: stored(warehouse) == 100)
        with fault(postgres_server, postgres_url):
            send(broker, topic, [a_hit(number) for number in range(100, 200)])
            until(lambda: sink.sink._stages.outage)
        send(broker, topic, [a_hit(number) for number in range(200, 300)])
        until(lambda: stored(warehouse) == 300)
    assert failed == []
    assert sum(warehouse.offsets(topic).values()) == 300
    assert list(dead_letters(broker, topic=f"{topic}.dead")) == []


@contextmanager
def tables_on(disk: Path, server: PostgresServer, url: str) -> Iterator[None]:
    """Let the tables of the database be on a disk of this machine."""
    with psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True) as connection:
        found = connection.execute("SHOW data_directory").fetchone()
        data = Path(str(found[0] if found else ""))
        if server.origin == "started by somebody else" or not data.exists():
            pytest.skip("a full disk needs a PostgreSQL of this machine")
        os.chown(disk, data.stat().st_uid, data.stat().st_gid)
        name = f"small_{uuid4().hex}"
        connection.execute(SQL("CREATE TABLESPACE {} LOCATION {}").format(Identifier(name), Literal(str(disk))))
        _move(connection, "pg_default", name)
        yield
        _move(connection, name, "pg_default")
        connection.execute(SQL("DROP TABLESPACE {}").format(Identifier(name)))


def _move(connection: psycopg.Connection[Any], here: str, there: str) -> None:
    places = (Identifier(here), Identifier(there))
    connection.execute(SQL("ALTER TABLE ALL IN TABLESPACE {} SET TABLESPACE {}").format(*places))
    connection.execute(SQL("ALTER INDEX ALL IN TABLESPACE {} SET TABLESPACE {}").format(*places))


def test_a_database_whose_disk_is_full_is_waited_for_and_then_holds_every_hit_once(
    broker: KafkaBroker,
    topic: str,
    warehouse: PostgresHits,
    sink: WatchedSink,
    postgres_server: PostgresServer,
    postgres_url: str,
) -> None:
    with small_disk(24) as disk, tables_on(disk, postgres_server, postgres_url), sink.running() as failed:
        send(broker, topic, [a_hit(number) for number in range(100)])
        until(lambda: stored(warehouse) == 100)
        ballast = filled(disk)
        send(broker, topic, [a_hit(number) for number in range(100, 10_000)])
        until(lambda: sink.sink._stages.outage)
        assert stored(warehouse) < 10_000
        ballast.unlink()
        until(lambda: stored(warehouse) == 10_000)
    assert failed == []
    assert sum(warehouse.offsets(topic).values()) == 10_000
    assert list(dead_letters(broker, topic=f"{topic}.dead")) == []


def test_a_sink_whose_messages_were_deleted_before_it_read_them_stops_and_skips_nothing(
    kafka: RealKafka, broker: KafkaBroker, topic: str, warehouse: PostgresHits, sink: WatchedSink
) -> None:
    send(broker, topic, [a_hit(number) for number in range(100)])
    with sink.running() as failed:
        until(lambda: stored(warehouse) == 100)
    assert failed == []
    stood = dict(warehouse.offsets(topic))
    send(broker, topic, [a_hit(number) for number in range(100, 300)])
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    for answer in admin.delete_records([TopicPartition(topic, 0, stood[0] + 20)]).values():
        answer.result(timeout=20)
    late = watched_sink(broker.source(f"sinks of {topic}"), broker, warehouse, topic, batches=IMPATIENT)
    with late.running() as failed:
        until(lambda: bool(failed))
    assert [type(error) for error in failed] == [OffsetOutOfRange]
    assert warehouse.offsets(topic)[0] == stood[0]
