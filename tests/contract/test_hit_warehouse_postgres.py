"""What only PostgreSQL can do to us: end our session, go read-only, and let two consumers write at once."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from time import monotonic

import psycopg
import pytest

from tests.support.terminal import wait_until
from warehouse import postgres_patience
from warehouse.errors import Fenced, WarehouseDown, WarehouseTooNew
from warehouse.hits import HITS_SCHEMA, OffsetRange
from warehouse.postgres_hits import PostgresHits

pytestmark = pytest.mark.real_postgres

NOTHING = HITS_SCHEMA.empty_table()


def part(first: int, following: int) -> OffsetRange:
    return OffsetRange(topic="hits", partition=0, first=first, next=following)


@pytest.fixture
def warehouse(postgres_url: str) -> Iterator[PostgresHits]:
    with closing(PostgresHits(postgres_url)) as made:
        made.prepare()
        yield made


@pytest.fixture
def admin(postgres_url: str) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    with psycopg.connect(postgres_url.replace("+psycopg", "", 1), autocommit=True) as connection:
        yield connection


def test_a_session_that_was_ended_is_a_warehouse_that_is_down_and_the_next_try_connects_again(
    warehouse: PostgresHits, admin: "psycopg.Connection[tuple[object, ...]]"
) -> None:
    warehouse.store(NOTHING, [part(0, 1)])
    admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = 'usersplit-warehouse'"
    )
    with pytest.raises(WarehouseDown):
        warehouse.store(NOTHING, [part(1, 2)])
    warehouse.store(NOTHING, [part(1, 2)])
    assert dict(warehouse.offsets("hits")) == {0: 2}


@pytest.mark.usefixtures("warehouse")
def test_a_database_that_takes_no_writes_is_a_warehouse_that_is_down(
    admin: "psycopg.Connection[tuple[object, ...]]", postgres_url: str
) -> None:
    name = postgres_url.partition("?")[0].rpartition("/")[2]
    admin.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'.encode())
    with closing(PostgresHits(postgres_url)) as reader:
        with pytest.raises(WarehouseDown, match="read-only"):
            reader.store(NOTHING, [part(0, 1)])
        admin.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = off'.encode())
        reader.store(NOTHING, [part(0, 1)])


def test_a_server_that_is_not_there_is_a_warehouse_that_is_down() -> None:
    with pytest.raises(WarehouseDown):
        PostgresHits("postgresql+psycopg://nobody@127.0.0.1:1/nothing").ping()


def test_of_two_consumers_that_store_one_range_at_once_one_is_fenced(
    warehouse: PostgresHits, postgres_url: str
) -> None:
    with closing(PostgresHits(postgres_url)) as other, ThreadPoolExecutor(2) as threads:
        for first in range(0, 20, 2):
            tries = [threads.submit(each.store, NOTHING, [part(first, first + 2)]) for each in (warehouse, other)]
            # The very first range meets a warehouse that knows no offset; it too is stored by one of them alone.
            errors = [attempt.exception(timeout=30) for attempt in tries]
            assert sorted(type(error).__name__ for error in errors) == [Fenced.__name__, "NoneType"]


def test_two_processes_may_make_the_tables_at_once(postgres_url: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        warehouses = [PostgresHits(postgres_url) for _ in range(4)]
        list(threads.map(PostgresHits.prepare, warehouses))
        for each in warehouses:
            each.close()


def test_a_warehouse_of_the_future_is_refused(
    warehouse: PostgresHits, admin: "psycopg.Connection[tuple[object, ...]]"
) -> None:
    admin.execute("UPDATE hit_warehouse SET version = 99")
    with pytest.raises(WarehouseTooNew, match="version 99"):
        warehouse.prepare()


def test_a_server_that_is_frozen_is_a_warehouse_that_is_down_and_not_waited_for_for_ever(
    warehouse: PostgresHits, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse.store(NOTHING, [part(0, 1)])
    assert warehouse._writer is not None
    pid = warehouse._writer.info.backend_pid
    try:
        os.kill(pid, signal.SIGSTOP)
    except (ProcessLookupError, PermissionError):
        pytest.skip("the server's processes are not this machine's, or not ours")
    try:
        started = monotonic()
        with monkeypatch.context() as hasty:
            hasty.setattr(postgres_patience, "GRACE_SECONDS", 0.2)
            hasty.setattr(warehouse, "_timeout_seconds", 0.5)  # the server keeps the limit that it was told
            with pytest.raises(WarehouseDown):
                warehouse.store(NOTHING, [part(1, 2)])
        assert monotonic() - started < 10
    finally:
        os.kill(pid, signal.SIGCONT)
    warehouse.store(NOTHING, [part(1, 2)])
    assert dict(warehouse.offsets("hits")) == {0: 2}


@pytest.mark.usefixtures("warehouse")
def test_a_statement_that_waits_for_a_lock_too_long_is_ended_and_tried_again(
    admin: "psycopg.Connection[tuple[object, ...]]", postgres_url: str
) -> None:
    with closing(PostgresHits(postgres_url, timeout_seconds=0.3)) as hasty:
        with admin.transaction():
            admin.execute("LOCK TABLE hit_offsets IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(WarehouseDown, match="statement timeout"):
                hasty.store(NOTHING, [part(0, 1)])

        def stores() -> bool:
            with suppress(WarehouseDown):  # so much haste may be too much for a busy machine
                hasty.store(NOTHING, [part(0, 1)])
                return True
            return False

        wait_until("it is stored", stores)


def test_the_tables_of_the_release_before_are_brought_up(
    warehouse: PostgresHits, admin: "psycopg.Connection[tuple[object, ...]]"
) -> None:
    admin.execute("UPDATE hit_warehouse SET version = 1")
    admin.execute("DROP VIEW exposures")
    warehouse.prepare()
    assert admin.execute("SELECT (SELECT version FROM hit_warehouse), count(*) FROM exposures").fetchone() == (2, 0)
