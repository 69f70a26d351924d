"""What QA does in a terminal: force a variant, disable all tests and enable one, see what is overridden, undo it."""

import json
from collections.abc import Callable
from typing import Any

import click
from rich.table import Table
from sqlalchemy import Connection

from domain.moments import read_moment
from domain.people import Actor, can_see
from entrypoints.console import DataTable, console
from entrypoints.manager_commands import as_option, backbone_for, carry_out, command_id_option
from entrypoints.reading_commands import day, json_option
from projections import overrides as overrides_model
from projections import test_list
from projections.overrides import DisabledUnit, ForcedVariant

unit_argument = click.argument("unit", metavar="TYPE:ID")
environment_option = click.option(
    "--in",
    "environment",
    type=click.Choice(["devel", "production"]),
    default="devel",
    show_default=True,
    help="The environment it holds in. In production, the person behind the id sees it.",
)
until_option = click.option(
    "--until", metavar="MOMENT", help="When it ends by itself, such as 2026-06-01 or 2026-06-01T18:00Z; else in 7 days."
)


def _asking(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add what every command of QA takes."""
    for option in (command_id_option, as_option, environment_option):
        function = option(function)
    return function


@click.command()
@unit_argument
@click.argument("key")
@click.argument("variant", required=False)
@click.option("--no-variant", is_flag=True, help="Force no variant.")
@until_option
@_asking
def force(  # noqa: PLR0913 - a form has the fields it has
    unit: str,
    key: str,
    variant: str | None,
    environment: str,
    until: str | None,
    name: str | None,
    command_id: str,
    *,
    no_variant: bool,
) -> None:
    """Give one unit VARIANT of the test KEY, whatever its dates, conditions and split groups say.

    TYPE:ID is user:42, device:ab-1 or guest:7f3a. It is taken back by `forget`, and ends by itself.
    """
    if (variant is None) != no_variant:
        raise click.UsageError("Say which variant, or --no-variant.")
    end = None if until is None else read_moment(until, "until")
    carry_out(
        name,
        command_id,
        None,
        done=f"{unit} gets {variant or 'no variant'} of {key} in {environment}.",
        what=lambda backbone, request: backbone.overrides.force(
            request, unit=unit, environment=environment, key=key, variant=variant, until=end
        ),
    )


@click.command()
@unit_argument
@click.argument("key", required=False)
@_asking
def forget(unit: str, key: str | None, environment: str, name: str | None, command_id: str) -> None:
    """Take back what was forced for a unit of the test KEY; without KEY, everything that was said of the unit."""
    carry_out(
        name,
        command_id,
        None,
        done=f"{unit} gets again what {key or 'every test'} gives it in {environment}.",
        what=lambda backbone, request: backbone.overrides.forget(request, unit=unit, environment=environment, key=key),
    )


@click.command("disable-tests")
@unit_argument
@until_option
@_asking
def disable_tests(unit: str, until: str | None, environment: str, name: str | None, command_id: str) -> None:
    """Let a unit take part in no test but those that are enabled for it, or forced."""
    end = None if until is None else read_moment(until, "until")
    carry_out(
        name,
        command_id,
        None,
        done=f"{unit} takes part in no test in {environment}.",
        what=lambda backbone, request: backbone.overrides.disable_tests(
            request, unit=unit, environment=environment, until=end
        ),
    )


@click.command("enable-test")
@unit_argument
@click.argument("key", required=False)
@click.option("--all", "everything", is_flag=True, help="Every test: take the disabling back.")
@_asking
def enable_test(
    unit: str, key: str | None, environment: str, name: str | None, command_id: str, *, everything: bool
) -> None:
    """Let a unit, for which all tests are disabled, take part in the test KEY; or in all of them again."""
    if (key is None) != everything:
        raise click.UsageError("Say which test, or --all.")
    carry_out(
        name,
        command_id,
        None,
        done=f"{unit} takes part in {key or 'all tests'} in {environment}.",
        what=lambda backbone, request: (
            backbone.overrides.enable_tests(request, unit=unit, environment=environment)
            if key is None
            else backbone.overrides.enable_test(request, unit=unit, environment=environment, key=key)
        ),
    )


@click.command()
@click.argument("unit", metavar="TYPE:ID", required=False)
@click.option("--test", "key", help="Only what is forced of this test.")
@click.option("--in", "environment", type=click.Choice(["devel", "production"]), help="Only in this environment.")
@as_option
@json_option
def overrides(unit: str | None, key: str | None, environment: str | None, name: str | None, *, as_json: bool) -> None:
    """List what is overridden, of all units or of one: what, by whom, since when and until when."""
    with backbone_for(name) as (backbone, actor), backbone.reading() as connection:
        forced = overrides_model.forced(connection, unit=unit, key=key, environment=environment)
        sees = _Sight(connection, actor)
        forced = [each for each in forced if sees.test(each.key, each.test_status)]
        disabled = [] if key else overrides_model.disabled(connection, unit=unit, environment=environment)
        disabled_rows = [(each, [test for test in each.enabled if sees.test(test)]) for each in disabled]
    if as_json:
        documents = {
            "forced": [_forced_document(each) for each in forced],
            "disabled": [_disabled_document(each, enabled) for each, enabled in disabled_rows],
        }
        click.echo(json.dumps(documents, indent=2))
    elif not forced and not disabled_rows:
        click.echo("Nothing is overridden here.")
    else:
        console().print(_table(forced, disabled_rows))


class _Sight:
    """Which tests an actor may know of: others' Drafts are not in their lists."""

    def __init__(self, connection: Connection, actor: Actor) -> None:
        self._connection = connection
        self._actor = actor

    def test(self, key: str, status: str = "draft") -> bool:
        if status not in {"", "draft"}:
            return True
        row = test_list.get(self._connection, key)
        return row is not None and can_see(self._actor, row.status, row.author, row.managers)


def _table(forced: list[ForcedVariant], disabled: list[tuple[DisabledUnit, list[str]]]) -> Table:
    table = DataTable("environment", "unit", "test", "gets", "until (UTC)", "by", "since (UTC)")
    for each in forced:
        gets = each.variant or "no variant"
        if not each.in_force:
            gets += " (once the test is published)" if each.test_status == "draft" else " (the test has it no more)"
        table.add_row(each.environment, each.unit, each.key, gets, day(each.until), each.actor, day(each.at))
    for unit, enabled in disabled:
        but = f"no variant, but of {', '.join(enabled)}" if enabled else "no variant"
        table.add_row(unit.environment, unit.unit, "all", but, day(unit.until), unit.actor, day(unit.at))
    return table


def _forced_document(each: ForcedVariant) -> dict[str, Any]:
    return {
        "environment": each.environment,
        "unit": each.unit,
        "key": each.key,
        "variant": each.variant,
        "until": each.until.isoformat(),
        "by": each.actor,
        "at": each.at.isoformat(),
        "in_force": each.in_force,
    }


def _disabled_document(each: DisabledUnit, enabled: list[str]) -> dict[str, Any]:
    return {
        "environment": each.environment,
        "unit": each.unit,
        "enabled": enabled,
        "until": each.until.isoformat(),
        "by": each.actor,
        "at": each.at.isoformat(),
    }
