"""The users table in DuckDB, which lives in this process: rows arrive as Arrow, without a copy of each value."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import duckdb
import duckdb_engine
import pyarrow as pa
from duckdb import DuckDBPyConnection

from warehouse.errors import WarehouseDown, WarehouseError, WarehouseLocked, WarehouseRefused
from warehouse.users import Statement

_DIALECT: Final[Any] = duckdb_engine.Dialect(paramstyle="numeric_dollar")


class DuckDbUsers:
    """A `warehouse.users.UsersDatabase` in DuckDB.

    Args:
        database: a file, opened at first use; or what gives a cursor on a database that is open already, such as
            `DuckDbHits.cursor`: DuckDB lets one process in at a time, and one process has one database object.
        read_only: open the file anew for each question, and only to read. Then any number of processes may ask at the
            same time, and an importer may write between two questions.
    """

    counts_nearby: Final = True

    def __init__(self, database: Path | Callable[[], DuckDBPyConnection], *, read_only: bool = False) -> None:
        self._path = database if isinstance(database, Path) else None
        self._cursors = None if isinstance(database, Path) else database
        self._connection: DuckDBPyConnection | None = None
        self._read_only = read_only
        self._opening = threading.Lock()
        self._threads = threading.local()

    def column_types(self, table: str) -> Mapping[str, str]:
        """See `UsersDatabase.column_types`."""
        with self._asking() as cursor:
            try:
                found = cursor.execute(f"DESCRIBE {quoted(table)}").fetchall()
            except duckdb.CatalogException:
                return {}
            return {str(name): str(type_).lower() for name, type_, *_ in found}

    def expression_type(self, table: str, expression: str) -> str:
        """See `UsersDatabase.expression_type`."""
        with self._asking() as cursor:
            described = f"DESCRIBE SELECT ({expression}) FROM {quoted(table)}"  # noqa: S608 - the operator's own file
            return str(cursor.execute(described).fetchall()[0][1]).lower()

    def table(self, statement: Statement) -> pa.Table:
        """See `UsersDatabase.table`."""
        text, parameters = _compiled(statement)
        with self._asking() as cursor:
            return cursor.sql(text, params=parameters).to_arrow_table()

    def rows(self, statement: Statement) -> Sequence[tuple[Any, ...]]:
        """See `UsersDatabase.rows`."""
        text, parameters = _compiled(statement)
        with self._asking() as cursor:
            return cursor.execute(text, parameters).fetchall()

    def stream(self, statement: Statement, *, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """See `UsersDatabase.stream`. The batches come through a cursor of their own: others may ask meanwhile."""
        text, parameters = _compiled(statement)
        with self._asking() as asking:
            cursor = asking.cursor()
            try:
                yield from cursor.sql(text, params=parameters).to_arrow_reader(batch_rows)
            finally:
                cursor.close()

    @contextmanager
    def _asking(self) -> Iterator[DuckDBPyConnection]:
        with translated():
            if not self._read_only:
                yield self.cursor()
                return
            connection = self._connected()
            try:
                yield connection
            finally:
                connection.close()

    def cursor(self) -> DuckDBPyConnection:
        """Return this thread's cursor, for the importer and other writers of this room.

        Raises:
            WarehouseLocked: another process holds the file.
            WarehouseDown: the file cannot be opened.
        """
        if self._cursors is not None:
            return self._cursors()
        cursor: DuckDBPyConnection | None = getattr(self._threads, "cursor", None)
        if cursor is None:
            cursor = self._threads.cursor = self._open().cursor()
        return cursor

    def close(self) -> None:
        """See `UsersDatabase.close`."""
        with self._opening:
            self._threads = threading.local()
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> DuckDBPyConnection:
        with self._opening:
            if self._connection is None:
                self._connection = self._connected()
            return self._connection

    def _connected(self) -> DuckDBPyConnection:
        path = self._path
        if self._read_only and path is not None and not path.exists():
            raise WarehouseDown(f"there is no DuckDB file {path}; import users into it first")
        try:
            return duckdb.connect(str(path), read_only=self._read_only)
        except duckdb.IOException as error:
            raise WarehouseLocked(str(path)) if "lock" in str(error) else WarehouseDown(str(error)) from error


def quoted(table: str) -> str:
    """Return a table's name, `table` or `schema.table`, as an identifier."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in table.split("."))


def _compiled(statement: Statement) -> tuple[str, list[Any]]:
    compiled = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    names = compiled.positiontup or []
    return str(compiled), [compiled.params[name] for name in names]


@contextmanager
def translated() -> Iterator[None]:
    """Turn the database's errors into those of this room."""
    try:
        yield
    except WarehouseError:
        raise
    except (duckdb.OperationalError, duckdb.ConnectionException) as error:
        raise WarehouseDown(f"DuckDB cannot answer now: {error}") from error
    except duckdb.Error as error:
        raise WarehouseRefused(f"DuckDB refused: {error}") from error
