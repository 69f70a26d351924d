"""What operators do with projections: see where they stand, pause them, let them go on, build them anew."""

import json
from dataclasses import asdict

import click
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table

from entrypoints import backbone as wiring
from entrypoints.console import DataTable, console, plain
from entrypoints.settings import DatabaseSettings
from entrypoints.visible import visible
from events.database import write_transaction
from events.facts import REGISTRY
from projections import models, registry
from projections.overview import GenerationOverview, overview
from projections.progress import Progress
from projections.rebuild import rebuild_many

_PROJECTIONS = {projection.name: projection for projection in models.ALL}
_NAMES = sorted(_PROJECTIONS)
_STYLES = {"live": "green", "building": "cyan", "retired": "dim"}

name_argument = click.argument("name", type=click.Choice(_NAMES))


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.pass_context
def projections(context: click.Context, *, as_json: bool) -> None:
    """List the projections: version, position, lag behind the log, state; and pause or resume one.

    Generations stand side by side while one is being rebuilt. Readers are given the one that is live, or paused.
    """
    if context.invoked_subcommand is not None:
        return
    backbone = _backbone()
    try:
        head = backbone.store.head()
        with backbone.engine.connect() as connection:
            found = overview(connection, models.ALL, head=head)
    finally:
        backbone.close()
    if as_json:
        click.echo(json.dumps([asdict(each) for each in found], indent=2))
        return
    console().print(_table(found))
    for each in found:
        if each.reason and each.state == "paused":
            click.echo(visible(f"{each.name} is paused: {each.reason}"))
        if each.advice:
            click.echo(f"{each.name}, generation {each.generation}: {each.advice}.")


@projections.command()
@name_argument
@click.option("--reason", default="an operator paused it", show_default=True, help="Printed by `projections`.")
def pause(name: str, reason: str) -> None:
    """Keep a projection where it stands. Readers go on to be given its last rows."""
    backbone = _backbone()
    try:
        with write_transaction(backbone.engine) as connection:
            registry.pause(connection, name, reason=reason)
            known = registry.generations(connection, name)
    finally:
        backbone.close()
    click.echo(f"{name} is paused. Let it go on with: projections resume {name}")
    if any(each.state == "building" for each in known):
        click.echo(f"A rebuild of {name} is at work, or was killed. When it ends, {name} goes on: pause it again then.")


@projections.command()
@name_argument
def resume(name: str) -> None:
    """Let a paused projection go on from where it stands, once the cause is gone.

    It pauses again at the same fact if the cause is still there. Rows that went wrong earlier need a rebuild.
    """
    backbone = _backbone()
    try:
        with write_transaction(backbone.engine) as connection:
            registry.resume(connection, name)
    finally:
        backbone.close()
    click.echo(f"{name} goes on; a running projector takes it up at once.")


@click.command()
@click.argument("model", metavar="NAME|all", type=click.Choice([*_NAMES, "all"]))
def rebuild(model: str) -> None:
    """Rebuild a projection from the facts, beside the live one, and switch when it has caught up.

    Readers see the old one until the switch. `all` reads the log once, and switches all of them together. A rebuild
    that is interrupted changes nothing; run it again.
    """
    names = _NAMES if model == "all" else [model]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    backbone = _backbone()
    try:
        with ProgressBar(*columns, console=console(stderr=True)) as bar:
            task = bar.add_task(model, total=None)
            last = Progress(name=model, stage="starting", done=0, total=0, elapsed_seconds=0.0)

            def report(progress: Progress) -> None:
                nonlocal last
                last = progress
                description = f"{model}: {progress.stage}, {progress.events_per_second:,.0f} events/s"
                bar.update(task, description=description, completed=progress.done, total=progress.total)

            built = rebuild_many(
                engine=backbone.engine,
                store=backbone.store,
                registry=REGISTRY,
                projections=[_PROJECTIONS[name] for name in names],
                progress=report,
            )
    finally:
        backbone.close()
    for generation in built:
        click.echo(
            f"{generation.name}: generation {generation.generation} serves, version {generation.version}, "
            f"position {generation.position}."
        )
    click.echo(f"{last.done:,} events in {last.elapsed_seconds:.1f} s, {last.events_per_second:,.0f} events/s.")


def _backbone() -> wiring.Backbone:
    return wiring.open_backbone(DatabaseSettings.read().database_url.get_secret_value())


def _table(found: list[GenerationOverview]) -> Table:
    table = DataTable("projection", "generation", "version", "position", "lag", "state", "readers")
    for each in found:
        table.add_row(
            each.name,
            str(each.generation or "–"),
            str(each.version),
            f"{each.position:,}",
            f"{each.lag:,}",
            plain(each.state, style=_STYLES.get(each.state, "red")),
            "are given it" if each.serves else "",
        )
    return table
