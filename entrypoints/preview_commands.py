"""What a proposal would become, and where the preparations of others are: nothing of this changes anything."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import click
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as ProgressBar

from entrypoints.console import DataTable, console, details_table
from entrypoints.estimate_lines import estimate_lines
from entrypoints.manager_commands import as_option, backbone_for, key_argument, read_json
from entrypoints.reading_commands import is_visible, json_option, seen_test, waiting_line
from entrypoints.visible import visible
from projections import current_settings, preparation_steps, readable, test_list
from projections.current_settings import CurrentSettings
from projections.preparation_steps import PreparationProgress


class NobodyIsCounted(Exception):
    """Previews need users."""

    def __init__(self) -> None:
        super().__init__("no users table is connected; set USERSPLIT_USERS_URL, see docs/audience.md")


@click.command()
@key_argument
@click.argument("settings_file", type=click.File("r", encoding="utf-8"))
@click.option("--base-rate", type=click.FloatRange(0, 1, min_open=True, max_open=True), help="For smallest effects.")
@as_option
@json_option
def preview(key: str, settings_file: Any, base_rate: float | None, name: str | None, *, as_json: bool) -> None:
    """Say what settings from a JSON file (as for `propose`) would become: estimate, overlaps, who would move.

    Nothing changes. KEY may be a test that does not exist yet.
    """
    document = read_json(settings_file)
    with backbone_for(name) as (backbone, actor):
        if backbone.audience is None:
            raise NobodyIsCounted
        with backbone.reading() as connection:
            if test_list.get(connection, key) is not None:
                seen_test(connection, actor, key)
        with _steps_shown() as told:
            found = backbone.audience.preview(key, document, base_rate=base_rate, told=told)
    if as_json:
        click.echo(json.dumps(asdict(found)))
        return
    details = details_table()
    details.add_row("settings group", f"{found.settings_group}, not proposed yet")
    details.add_row("users", f"{found.users:,} meet the conditions{', at most' if found.assumed_filters else ''}")
    for label, text in estimate_lines(found):
        details.add_row(label, text)
    if found.kept_groups or found.moved:
        details.add_row("against now", readable.moves(found.kept_groups, found.moved))
    console().print(details)


@click.command()
@as_option
@json_option
def preparations(name: str | None, *, as_json: bool) -> None:
    """List the settings groups that wait to be prepared, or could not be, and how far each is."""
    with backbone_for(name) as (backbone, actor), backbone.reading() as connection:
        lines = [
            _line(settings, preparation_steps.of(connection, settings.key))
            for settings in current_settings.unprepared(connection)
            if (row := test_list.get(connection, settings.key)) is not None and is_visible(actor, row)
        ]
    if as_json:
        click.echo(json.dumps(lines))
        return
    if not lines:
        click.echo("Nothing waits to be prepared.")
        return
    table = DataTable("test", "settings group", "state", "how far")
    for line in lines:
        table.add_row(line["key"], str(line["settings_group"]), line["state"], line["said"])
    console().print(table)


def _line(settings: CurrentSettings, step: PreparationProgress | None) -> dict[str, Any]:
    is_its = step is not None and step.settings_group == settings.pending_group
    return {
        "key": settings.key,
        "settings_group": settings.pending_group,
        "state": settings.pending_state,
        "share_done": step.share_done if step and is_its and settings.pending_state == "proposed" else 0.0,
        "said": waiting_line(settings, step),
    }


@contextmanager
def _steps_shown() -> Iterator[Callable[[str, str], None]]:
    """Show on stderr how far a preview is, if anybody watches."""
    columns = (TextColumn("{task.description}"), BarColumn())
    with ProgressBar(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task("tests that overlap by dates", total=1.0)

        def told(step: str, detail: str) -> None:
            share = preparation_steps.SHARE_DONE.get(step, 0.0)
            bar.update(task, completed=share, description=visible(detail))

        yield told
