"""Engines and write transactions for the database that holds the log and the read models: SQLite or PostgreSQL.

Three things about SQLite need care, and all live here. Its transactions must begin as writers (BEGIN IMMEDIATE), or two
of them read the same counter and one fails late; Python's driver must not begin or commit on its own; and what was not
read to its end must not outlive its transaction. One thing about PostgreSQL does: a connection that waits in the pool
may be dead, and a round trip to find out would cost every append a quarter of its time.
"""

import select
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from weakref import WeakSet

from sqlalchemy import Connection, DateTime, Engine, TypeDecorator, create_engine, event
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError, DisconnectionError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection, PoolResetState

from events.errors import DamagedRow, DatabaseUnavailable, SchemaMissing

_WRITES = "usersplit_writes"
_MOST_CONNECTIONS = 15
"""Of a process. All are kept: to connect takes PostgreSQL longer than most of what is asked of it."""
_WAIT_SECONDS = 30.0
_SWITCHES_AT_ONCE = 100
_UNDEFINED_TABLE = "42P01"
_NO_UTF_8 = "Could not decode to UTF-8"
"""SQLite's driver calls it an operational error, as if asking again might help."""


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
        return _aware(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None]:
        """Return the same as a bare function: a page of a list has hundreds of moments."""
        parse = self.impl_instance.result_processor(dialect, coltype)
        if parse is None:
            return _aware
        read = parse

        def processed(value: Any) -> datetime | None:
            return _aware(read(value))

        return processed


def _aware(value: datetime | None) -> datetime | None:
    if value is None or value.tzinfo is UTC:
        return value
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def open_database(url: str) -> Engine:
    """Return an engine for `url` (`sqlite:///…` or `postgresql+psycopg://…`). Nothing is connected yet."""
    if url.startswith("sqlite"):
        settings = {"timeout": _WAIT_SECONDS, "isolation_level": None, "factory": _SqliteConnection}
        engine = create_engine(url, connect_args=settings)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "reset", _end_reading_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    # Said aloud, because a server may be set to another default: a writer that waited for the counter must then see
    # what the one before it committed, which a snapshot taken earlier would hide.
    engine = create_engine(
        url, isolation_level="READ COMMITTED", pool_size=_MOST_CONNECTIONS, max_overflow=0, pool_use_lifo=True
    )
    event.listen(engine, "connect", _prepare_postgres)
    event.listen(engine, "checkout", _refuse_a_dead_connection)
    return engine


@contextmanager
def write_transaction(engine: Engine) -> Iterator[Connection]:
    """Yield a connection in a transaction that may write; commit at the end, roll back on any exception."""
    with engine.connect().execution_options(**{_WRITES: True}) as connection, connection.begin():
        yield connection


@contextmanager
def driver_connection(engine: Engine) -> Iterator[Any]:
    """Yield the driver's own connection to SQLite, for the few statements whose price counts.

    What is still open at the end is rolled back. The driver's errors pass as they are, but for:

    Raises:
        DatabaseUnavailable: it cannot be reached.
        SchemaMissing: the tables are not there.
    """
    with named_errors():
        pooled = engine.raw_connection()
        try:
            yield pooled.driver_connection
        finally:
            pooled.close()


@contextmanager
def named_errors() -> Iterator[None]:
    """Turn the database's own errors into those of `events.errors` that a caller can act on; let others pass.

    Raises:
        SchemaMissing: the tables are not there.
        DamagedRow: a text is no text.
        DatabaseUnavailable: it cannot be reached, or stayed locked for longer than a writer waits.
    """
    try:
        yield
    except DBAPIError as error:
        if tells_of_damage(error):
            raise DamagedRow(str(error.orig)) from error
        if "no such table" in str(error.orig) or getattr(error.orig, "sqlstate", None) == _UNDEFINED_TABLE:
            raise SchemaMissing(str(error.orig)) from error
        if isinstance(error, OperationalError) or error.connection_invalidated:
            raise DatabaseUnavailable(str(error.orig)) from error
        raise
    except sqlite3.OperationalError as error:
        if tells_of_damage(error):
            raise DamagedRow(str(error)) from error
        if "no such table" in str(error):
            raise SchemaMissing(str(error)) from error
        raise DatabaseUnavailable(str(error)) from error


def tells_of_damage(error: Exception) -> bool:
    """Answer whether an error of the database, operational by its class, says that a row is damaged."""
    return _NO_UTF_8 in str(error)


def _prepare_postgres(connection: Any, record: ConnectionPoolEntry) -> None:
    """Say READ COMMITTED for statements outside of transactions too: SQLAlchemy's setting is for BEGIN only.

    And let moments come in UTC, wherever the server stands: they need not be converted then.
    """
    del record
    connection.autocommit = True
    connection.execute("SET default_transaction_isolation TO 'read committed'; SET timezone TO 'UTC'")
    connection.autocommit = False


def _refuse_a_dead_connection(connection: Any, record: ConnectionPoolEntry, proxy: PoolProxiedConnection) -> None:
    """Have the pool connect anew where the server has hung up."""
    del record, proxy
    if has_hung_up(connection):
        raise DisconnectionError


def has_hung_up(connection: Any) -> bool:
    """Answer whether a driver's idle connection to PostgreSQL is over, which its socket tells without a round trip.

    On an idle connection nothing is due. Whatever has arrived is the end of the connection, or a notice so rare that
    a new connection is a fair price for not having to read it.
    """
    if connection.closed:
        return True
    arrived = select.poll()
    arrived.register(connection.fileno(), select.POLLIN)
    return bool(arrived.poll(0))


class _SqliteConnection(sqlite3.Connection):
    """A connection that knows its cursors.

    As long as one of them stands before a row, whatever ended its transaction, SQLite goes on to show the connection
    the database of then; and one that an error keeps, by its traceback, stands there for as long as the error is kept.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._cursors: WeakSet[sqlite3.Cursor] = WeakSet()

    def cursor(self, *arguments: Any, **settings: Any) -> Any:
        made = super().cursor(*arguments, **settings)
        self._cursors.add(made)
        return made

    def end_reading(self) -> None:
        for cursor in self._cursors:
            cursor.close()


def _end_reading_sqlite(connection: _SqliteConnection, record: ConnectionPoolEntry, state: PoolResetState) -> None:
    del record, state
    connection.end_reading()


def _prepare_sqlite(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
    del record
    connection.execute(f"PRAGMA busy_timeout={int(_WAIT_SECONDS * 1000)}").close()
    _use_write_ahead_log(connection)
    # FULL makes a commit survive a power cut, not only a crash. A cache of 8 MB holds what one batch of a projection
    # changes, which with the default of 2 MB went to the disk twice.
    for pragma in ("synchronous=FULL", "foreign_keys=ON", "cache_size=-8000"):
        connection.execute(f"PRAGMA {pragma}").close()


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Let readers read while one writer writes. The mode is kept in the file, so only a new one is switched.

    SQLite fails at once, without its busy timeout, where two connections switch a new file at the same moment; an
    empty write transaction does wait for the other one.
    """
    for _ in range(_SWITCHES_AT_ONCE):
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "delete":
            return
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
        except sqlite3.OperationalError:
            connection.execute("BEGIN IMMEDIATE").close()
            connection.execute("COMMIT").close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
