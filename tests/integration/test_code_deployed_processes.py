"""Code deployed, as processes on a real Kafka and PostgreSQL: one fact and one message, whoever is killed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from consumers.code_deployed import CHECKPOINTS
from consumers.notifier import NotifierFollower
from events.checkpoints import forget, position_of
from events.database import open_database, write_transaction
from events.facts import REGISTRY, CodeDeployed, SplitTestCreated, SplitTestPublished, split_test_stream
from events.sql_store import SqlEventStore
from events.store import Provenance
from notifications.memory_notifier import MemoryNotifier
from projections.models import ALL
from projections.projector import Projector
from streams.kafka_broker import KafkaBroker
from streams.topics import HITS, all_topics
from tests.support.kafka import RealKafka
from tests.support.terminal import ROOT, wait_until
from usersplit import HitLogger, KafkaHitTransport

pytestmark = [pytest.mark.real_kafka, pytest.mark.real_postgres]

# Who was killed is missed after so long.
QUICK = '{"session.timeout.ms": "2000", "heartbeat.interval.ms": "300"}'


@pytest.fixture
def engine(migrated_postgres_url: str) -> Iterator[Engine]:
    engine = open_database(migrated_postgres_url)
    yield engine
    engine.dispose()


@pytest.fixture
def store(engine: Engine) -> SqlEventStore:
    return SqlEventStore(engine, REGISTRY)


@pytest.fixture
def keys(engine: Engine, store: SqlEventStore) -> list[str]:
    """Tests In Dev, of which nobody has seen a hit."""
    keys = [f"deployed-{uuid4().hex[:8]}-{number}" for number in range(6)]
    provenance = Provenance(actor="ann", recorded_at=datetime(2026, 5, 3, 12, 0, tzinfo=UTC))
    for key in keys:
        facts = [SplitTestCreated(key=key, name=key, author="ann", managers=("ann",)), SplitTestPublished(key=key)]
        store.append(split_test_stream(key), facts, expected_version=0, provenance=provenance)
    catch_up(engine, store)
    return keys


def catch_up(engine: Engine, store: SqlEventStore) -> None:
    Projector(engine=engine, store=store, registry=REGISTRY, projections=ALL).catch_up()


def deployed(store: SqlEventStore, keys: list[str]) -> list[int]:
    """Return how many facts each test has that say that its code is deployed."""
    return [
        sum(event.encoded.name == CodeDeployed.__name__ for event in store.read_stream(split_test_stream(key)))
        for key in keys
    ]


def log_hits(kafka: RealKafka, keys: list[str], *, environment: str = "production", forced: bool = False) -> None:
    with HitLogger(KafkaHitTransport(kafka.bootstrap_servers), app="shop", environment_name=environment) as logger:
        for number in range(20):
            for key in keys:
                logger.log(test_key=key, variant="red", unit_type="user", unit_id=number, forced=forced)
        assert logger.flush(60)


@contextmanager
def replica(kafka: RealKafka, url: str) -> Iterator["subprocess.Popen[bytes]"]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("USERSPLIT_")}
    environment = {
        "USERSPLIT_DATABASE_URL": url,
        "USERSPLIT_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "USERSPLIT_KAFKA_OPTIONS": QUICK,
    }
    command = [sys.executable, "-m", "entrypoints", "code-deployed"]
    with subprocess.Popen(command, cwd=ROOT, env={**clean, **environment}) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)


def told_by_a_notifier(engine: Engine, store: SqlEventStore) -> list[str]:
    """Start a notifier, let it tell what it has to, and return of which tests that was."""
    catch_up(engine, store)
    notifier = MemoryNotifier()
    NotifierFollower(engine=engine, store=store, registry=REGISTRY, notifier=notifier).step()
    return sorted(notification.key for notification in notifier.told)


def test_one_fact_and_one_message_whoever_is_killed_and_however_often_the_topic_is_read(
    kafka: RealKafka, engine: Engine, store: SqlEventStore, keys: list[str], migrated_postgres_url: str
) -> None:
    broker = KafkaBroker(kafka.bootstrap_servers)
    broker.ensure_topics(all_topics(hit_partitions=4))
    devel, forced, first, later = keys[:1], keys[1:2], keys[2:4], keys[4:]
    log_hits(kafka, devel, environment="devel")
    log_hits(kafka, forced, forced=True)
    log_hits(kafka, first)
    with replica(kafka, migrated_postgres_url) as killed, replica(kafka, migrated_postgres_url):
        wait_until("the first ones are seen", lambda: deployed(store, first) == [1, 1])
        killed.kill()
        log_hits(kafka, [*devel, *first, *later])
        # Those of devel are there as production's now.
        wait_until("the other replica sees the later ones", lambda: deployed(store, devel + later) == [1, 1, 1])
    once = [1, 0, 1, 1, 1, 1]
    assert deployed(store, keys) == once
    assert told_by_a_notifier(engine, store) == sorted(devel + first + later)

    with write_transaction(engine) as connection:
        forget(connection, CHECKPOINTS)
    with closing(broker.log_reader(HITS)) as reader:
        ends = dict(reader.end_offsets())

    def has_read_everything_again() -> bool:
        with engine.connect() as connection:
            return all(
                position_of(connection, f"{CHECKPOINTS}{HITS}:{number}") >= end for (_, number), end in ends.items()
            )

    with replica(kafka, migrated_postgres_url):
        wait_until("the topic is read again", has_read_everything_again)
    assert deployed(store, keys) == once
    assert told_by_a_notifier(engine, store) == []
