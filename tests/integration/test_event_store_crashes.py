"""A writer dies, or somebody writes around the store: the log stays whole, and a retry finds the truth."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, update

from events.database import open_database, write_transaction
from events.errors import CounterBehindLog, DatabaseUnavailable, SchemaMissing, VersionConflict
from events.facts import REGISTRY
from events.sql_store import SqlEventStore, event_counter_table, events_table
from events.store import Appended
from tests.support.event_stores import BY_ANNA, NOW, ORDER, positions, some_facts
from tests.support.held_transactions import HeldWriter, somebody_waits_for_a_lock

ROOT = Path(__file__).parents[2]


def kill_a_writer(url: str, moment: str) -> None:
    program = [sys.executable, str(ROOT / "tests" / "support" / "interrupted_writer.py"), url, moment]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'sdk'}"}
    with subprocess.Popen(program, env=environment, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "hanging\n"
        writer.kill()


@pytest.mark.parametrize(("moment", "replayed"), [("before_commit", False), ("after_commit", True)])
def test_a_retry_after_a_killed_writer_finds_one_append(database_url: str, moment: str, replayed: bool) -> None:  # noqa: FBT001 - a case's expectation
    kill_a_writer(database_url, moment)
    engine = open_database(database_url)
    store = SqlEventStore(engine, REGISTRY)

    answer = store.append("stream", some_facts(2), expected_version=0, provenance=BY_ANNA, command=ORDER)
    later = store.append("stream", some_facts(1), expected_version=2, provenance=BY_ANNA)

    assert answer == Appended(stream="stream", version=2, position=2, answer="started", replayed=replayed)
    assert later.position == 3
    assert positions(store.read(after=0, limit=10)) == [1, 2, 3]
    engine.dispose()


def event_row(*, position: int, version: int) -> dict[str, object]:
    encoded = REGISTRY.encode(some_facts(1)[0])
    return {
        "position": position,
        "stream": "stream",
        "version": version,
        "name": encoded.name,
        "fact_version": encoded.version,
        "payload": encoded.payload.decode(),
        "actor": "somebody",
        "recorded_at": NOW,
    }


def test_a_version_taken_by_a_writer_around_the_counter_is_a_conflict(migrated_postgres_url: str) -> None:
    around = open_database(migrated_postgres_url)
    with HeldWriter(migrated_postgres_url) as writer:
        with around.begin() as connection:
            connection.execute(insert(events_table), event_row(position=900, version=1))
            writer.start("stream", facts=1)
            assert somebody_waits_for_a_lock(migrated_postgres_url)
        with pytest.raises(VersionConflict) as conflict:
            writer.commit()
    around.dispose()

    assert (conflict.value.expected, conflict.value.actual) == (0, 1)


def test_a_counter_that_was_restored_too_low_is_named_and_appends_nothing(database: Engine) -> None:
    store = SqlEventStore(database, REGISTRY)
    store.append("stream", some_facts(3), expected_version=0, provenance=BY_ANNA)
    with write_transaction(database) as connection:
        connection.execute(update(event_counter_table).values(position=1))

    with pytest.raises(CounterBehindLog, match="highest position"):
        store.append("another", some_facts(1), expected_version=0, provenance=BY_ANNA)

    assert len(store.read(after=0, limit=10)) == 3


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_database_that_was_never_migrated_says_so(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}" if kind == "sqlite" else str(request.getfixturevalue("postgres_url"))
    engine = open_database(url)
    store = SqlEventStore(engine, REGISTRY)

    with pytest.raises(SchemaMissing, match="run the migrations"):
        store.append("stream", some_facts(1), expected_version=0, provenance=BY_ANNA)
    with pytest.raises(SchemaMissing):
        store.read(after=0, limit=1)
    engine.dispose()


@pytest.mark.parametrize(
    "url", ["postgresql+psycopg://nobody@/nothing?host=/nowhere", "sqlite:////nowhere/usersplit.db"]
)
def test_a_database_that_is_away_is_named(url: str) -> None:
    engine = open_database(url)

    with pytest.raises(DatabaseUnavailable, match="same command id"):
        SqlEventStore(engine, REGISTRY).append("stream", some_facts(1), expected_version=0, provenance=BY_ANNA)
    engine.dispose()


def test_a_connection_cut_before_its_commit_appends_nothing(migrated_postgres_url: str) -> None:
    cutting = open_database(migrated_postgres_url)
    with HeldWriter(migrated_postgres_url) as writer:
        writer.start("stream", facts=2, command=ORDER)
        assert writer.reaches_its_commit()
        with cutting.connect() as connection:
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        with pytest.raises(DatabaseUnavailable):
            writer.commit()

    store = SqlEventStore(cutting, REGISTRY)
    retried = store.append(
        "stream", some_facts(2), expected_version=0, provenance=replace(BY_ANNA, actor="again"), command=ORDER
    )
    assert not retried.replayed
    assert positions(store.read(after=0, limit=10)) == [1, 2]
    cutting.dispose()
