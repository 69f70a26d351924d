"""The users table in PostgreSQL."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import psycopg
import pyarrow as pa
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError

from warehouse.errors import WarehouseDown, WarehouseRefused
from warehouse.users import Statement

_ROWS_AT_ONCE: Final = 50_000
_TYPES: Final = """
    SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
    WHERE attrelid = to_regclass(:name) AND attnum > 0 AND NOT attisdropped
"""


class PostgresUsers:
    """A `warehouse.users.UsersDatabase` at a URL such as `postgresql://user:password@host/name`. Connects lazily."""

    counts_nearby: Final = False

    def __init__(self, url: str) -> None:
        self._engine: Engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), pool_pre_ping=True)

    @property
    def engine(self) -> Engine:
        """The pool of connections, for the importer and other writers of this room."""
        return self._engine

    def column_types(self, table: str) -> Mapping[str, str]:
        """See `UsersDatabase.column_types`."""
        with translated(), self._engine.connect() as connection:
            name = ".".join(f'"{part}"' for part in table.split("."))
            return {column: str(type_).lower() for column, type_ in connection.execute(text(_TYPES), {"name": name})}

    def expression_type(self, table: str, expression: str) -> str:
        """See `UsersDatabase.expression_type`."""
        name = ".".join(f'"{part}"' for part in table.split("."))
        with translated(), self._engine.connect() as connection:
            described = f"SELECT pg_typeof(({expression})) FROM (SELECT 1) AS one LEFT JOIN {name} ON false"  # noqa: S608 - the operator's own file
            return str(connection.exec_driver_sql(described.replace("%", "%%")).scalar_one()).lower()

    def table(self, statement: Statement) -> pa.Table:
        """See `UsersDatabase.table`. Numbers only travel well this way: types are taken from the values."""
        names = [column.name for column in statement.selected_columns]
        batches = list(self.stream(statement, batch_rows=_ROWS_AT_ONCE))
        if not batches:
            return pa.table({name: pa.array([], pa.int64()) for name in names})
        return pa.Table.from_batches(batches)

    def rows(self, statement: Statement) -> Sequence[tuple[Any, ...]]:
        """See `UsersDatabase.rows`."""
        with translated(), self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(statement)]

    def stream(self, statement: Statement, *, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """See `UsersDatabase.stream`."""
        names = [column.name for column in statement.selected_columns]
        with translated(), self._engine.connect() as connection:
            options = {"stream_results": True, "max_row_buffer": batch_rows, "yield_per": batch_rows}
            for rows in connection.execution_options(**options).execute(statement).partitions(batch_rows):
                columns = zip(*rows, strict=True)
                yield pa.RecordBatch.from_arrays([pa.array(column) for column in columns], names=names)

    def close(self) -> None:
        """See `UsersDatabase.close`."""
        self._engine.dispose()


@contextmanager
def translated() -> Iterator[None]:
    """Turn the database's errors into those of this room."""
    try:
        yield
    except DBAPIError as error:
        if isinstance(error, OperationalError) or error.connection_invalidated:
            raise WarehouseDown(f"PostgreSQL cannot answer now: {error.orig}") from error
        raise WarehouseRefused(f"PostgreSQL refused: {error.orig}") from error
    except psycopg.OperationalError as error:  # of COPY, which goes past SQLAlchemy
        raise WarehouseDown(f"PostgreSQL cannot answer now: {error}") from error
    except psycopg.Error as error:
        raise WarehouseRefused(f"PostgreSQL refused: {error}") from error
