"""`users walk`: everybody who is in a test, a variant or a user group, into a file or another program."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol, TypeAlias

import click
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar

from audience.catalog import DEFAULT_CATALOG, load_catalog
from audience.users_table import UsersTable, required_users_table
from consumers.users_walk import Circle, UsersWalk, of_test, of_user_group
from entrypoints.console import console
from entrypoints.databases import users_at
from entrypoints.manager_commands import as_option, backbone_for
from entrypoints.reading_commands import seen_test
from entrypoints.settings import TerminalSettings, UsersTableSettings
from entrypoints.user_group_estimates import seen_group
from entrypoints.visible import visible
from entrypoints.walk_file import WalkFile, lines_of
from projections.readable import users as number_of_users
from usersplit.conditions import parse_text


class Out(Protocol):
    """Where identifiers go."""

    def write(self, text: str, /) -> object:
        """Take some whole lines."""
        ...


Told: TypeAlias = Callable[[int], object]
"""Told how many users were dealt with so far."""


@click.command()
@click.argument("conditions", required=False)
@click.option("--test", help="The users of this split test, by the settings in force.")
@click.option("--variant", help="Of the test only those of this variant.")
@click.option("--group", help="The users of this user group.")
@click.option("--after", help="Go on behind this identifier.")
@click.option("--batch", default=10_000, show_default=True, type=click.IntRange(1, 1_000_000), help="Users at a time.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write them to this file.")
@click.option("--resume", is_flag=True, help="Go on where the file of --output ends.")
@click.option(
    "--catalog",
    "catalog_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The catalog of filters with [users]; that of the settings, or the shipped one, by default.",
)
@as_option
def walk(  # noqa: PLR0913, PLR0917 - a command has the options it has
    conditions: str | None,
    test: str | None,
    variant: str | None,
    group: str | None,
    after: str | None,
    batch: int,
    output: Path | None,
    catalog_path: Path | None,
    name: str | None,
    *,
    resume: bool,
) -> None:
    """Print the identifiers of users, ascending, as JSON, one a line.

    Whose: those of --test or --group, or who meets CONDITIONS, which are JSON as in a proposal; [] is everybody.
    Interrupted, go on with --resume, or behind the last identifier with --after.
    """
    if sum(each is not None for each in (conditions, test, group)) != 1:
        raise click.UsageError("Say whose users: CONDITIONS, --test or --group, one of them.")
    if (variant is not None and test is None) or (resume and (output is None or after is not None)):
        raise click.UsageError("--variant belongs to --test; --resume to --output, and without --after.")
    circle, table = _whom(conditions, test, variant, group, catalog_path, name)
    database = users_at(UsersTableSettings.read().required_url())
    try:
        walking = UsersWalk(database, table, circle)
        if assumed := walking.assumed_filters:
            said = f"No column holds {', '.join(assumed)}: more users are walked than will be let in."
            click.echo(visible(said), err=True)
        file = None if output is None else WalkFile.open(output, resume=resume)
        with ExitStack() as closing:
            if file is not None:
                closing.enter_context(file)
            last = file.last if file is not None and resume else after
            done = _walk(walking, last, batch, file or sys.stdout, shown=file is not None)
    finally:
        database.close()
    if output is not None:
        click.echo(visible(f"{number_of_users(done, is_upper_bound=False)} written to {output}."))


def _whom(
    conditions: str | None,
    test: str | None,
    variant: str | None,
    group: str | None,
    catalog_path: Path | None,
    name: str | None,
) -> tuple[Circle, UsersTable]:
    if conditions is not None:
        path = catalog_path or DEFAULT_CATALOG
        catalog = load_catalog(path)
        return Circle(conditions=parse_text(conditions, catalog)), required_users_table(catalog, path)
    path = catalog_path or TerminalSettings.read().catalog or DEFAULT_CATALOG
    table = required_users_table(load_catalog(path), path)
    with backbone_for(name) as (backbone, actor):
        if group is not None:
            seen_group(backbone, actor, group)
        with backbone.reading() as connection:
            if test is None:
                return of_user_group(connection, group or ""), table
            seen_test(connection, actor, test)
            return of_test(connection, test, variant), table


def _walk(walking: UsersWalk, after: int | str | None, batch: int, out: Out, *, shown: bool) -> int:
    done = 0
    with _progress(walking.how_many(after=after) if shown else None) as told:
        for users in walking.batches(after=after, batch_users=batch):
            out.write(lines_of(users))
            done += len(users)
            told(done)
    return done


@contextmanager
def _progress(total: int | None) -> Iterator[Told]:
    """Show on stderr how far a walk is; not where the users themselves are printed."""
    if total is None:
        yield _tell_nobody
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with ProgressBar(*columns, console=console(stderr=True)) as bar:
        task = bar.add_task("users", total=total)
        yield lambda done: bar.update(task, completed=done)


def _tell_nobody(done: int) -> None:
    del done
