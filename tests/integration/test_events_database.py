"""How the database is opened: what a crash may take, who waits for whom, and which moments are refused."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, Table, insert, select
from sqlalchemy.exc import StatementError

from events.database import UtcDateTime, open_database, write_transaction

MOMENTS = Table("moments", MetaData(), Column("number", Integer, primary_key=True), Column("moment", UtcDateTime))


def test_a_commit_survives_a_power_cut(database: Engine) -> None:
    setting, safe = ("PRAGMA synchronous", 2) if database.dialect.name == "sqlite" else ("SHOW fsync", "on")
    with database.connect() as connection:
        assert connection.exec_driver_sql(setting).scalar_one() == safe


def test_sqlite_readers_do_not_wait_for_a_writer(sqlite_database: Engine) -> None:
    MOMENTS.create(sqlite_database)
    with write_transaction(sqlite_database) as writing:
        writing.execute(insert(MOMENTS).values(number=1))
        with sqlite_database.connect() as reading:
            assert reading.execute(select(MOMENTS)).all() == []


def test_a_sqlite_read_that_was_never_finished_ends_with_its_connection(sqlite_database: Engine) -> None:
    MOMENTS.create(sqlite_database)
    with write_transaction(sqlite_database) as writing:
        writing.execute(insert(MOMENTS), [{"number": number} for number in range(3)])
    with sqlite_database.connect() as reading:
        the_same = reading.connection.driver_connection
        kept = reading.execute(select(MOMENTS))
        assert kept.fetchone() is not None
    with closing(sqlite3.connect(str(sqlite_database.url.database))) as elsewhere, elsewhere:
        elsewhere.execute("DELETE FROM moments")
    with sqlite_database.connect() as reading:
        assert reading.connection.driver_connection is the_same
        assert reading.execute(select(MOMENTS)).all() == []
    del kept


def test_a_new_sqlite_file_can_be_opened_by_many_at_once(tmp_path: Path) -> None:
    for attempt in range(20):
        together = Barrier(4)

        def open_and_look(url: str, together: Barrier = together) -> str:
            engine = open_database(url)
            together.wait()
            with engine.connect() as connection:
                mode = str(connection.exec_driver_sql("PRAGMA journal_mode").scalar_one())
            engine.dispose()
            return mode

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(open_and_look, [f"sqlite:///{tmp_path / str(attempt)}"] * 4)) == ["wal"] * 4


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=5, minutes=45)), timezone(timedelta(hours=-8))])
def test_moments_come_back_as_utc(database: Engine, zone: timezone) -> None:
    moment = datetime(2026, 5, 3, 14, 5, 6, 789012, tzinfo=zone)
    MOMENTS.create(database)
    with write_transaction(database) as connection:
        connection.execute(insert(MOMENTS), [{"number": 1, "moment": moment}, {"number": 2, "moment": None}])
        stored = connection.execute(select(MOMENTS.c.moment).order_by(MOMENTS.c.number)).scalars().all()

    assert stored == [moment, None]
    assert stored[0].tzinfo is UTC


def test_a_moment_without_a_zone_is_not_stored(database: Engine) -> None:
    MOMENTS.create(database)
    naive = datetime(2026, 5, 3)  # noqa: DTZ001 - the bad input
    with write_transaction(database) as connection, pytest.raises(StatementError, match="naive"):
        connection.execute(insert(MOMENTS).values(number=1, moment=naive))


def test_a_failed_write_transaction_leaves_nothing(database: Engine) -> None:
    MOMENTS.create(database)

    def write_and_fail() -> None:
        with write_transaction(database) as connection:
            connection.execute(insert(MOMENTS).values(number=1))
            raise InterruptedError

    with pytest.raises(InterruptedError):
        write_and_fail()
    with database.connect() as connection:
        assert connection.execute(select(MOMENTS)).all() == []
