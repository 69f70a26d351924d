"""What every lock of a leader promises, and what losing it means."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from consumers.leadership import FileLeaderLock, PostgresLeaderLock, leader_lock
from events.database import open_database
from tests.support.terminal import wait_until


@pytest.fixture
def postgres_engine(postgres_url: str) -> Iterator[Engine]:
    engine = open_database(postgres_url)
    yield engine
    engine.dispose()


def test_a_leader_lock_is_held_by_one_until_it_is_released(database: Engine) -> None:
    first, second = leader_lock(database, "relay"), leader_lock(database, "relay")
    other = leader_lock(database, "something else")
    assert first.try_acquire()
    assert first.try_acquire()
    assert not second.try_acquire()
    assert other.try_acquire()
    assert first.still_held()
    assert not second.still_held()
    first.release()
    first.release()
    assert not first.still_held()
    assert second.try_acquire()
    second.release()
    other.release()


def test_whose_connection_was_lost_does_not_lead_any_more(postgres_engine: Engine) -> None:
    first, second = PostgresLeaderLock(postgres_engine, "relay"), PostgresLeaderLock(postgres_engine, "relay")
    assert first.try_acquire()
    with postgres_engine.connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' "
                "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
        )
    assert not first.still_held()
    first.release()
    # The server says farewell to a session before it lets go of its locks.
    wait_until("the lock is free", second.try_acquire)
    second.release()


def test_a_database_in_memory_has_no_leader_lock() -> None:
    with pytest.raises(ValueError, match="give SQLite a file"):
        leader_lock(open_database("sqlite://"), "relay")


def test_the_lock_of_a_sqlite_database_is_a_file_beside_it(sqlite_database: Engine) -> None:
    lock = leader_lock(sqlite_database, "relay")
    assert isinstance(lock, FileLeaderLock)
    assert str(lock._path) == f"{sqlite_database.url.database}.relay.lock"
