"""A writer dies, or somebody writes around the store: the log stays whole, and a retry finds the truth."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, text, update

from events import database
from events.database import open_database, write_transaction
from events.errors import CounterBehindLog, DatabaseUnavailable, SchemaMissing, VersionConflict
from events.facts import REGISTRY
from events.sql_store import SqlEventStore, event_counter_table, events_table
from events.store import Appended
from tests.support.commit_gates import PostgresCommitGate
from tests.support.event_stores import BY_ANNA, NOW, ORDER, positions, some_facts
from tests.support.held_transactions import HeldWriter

ROOT = Path(__file__).parents[2]


@contextmanager
def a_writer_to_kill(url: str, moment: str) -> Iterator[None]:
    """Start a writer and wait until it hangs; it is killed on the way out."""
    program = [sys.executable, str(ROOT / "tests" / "support" / "interrupted_writer.py"), url, moment]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'sdk'}"}
    with subprocess.Popen(program, env=environment, stdout=subprocess.PIPE, text=True) as writer:
        try:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "hanging\n"
            yield
        finally:
            writer.kill()


def retry(url: str) -> Appended:
    """Give the killed writer's command once more, and one append after it; the log must be whole."""
    engine = open_database(url)
    store = SqlEventStore(engine, REGISTRY)
    answer = store.append("stream", some_facts(2), expected_version=0, provenance=BY_ANNA, command=ORDER)
    later = store.append("stream", some_facts(1), expected_version=2, provenance=BY_ANNA)
    assert later.position == 3
    assert positions(store.read(after=0, limit=10)) == [1, 2, 3]
    engine.dispose()
    return answer


FIRST_ANSWER = Appended(stream="stream", version=2, position=2, answer="started")


def test_a_writer_killed_between_its_append_and_its_reply_is_answered_on_retry(database_url: str) -> None:
    with a_writer_to_kill(database_url, "after_commit"):
        pass

    assert retry(database_url) == replace(FIRST_ANSWER, replayed=True)


def test_a_writer_killed_before_its_commit_has_written_nothing(migrated_sqlite_url: str) -> None:
    with a_writer_to_kill(migrated_sqlite_url, "before_commit"):
        pass

    assert retry(migrated_sqlite_url) == FIRST_ANSWER


def test_an_append_whose_writer_was_killed_on_the_way_is_the_servers_to_finish(migrated_postgres_url: str) -> None:
    """One statement is one transaction: once it is sent, only the server decides, and a retry waits for its word."""
    with PostgresCommitGate(migrated_postgres_url) as gate, HeldWriter(migrated_postgres_url) as retrying:
        with a_writer_to_kill(gate.url, "before_commit"):
            assert gate.reached()
        retrying.start("stream", facts=2, command=ORDER)
        assert retrying.is_kept_waiting()

        gate.open()

        assert retrying.commit() == replace(FIRST_ANSWER, replayed=True)
    assert retry(migrated_postgres_url) == replace(FIRST_ANSWER, replayed=True)


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
            assert writer.is_kept_waiting()
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
    with HeldWriter(migrated_postgres_url) as writer:
        writer.start("stream", facts=2, command=ORDER)
        assert writer.reaches_its_commit()

        writer.roll_back()

        with pytest.raises(DatabaseUnavailable, match="same command id"):
            writer.commit()
    assert retry(migrated_postgres_url) == FIRST_ANSWER


def test_connections_that_died_in_the_pool_are_replaced_unnoticed(migrated_postgres_url: str) -> None:
    cutting, engine = open_database(migrated_postgres_url), open_database(migrated_postgres_url)
    store = SqlEventStore(engine, REGISTRY)
    store.append("stream", some_facts(1), expected_version=0, provenance=BY_ANNA)
    with engine.connect(), engine.connect():
        pass  # leaves two in the pool

    with cutting.connect() as connection:
        # The second argument waits until they are gone.
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )

    assert store.append("stream", some_facts(1), expected_version=1, provenance=BY_ANNA).position == 2
    assert len(store.read_stream("stream")) == 2
    cutting.dispose()
    engine.dispose()


def test_a_full_disk_appends_nothing_and_is_named(migrated_sqlite_url: str) -> None:
    engine = open_database(migrated_sqlite_url)
    store = SqlEventStore(engine, REGISTRY)
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")  # as many as there are: not one more

    with pytest.raises(DatabaseUnavailable, match="full"):
        store.append("stream", some_facts(5000), expected_version=0, provenance=BY_ANNA)

    assert store.head() == 0
    assert list(store.read_stream("stream")) == []
    engine.dispose()


def test_a_sqlite_file_that_stays_locked_is_named_and_nothing_is_appended(
    migrated_sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_WAIT_SECONDS", 0.1)
    impatient, engine = open_database(migrated_sqlite_url), open_database(migrated_sqlite_url)
    store = SqlEventStore(impatient, REGISTRY)

    with write_transaction(engine), pytest.raises(DatabaseUnavailable, match="locked"):
        store.append("stream", some_facts(1), expected_version=0, provenance=BY_ANNA, command=ORDER)

    assert store.append("stream", some_facts(1), expected_version=0, provenance=BY_ANNA, command=ORDER).position == 1
    impatient.dispose()
    engine.dispose()
