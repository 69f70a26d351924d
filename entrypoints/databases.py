"""Which database stands behind a port of the warehouse, by what the settings say."""

from pathlib import Path
from typing import TypeAlias, assert_never

from entrypoints.settings import UsersSettings
from warehouse.clickhouse_dimensions import ClickHouseDimensions
from warehouse.clickhouse_hits import ClickHouseHits
from warehouse.clickhouse_users import ClickHouseUsers
from warehouse.dimensions import DimensionWarehouse
from warehouse.duckdb_dimensions import DuckDbDimensions
from warehouse.duckdb_hits import DuckDbHits
from warehouse.duckdb_users import DuckDbUsers
from warehouse.postgres_dimensions import PostgresDimensions
from warehouse.postgres_hits import PostgresHits
from warehouse.postgres_users import PostgresUsers
from warehouse.sql_traffic import SqlTraffic
from warehouse.traffic import HitTraffic
from warehouse.users import UsersDatabase

BiWarehouse: TypeAlias = DuckDbHits | PostgresHits | ClickHouseHits
"""Where hits end up, one for each engine."""


def open_warehouse(url: str) -> BiWarehouse:
    """Return the warehouse at `url` with its tables prepared: `duckdb:///file`, `postgresql://…` or `clickhouse://…`."""
    scheme, _, place = url.partition("://")
    warehouse: BiWarehouse
    match scheme:
        case "duckdb":
            warehouse = DuckDbHits(Path(place.removeprefix("/")))
        case "clickhouse":
            warehouse = ClickHouseHits(url)
        case _:
            warehouse = PostgresHits(url)
    warehouse.prepare()
    return warehouse


def dimensions_of(hits: BiWarehouse) -> DimensionWarehouse:
    """Return the tables of tests, settings groups and changes that stand beside `hits`, in the same database."""
    match hits:
        case DuckDbHits():
            return DuckDbDimensions(hits)
        case ClickHouseHits():
            return ClickHouseDimensions(hits)
        case PostgresHits():
            return PostgresDimensions(hits)
        case _:
            assert_never(hits)


def traffic_of(hits: BiWarehouse) -> HitTraffic:
    """Return what answers the charts from the hits."""
    return SqlTraffic(hits)


def open_users(settings: UsersSettings) -> UsersDatabase | None:
    """Return the database with the users table, None where the settings name none. Nothing is connected yet."""
    if settings.users_url is None:
        return None
    return users_at(settings.users_url.get_secret_value())


def users_at(url: str) -> UsersDatabase:
    """Return the database with the users table at `url`, to be read. Nothing is connected yet."""
    scheme, _, place = url.partition("://")
    if scheme == "duckdb":
        return DuckDbUsers(Path(place.removeprefix("/")), read_only=True)
    return PostgresUsers(url) if scheme == "postgresql" else ClickHouseUsers(url)
