"""What is done with the users table in a terminal: make or import it, give split groups, count its users."""

from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import assert_never

import click
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar

from audience.catalog import DEFAULT_CATALOG, load_catalog
from audience.conditions_sql import assumed_filters
from audience.counts import count
from audience.users_table import UsersTable, required_users_table
from entrypoints.console import console
from entrypoints.settings import UsersTableSettings
from entrypoints.visible import shortened, visible
from entrypoints.walk_command import walk
from usersplit.conditions import Catalog, parse_text
from warehouse.clickhouse_users import ClickHouseUsers
from warehouse.clickhouse_users_import import backfill_clickhouse, import_into_clickhouse
from warehouse.duckdb_users import DuckDbUsers
from warehouse.generated_users import generate_clickhouse, generate_duckdb, generate_postgres
from warehouse.postgres_users import PostgresUsers
from warehouse.split_group_backfill import Progress, backfill_duckdb, backfill_postgres
from warehouse.users_import import import_into_duckdb, import_into_postgres

_catalog_option = click.option(
    "--catalog",
    "catalog_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=DEFAULT_CATALOG,
    help="The catalog of filters with [users]; the shipped one by default.",
)


@click.group("users")
def users_group() -> None:
    """The users table: import it, give split groups, count and walk its users."""


@users_group.command("generate")
@click.option("--users", "size", type=click.IntRange(min=1), default=1_000_000, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@_catalog_option
def generate(size: int, seed: int, catalog_path: Path) -> None:
    """Make the users table anew with made-up users. What it held is gone."""
    _, table = _mapping(catalog_path)
    with closing(_open()) as database:
        match database:
            case DuckDbUsers():
                generate_duckdb(database, table.name, users=size, seed=seed)
            case PostgresUsers():
                generate_postgres(database, table.name, users=size, seed=seed)
            case ClickHouseUsers():
                generate_clickhouse(database, table.name, users=size, seed=seed)
            case _:
                assert_never(database)
    click.echo(f"{table.name} holds {size:,} made-up users.")


@users_group.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_catalog_option
def import_users(file: Path, catalog_path: Path) -> None:
    """Import users from a CSV or Parquet file, then give a split group to everybody without one.

    Who is there already is updated and keeps the split group. An import that was interrupted is simply run again. In
    ClickHouse users and split groups change all at once, or not at all.
    """
    _, table = _mapping(catalog_path)
    with closing(_open()) as database:
        importer = _importer(database)
        named = {"table": table.name, "id_column": table.id, "split_group": table.split_group}
        lines = _with_progress("users", lambda told: importer(file, **named, progress=told))
        drawn = _backfill(database, table)
    click.echo(f"Imported {lines:,} lines; {drawn:,} users were given a split group.")


@users_group.command("split-groups")
@_catalog_option
def split_groups(catalog_path: Path) -> None:
    """Draw a split group for every user without one. Interrupted, it goes on where it stopped."""
    _, table = _mapping(catalog_path)
    with closing(_open()) as database:
        drawn = _backfill(database, table)
    click.echo(f"{drawn:,} users were given a split group.")


@users_group.command("count")
@click.argument("conditions")
@_catalog_option
def count_users(conditions: str, catalog_path: Path) -> None:
    """Count the users who meet CONDITIONS, which are JSON as in a proposal; [] is everybody."""
    catalog, table = _mapping(catalog_path)
    asked = parse_text(conditions, catalog)
    with closing(_open()) as database:
        table.check(database, catalog)
        number = int(count(database, table, asked, ()).users.sum())
    assumed = assumed_filters(asked, table)
    bound = f"at most, for no column holds {', '.join(assumed)}" if assumed else "exactly"
    click.echo(visible(f"{number:,} users meet {shortened(asked.to_text(), 200)}, {bound}."))


users_group.add_command(walk)


def _mapping(path: Path) -> tuple[Catalog, UsersTable]:
    catalog = load_catalog(path)
    return catalog, required_users_table(catalog, path)


def _open() -> DuckDbUsers | PostgresUsers | ClickHouseUsers:
    url = UsersTableSettings.read().required_url()
    scheme, _, place = url.partition("://")
    if scheme == "duckdb":
        return DuckDbUsers(Path(place.removeprefix("/")))
    return ClickHouseUsers(url) if scheme == "clickhouse" else PostgresUsers(url)


def _importer(database: DuckDbUsers | PostgresUsers | ClickHouseUsers) -> Callable[..., int]:
    match database:
        case DuckDbUsers():
            return partial(import_into_duckdb, database)
        case PostgresUsers():
            return partial(import_into_postgres, database)
        case ClickHouseUsers():
            return partial(import_into_clickhouse, database)
        case _:
            assert_never(database)


def _backfill(database: DuckDbUsers | PostgresUsers | ClickHouseUsers, table: UsersTable) -> int:
    def job(told: Progress) -> int:
        match database:
            case DuckDbUsers():
                return backfill_duckdb(database, table.name, split_group=table.split_group, progress=told)
            case PostgresUsers():
                return backfill_postgres(database, table.name, split_group=table.split_group, progress=told)
            case ClickHouseUsers():
                return backfill_clickhouse(
                    database, table.name, id_column=table.id, split_group=table.split_group, progress=told
                )
            case _:
                assert_never(database)

    return _with_progress("split groups", job)


def _with_progress(what: str, job: Callable[[Progress], int]) -> int:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with ProgressBar(*columns, console=console(stderr=True)) as bar:
        task = bar.add_task(what, total=None)
        return job(lambda done, total: bar.update(task, completed=done, total=total))
