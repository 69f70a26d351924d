"""Users tables for tests, one with a column of every type of filter, in each database that can hold users."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

import clickhouse_connect
import duckdb
from sqlalchemy import text

from audience.users_table import MappedColumn, UsersTable
from usersplit.conditions import Catalog, Filter
from warehouse.clickhouse_users import ClickHouseUsers
from warehouse.duckdb_users import DuckDbUsers
from warehouse.postgres_users import PostgresUsers
from warehouse.users import UsersDatabase

CATALOG: Final = Catalog(
    [
        Filter("flag", "boolean", "user"),
        Filter("whole", "integer", "user"),
        Filter("small", "integer", "user"),
        Filter("ratio", "number", "user"),
        Filter("name", "string", "user"),
        Filter("build", "version", "user"),
        Filter("seen_at", "time", "user"),
        Filter("zoned_at", "time", "user"),
        Filter("country", "string", "environment"),
        Filter("platform", "string", "environment"),
        Filter("unmapped", "integer", "user"),
    ]
)
COLUMNS: Final = ("flag", "whole", "small", "ratio", "name", "build", "seen_at", "zoned_at", "country")
USERS: Final = UsersTable(
    name="users",
    id="user_id",
    split_group="split_group",
    columns={name: MappedColumn(text=name) for name in COLUMNS},
)
Row = Mapping[str, Any]

_DUCKDB: Final = """
    CREATE OR REPLACE TABLE users (
        user_id BIGINT, split_group SMALLINT, flag BOOLEAN, whole BIGINT, small SMALLINT, ratio DOUBLE, name VARCHAR,
        build VARCHAR, seen_at TIMESTAMP, zoned_at TIMESTAMPTZ, country VARCHAR
    )
"""
_POSTGRES: Final = """
    CREATE TABLE users (
        user_id bigint PRIMARY KEY, split_group smallint, flag boolean, whole bigint, small smallint,
        ratio double precision, name text, build text, seen_at timestamp, zoned_at timestamptz, country varchar(60)
    )
"""
_CLICKHOUSE: Final = """
    CREATE OR REPLACE TABLE users (
        user_id Int64, split_group Nullable(Int16), flag Nullable(Bool), whole Nullable(Int64), small Nullable(Int16),
        ratio Nullable(Float64), name Nullable(String), build Nullable(String), seen_at Nullable(DateTime64(6, 'UTC')),
        zoned_at Nullable(DateTime64(6, 'Asia/Tokyo')), country LowCardinality(Nullable(String))
    ) ENGINE = MergeTree ORDER BY user_id
"""
_NAMES: Final = ("user_id", "split_group", *COLUMNS)


class Place(Protocol):
    """A database in which a test keeps users."""

    @property
    def name(self) -> str: ...
    @property
    def database(self) -> UsersDatabase: ...

    def fill(self, rows: Sequence[Row]) -> None:
        """Keep these users and no others; what a row does not say is NULL."""
        ...


class DuckDbPlace:
    name = "duckdb"

    def __init__(self) -> None:
        self.connection = duckdb.connect(":memory:")
        self.connection.execute("SET TimeZone = 'America/New_York'")  # which must not matter
        self.database = DuckDbUsers(self.connection.cursor)

    def fill(self, rows: Sequence[Row]) -> None:
        self.connection.execute(_DUCKDB)
        values = [
            [_iso(row.get(name)) if name == "zoned_at" else _naive(row.get(name)) for name in _NAMES] for row in rows
        ]
        marks = ", ".join("?" for _ in _NAMES)
        if values:
            self.connection.executemany(f"INSERT INTO users VALUES ({marks})", values)  # noqa: S608 - question marks


class PostgresPlace:
    name = "postgresql"

    def __init__(self, url: str) -> None:
        self.database = PostgresUsers(url)
        with self.database.engine.begin() as connection:
            connection.execute(text(_POSTGRES))

    def fill(self, rows: Sequence[Row]) -> None:
        marks = ", ".join(f":{name}" for name in _NAMES)
        values = [
            {name: row.get(name) if name == "zoned_at" else _naive(row.get(name)) for name in _NAMES} for row in rows
        ]
        with self.database.engine.begin() as connection:
            connection.execute(text("SET LOCAL TIME ZONE 'America/New_York'"))
            connection.execute(text("TRUNCATE users"))
            if values:
                connection.execute(text(f"INSERT INTO users VALUES ({marks})"), values)  # noqa: S608 - names above


class ClickHousePlace:
    name = "clickhouse"

    def __init__(self) -> None:
        self.client = clickhouse_connect.get_client(dsn="chdb://memory")
        self.database = ClickHouseUsers(self.client)

    def fill(self, rows: Sequence[Row]) -> None:
        self.client.command(_CLICKHOUSE)
        if rows:
            self.client.insert("users", [[row.get(name) for name in _NAMES] for row in rows], column_names=_NAMES)


@contextmanager
def users_place(name: str, postgres_url: str | None = None) -> Iterator[Place]:
    """Yield the place called `name`; a URL is needed for PostgreSQL only."""
    place: DuckDbPlace | PostgresPlace | ClickHousePlace
    if name == "postgresql":
        assert postgres_url
        place = PostgresPlace(postgres_url)
    else:
        place = DuckDbPlace() if name == "duckdb" else ClickHousePlace()
    try:
        yield place
    finally:
        place.database.close()
        if isinstance(place, ClickHousePlace):
            place.client.command("DROP TABLE IF EXISTS users")
            place.client.close()


def duckdb_file(path: Path, rows: Sequence[Row]) -> None:
    """Make a DuckDB file that holds these users."""
    place = DuckDbPlace()
    place.connection.execute(f"ATTACH '{path}' AS file")
    place.connection.execute("USE file")
    place.fill(rows)
    place.connection.close()


def _naive(value: Any) -> Any:
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) else value


def _iso(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
