"""The first production hit of a test In Dev becomes one fact, across restarts, replicas and devel traffic."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import Engine

from commands.split_tests import SplitTestCommands
from consumers.code_deployed import CHECKPOINTS, GROUP, CodeDeployedWatcher
from events.checkpoints import forget, position_of
from events.database import write_transaction
from events.facts import (
    REGISTRY,
    CodeDeployed,
    DraftDiscarded,
    SplitTestCreated,
    SplitTestFact,
    SplitTestPublished,
    SplitTestStarted,
    SplitTestUnpublished,
    split_test_stream,
)
from events.sql_store import SqlEventStore
from events.store import EventStore, Provenance
from projections.models import ALL
from projections.projector import Projector
from streams.memory import MemoryBroker
from streams.messages import OutgoingMessage
from streams.topics import HITS, all_topics
from tests.support.histories import prepared, proposed
from usersplit.conditions import Catalog
from usersplit.hits import Hit, encode_hit

NOW = datetime(2026, 5, 3, 12, 0, tzinfo=UTC)
PLAIN = Hit(
    occurred_at=1_777_811_415_123_456,
    test_key="green",
    variant="red",
    environment="production",
    app="shop",
    host="web-01",
)


@pytest.fixture
def broker() -> MemoryBroker:
    made = MemoryBroker()
    made.ensure_topics(all_topics(hit_partitions=1))
    return made


@pytest.fixture
def store(sqlite_database: Engine) -> EventStore:
    return SqlEventStore(sqlite_database, REGISTRY)


@pytest.fixture
def watcher(broker: MemoryBroker, sqlite_database: Engine, store: EventStore) -> Iterator[CodeDeployedWatcher]:
    made = watcher_of(broker, sqlite_database, store)
    made.start()
    yield made
    made.close()


def watcher_of(broker: MemoryBroker, engine: Engine, store: EventStore) -> CodeDeployedWatcher:
    return CodeDeployedWatcher(
        source=broker.source(GROUP),
        engine=engine,
        commands=SplitTestCommands(store=store, registry=REGISTRY, catalog=Catalog([]), now=lambda: NOW),
        freshness_seconds=0.0,
    )


def append(engine: Engine, store: EventStore, key: str, *facts: SplitTestFact) -> None:
    stream = split_test_stream(key)
    store.append(
        stream,
        facts,
        expected_version=len(store.read_stream(stream)),
        provenance=Provenance(actor="ann", recorded_at=NOW),
    )
    Projector(engine=engine, store=store, registry=REGISTRY, projections=ALL).catch_up()


def create(engine: Engine, store: EventStore, key: str) -> None:
    append(engine, store, key, SplitTestCreated(key=key, name=key, author="ann", managers=("ann",)))


def publish(engine: Engine, store: EventStore, key: str) -> None:
    create(engine, store, key)
    append(engine, store, key, SplitTestPublished(key=key))


def hit(broker: MemoryBroker, number: int, **fields: object) -> None:
    made = replace(PLAIN, hit_id=str(UUID(int=number)), **fields)  # type: ignore[arg-type]
    broker.producer().send([OutgoingMessage(topic=HITS, key=b"k", value=encode_hit(made))])


def facts(store: EventStore, key: str) -> list[CodeDeployed]:
    decoded = [REGISTRY.decode(event.encoded) for event in store.read_stream(split_test_stream(key))]
    return [fact for fact in decoded if isinstance(fact, CodeDeployed)]


def test_the_first_production_hit_is_the_fact(
    broker: MemoryBroker, sqlite_database: Engine, store: EventStore, watcher: CodeDeployedWatcher
) -> None:
    publish(sqlite_database, store, "green")
    hit(broker, 1)
    hit(broker, 2)
    assert [watcher.step() for _ in range(3)] == [1, 0, 0]
    hit(broker, 3)
    assert watcher.step() == 0
    occurred_at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=PLAIN.occurred_at)
    assert facts(store, "green") == [
        CodeDeployed(key="green", hit_id=str(UUID(int=1)), occurred_at=occurred_at, app="shop", host="web-01")
    ]


def test_devel_and_forced_hits_and_poison_do_not_count(
    broker: MemoryBroker, sqlite_database: Engine, store: EventStore, watcher: CodeDeployedWatcher
) -> None:
    publish(sqlite_database, store, "green")
    hit(broker, 1, environment="devel")
    hit(broker, 2, forced=True)
    broker.producer().send([OutgoingMessage(topic=HITS, key=b"k", value=b"poison")])
    assert watcher.step() == 0
    hit(broker, 3)
    assert watcher.step() == 1


def test_tests_that_are_not_in_dev_are_left_alone(
    broker: MemoryBroker, sqlite_database: Engine, store: EventStore, watcher: CodeDeployedWatcher
) -> None:
    create(sqlite_database, store, "draft")
    publish(sqlite_database, store, "running")
    append(sqlite_database, store, "running", SplitTestStarted(key="running"))
    for number, key in enumerate(("draft", "running", "unknown")):
        hit(broker, number, test_key=key)
    assert watcher.step() == 0
    assert facts(store, "draft") == facts(store, "running") == []


def test_a_test_is_seen_as_soon_as_it_is_published(
    broker: MemoryBroker, sqlite_database: Engine, store: EventStore, watcher: CodeDeployedWatcher
) -> None:
    create(sqlite_database, store, "green")
    hit(broker, 1)
    assert watcher.step() == 0
    append(sqlite_database, store, "green", SplitTestPublished(key="green"))
    hit(broker, 2)
    assert watcher.step() == 1


def test_a_late_hit_of_a_discarded_life_neither_counts_nor_hides_one_of_the_present_life(
    broker: MemoryBroker, sqlite_database: Engine, store: EventStore, watcher: CodeDeployedWatcher
) -> None:
    for group in (1, 2):
        create(sqlite_database, store, "green")
        settings = (proposed("green", group), prepared("green", group), SplitTestPublished(key="green"))
        append(sqlite_database, store, "green", *settings)
        if group == 1:
            over = (SplitTestUnpublished(key="green"), DraftDiscarded(key="green"))
            append(sqlite_database, store, "green", *over)
    hit(broker, 1, settings_group=1)
    assert watcher.step() == 0
    hit(broker, 2, settings_group=1)
    hit(broker, 3, settings_group=2)
    assert watcher.step() == 1
    assert [fact.hit_id for fact in facts(store, "green")] == [str(UUID(int=3))]


def test_a_restart_goes_on_where_it_stopped_and_reading_again_records_nothing(
    broker: MemoryBroker, sqlite_database: Engine, store: EventStore, watcher: CodeDeployedWatcher
) -> None:
    publish(sqlite_database, store, "green")
    hit(broker, 1)
    watcher.step()
    watcher.close()
    with sqlite_database.connect() as connection:
        assert position_of(connection, f"code_deployed:{HITS}:0") == 1
    assert broker.standing(GROUP, HITS).behind == 0
    hit(broker, 2)
    assert broker.standing(GROUP, HITS).behind == 1
    restarted = watcher_of(broker, sqlite_database, store)
    restarted.start()
    assert restarted.step() == 0
    restarted.close()
    assert len(facts(store, "green")) == 1


def test_a_topic_that_is_read_again_from_its_beginning_records_nothing(
    broker: MemoryBroker, sqlite_database: Engine, store: EventStore, watcher: CodeDeployedWatcher
) -> None:
    publish(sqlite_database, store, "green")
    hit(broker, 1)
    assert watcher.step() == 1
    watcher.close()
    with write_transaction(sqlite_database) as connection:
        forget(connection, CHECKPOINTS)
    again = watcher_of(broker, sqlite_database, store)
    again.start()
    assert [again.step() for _ in range(2)] == [0, 0]
    again.close()
    with sqlite_database.connect() as connection:
        assert position_of(connection, f"{CHECKPOINTS}{HITS}:0") == 1
    assert len(facts(store, "green")) == 1


def test_hits_seen_before_the_read_model_exists_are_not_forgotten(
    broker: MemoryBroker, sqlite_database: Engine, store: EventStore, watcher: CodeDeployedWatcher
) -> None:
    hit(broker, 1)
    assert watcher.step() == 0
    publish(sqlite_database, store, "green")
    assert watcher.step() == 1


def test_hits_gathered_when_the_watcher_closes_are_looked_at(
    broker: MemoryBroker, sqlite_database: Engine, store: EventStore
) -> None:
    publish(sqlite_database, store, "green")
    patient = CodeDeployedWatcher(
        source=broker.source(GROUP),
        engine=sqlite_database,
        commands=SplitTestCommands(store=store, registry=REGISTRY, catalog=Catalog([]), now=lambda: NOW),
        freshness_seconds=0.01,
        clock=lambda: -1.0,
    )
    patient.start()
    hit(broker, 1)
    assert patient.step() == 0
    patient.close()
    assert len(facts(store, "green")) == 1
