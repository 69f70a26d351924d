"""Users from a CSV or Parquet file into the users table, in batches: those who are there are updated, new ones added.

Columns are matched by name; a column of the file that the table lacks is an error, one of the table that the file lacks
keeps what it holds. A user's split group is never overwritten: it is for good. Every batch is one transaction, and
importing a file twice gives the same table, so an import that was killed is simply run again. Who has no split group
afterwards is given one by `warehouse.split_group_backfill`. ClickHouse, which neither updates rows quickly nor has
transactions, has an importer of its own: `warehouse.clickhouse_users_import`.
"""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import polars as pl
import pyarrow as pa
from sqlalchemy import Connection

from warehouse.duckdb_users import DuckDbUsers, quoted
from warehouse.duckdb_users import translated as translated_duckdb
from warehouse.postgres_users import PostgresUsers
from warehouse.postgres_users import translated as translated_postgres
from warehouse.split_group_backfill import Progress, untold
from warehouse.users_file import UsersFile

_POSTGRES_TYPES: Final = {
    "TINYINT": "smallint",
    "UTINYINT": "smallint",
    "USMALLINT": "integer",
    "UINTEGER": "bigint",
    "FLOAT": "real",
    "DOUBLE": "double precision",
    "VARCHAR": "text",
}


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
    with closing(UsersFile(path, id_column, split_group)) as export, translated_duckdb():
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
    with closing(UsersFile(path, id_column, split_group)) as export:
        kinds = {
            **{each: _POSTGRES_TYPES.get(kind, kind) for each, kind in export.types.items()},
            split_group: "smallint",
        }
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
