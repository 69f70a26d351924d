"""Users from a CSV or Parquet file into the users table, in batches: those who are there are updated, new ones added.

DuckDB reads the file, whichever database holds the users. Columns are matched by name; a column of the file that the
table lacks is an error, one of the table that the file lacks keeps what it holds. A user's split group is never
overwritten: it is for good. Every batch is one transaction, and importing a file twice gives the same table, so an
import that was killed is simply run again. Who has no split group afterwards is given one by
`warehouse.split_group_backfill`.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import duckdb
import polars as pl
import pyarrow as pa
from sqlalchemy import Connection

from warehouse.duckdb_users import DuckDbUsers, quoted
from warehouse.duckdb_users import translated as translated_duckdb
from warehouse.errors import WarehouseRefused
from warehouse.postgres_users import PostgresUsers
from warehouse.postgres_users import translated as translated_postgres
from warehouse.split_group_backfill import Progress, untold

_READERS: Final = {".csv": "read_csv", ".gz": "read_csv", ".parquet": "read_parquet"}
_POSTGRES_TYPES: Final = {
    "TINYINT": "smallint",
    "UTINYINT": "smallint",
    "USMALLINT": "integer",
    "UINTEGER": "bigint",
    "FLOAT": "real",
    "DOUBLE": "double precision",
    "VARCHAR": "text",
}


class _Export:
    """A file of users, read by a DuckDB of its own."""

    def __init__(self, path: Path, id_column: str, split_group: str) -> None:
        reader = _READERS.get(path.suffix)
        if reader is None:
            raise WarehouseRefused(f"{path} is neither .csv, .csv.gz nor .parquet; export the users as one of these")
        self._connection = duckdb.connect(":memory:")
        self._source = f"{reader}('{str(path).replace(chr(39), chr(39) * 2)}')"
        try:
            described = self._connection.execute(f"DESCRIBE SELECT * FROM {self._source}").fetchall()  # noqa: S608
        except duckdb.Error as error:
            raise WarehouseRefused(f"{path} cannot be read: {error}") from error
        self.types = {str(name): str(type_) for name, type_, *_ in described}
        if id_column not in self.types:
            raise WarehouseRefused(f"{path} has no column {id_column}; name the identifier of users so")
        self.names = list(self.types)
        self.attributes = [name for name in self.names if name not in {id_column, split_group}]
        self._id = id_column
        self.total = int(self._connection.execute(f"SELECT count(*) FROM {self._source}").fetchall()[0][0])  # noqa: S608

    def batches(self, batch_users: int) -> Iterator[pa.Table]:
        """Yield the file in batches, in its order; of a user who is twice in a batch, the last line."""
        for batch in self._connection.sql(f"SELECT * FROM {self._source}").to_arrow_reader(batch_users):  # noqa: S608
            frame = pl.DataFrame(batch)
            if frame[self._id].null_count():
                raise WarehouseRefused(f"a line has no {self._id}; every user needs an identifier, correct the export")
            yield frame.unique(self._id, keep="last", maintain_order=True).to_arrow()

    def close(self) -> None:
        self._connection.close()


def import_into_duckdb(
    database: DuckDbUsers,
    path: Path,
    *,
    table: str,
    id_column: str,
    split_group: str,
    batch_users: int = 500_000,
    progress: Progress = untold,
) -> int:
    """Import the users in the file `path`, and return how many lines it has. The table is made if it is not there.

    Raises:
        WarehouseRefused: the file or the table does not fit; batches that were told of stay.
        WarehouseDown: the database cannot write; run it again.
    """
    name = quoted(table)
    with translated_duckdb():
        export = _Export(path, id_column, split_group)
        cursor = database.cursor()
        kinds = {**{each: export.types[each] for each in export.names}, split_group: "SMALLINT"}
        made = ", ".join(f"{quoted(each)} {kind}" for each, kind in kinds.items())
        cursor.execute(f"CREATE TABLE IF NOT EXISTS {name} ({made})")
        done = 0
        for batch in export.batches(batch_users):
            cursor.register("imported_users", batch)
            try:
                cursor.execute(_merge(name, id_column, export.names, export.attributes))
            finally:
                cursor.unregister("imported_users")
            done = min(done + batch_users, export.total)
            progress(done, export.total)
        export.close()
        return export.total


def import_into_postgres(
    database: PostgresUsers,
    path: Path,
    *,
    table: str,
    id_column: str,
    split_group: str,
    batch_users: int = 100_000,
    progress: Progress = untold,
) -> int:
    """Import likewise into PostgreSQL, by COPY. The identifier must be the primary key, or unique.

    Raises:
        WarehouseRefused, WarehouseDown: as `import_into_duckdb`.
    """
    name = quoted(table)
    with translated_duckdb():
        export = _Export(path, id_column, split_group)
    kinds = {**{each: _POSTGRES_TYPES.get(kind, kind) for each, kind in export.types.items()}, split_group: "smallint"}
    made = ", ".join(
        f"{quoted(each)} {kind}{' PRIMARY KEY' if each == id_column else ''}" for each, kind in kinds.items()
    )
    with translated_postgres(), database.engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE TABLE IF NOT EXISTS {name} ({made})")
    done = 0
    for batch in export.batches(batch_users):
        with translated_postgres(), database.engine.begin() as connection:
            _copy_batch(connection, batch, name, id_column, export.attributes)
        done = min(done + batch_users, export.total)
        progress(done, export.total)
    export.close()
    return export.total


def _merge(name: str, id_column: str, names: Sequence[str], attributes: Sequence[str]) -> str:
    assigned = ", ".join(f"{quoted(each)} = new.{quoted(each)}" for each in attributes)
    key = quoted(id_column)
    matched = f"WHEN MATCHED THEN UPDATE SET {assigned} " if assigned else ""
    inserted = ", ".join(f"new.{quoted(each)}" for each in names)
    return (
        f"MERGE INTO {name} AS users USING imported_users AS new ON users.{key} = new.{key} {matched}"  # noqa: S608
        f"WHEN NOT MATCHED THEN INSERT ({_listed(names)}) VALUES ({inserted})"
    )


def _copy_batch(connection: Connection, batch: pa.Table, name: str, id_column: str, attributes: Sequence[str]) -> None:
    names = batch.column_names
    connection.exec_driver_sql(f"CREATE TEMPORARY TABLE imported_users (LIKE {name} INCLUDING DEFAULTS) ON COMMIT DROP")
    driver: Any = connection.connection.driver_connection
    with (
        driver.cursor() as cursor,
        cursor.copy(f"COPY imported_users ({_listed(names)}) FROM STDIN (FORMAT csv, NULL '\\N')") as copy,
    ):
        frame = pl.DataFrame(batch)
        copy.write(frame.write_csv(include_header=False, null_value="\\N", quote_style="non_numeric").encode())
    assigned = ", ".join(f"{quoted(each)} = excluded.{quoted(each)}" for each in attributes)
    action = f"UPDATE SET {assigned}" if assigned else "NOTHING"
    connection.exec_driver_sql(
        f"INSERT INTO {name} ({_listed(names)}) SELECT {_listed(names)} FROM imported_users "  # noqa: S608 - names only
        f"ON CONFLICT ({quoted(id_column)}) DO {action}"
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(quoted, names))
