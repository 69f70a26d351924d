"""Engines and write transactions for the database that holds the log and the read models: SQLite or PostgreSQL.

Two things about SQLite need care, and both live here. Its transactions must begin as writers (BEGIN IMMEDIATE), or two
of them read the same counter and one fails late; and Python's driver must not begin or commit on its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, DateTime, Engine, TypeDecorator, create_engine, event
from sqlalchemy.engine import Dialect
from sqlalchemy.pool import ConnectionPoolEntry

_WRITES = "usersplit_writes"


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime in every database; SQLite, which has no time zones, is handed naive UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive datetimes: a moment without a zone is not a moment."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a naive datetime was about to be stored: {value!r}")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return what was stored, aware."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def open_database(url: str) -> Engine:
    """Return an engine for `url` (`sqlite:///…` or `postgresql+psycopg://…`). Nothing is connected yet."""
    if url.startswith("sqlite"):
        engine = create_engine(url, connect_args={"timeout": 30, "isolation_level": None})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    return create_engine(url, pool_pre_ping=True)


@contextmanager
def write_transaction(engine: Engine) -> Iterator[Connection]:
    """Yield a connection in a transaction that may write; commit at the end, roll back on any exception."""
    with engine.connect().execution_options(**{_WRITES: True}) as connection, connection.begin():
        yield connection


def _prepare_sqlite(connection: Any, record: ConnectionPoolEntry) -> None:
    del record
    # WAL lets readers read while one writer writes; FULL makes a commit survive a power cut, not only a crash.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
