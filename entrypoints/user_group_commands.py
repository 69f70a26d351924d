"""User groups in a terminal: `groups create`, `groups activate` … Each command is one command of the domain."""

import json
from collections.abc import Mapping
from typing import Any

import click
from rich.table import Table

from domain.people import can_see
from entrypoints.console import DataTable, console, details_table, plain
from entrypoints.manager_commands import as_option, backbone_for, carry_out, key_argument, read_json, steering
from entrypoints.reading_commands import MissingServers, changelog_document, changelog_table, json_option
from entrypoints.user_group_estimates import (
    estimate,
    estimate_lines,
    preview,
    print_estimate,
    seen_group,
    users_of,
)
from entrypoints.visible import shortened, visible
from entrypoints.visit import Visit, visit_options
from projections import user_group_estimates, user_groups
from projections.settings_changes import conditions_text
from projections.user_group_estimates import UserGroupEstimate
from projections.user_groups import ListedUserGroup

_STATUSES = ["draft", "active", "off"]


@click.group("groups")
def groups() -> None:
    """User groups: conditions without variants, which switch a feature for a circle of users."""


@groups.command()
@key_argument
@click.option("--name", "group_name", required=True, help="What people call it.")
@click.option("--description", default="", help="Who is in it, and what for.")
@click.option("--manager", "managers", multiple=True, help="A further manager; may be given several times.")
@steering
def create(
    key: str,
    group_name: str,
    description: str,
    managers: tuple[str, ...],
    name: str | None,
    command_id: str,
    expected_version: int | None,
) -> None:
    """Create a user group. It is a Draft: only you, its managers and superusers see it.

    Next: `groups propose-conditions`, `groups activate`.
    """
    carry_out(
        name,
        command_id,
        expected_version,
        done=f"Created the user group {key}, a Draft.",
        what=lambda backbone, request: backbone.user_groups.create(
            request, key=key, name=group_name, description=description, managers=managers
        ),
    )


@groups.command()
@key_argument
@click.option("--name", "group_name", help="What people call it.")
@click.option("--description", help="Who is in it, and what for.")
@steering
def edit(
    key: str,
    group_name: str | None,
    description: str | None,
    name: str | None,
    command_id: str,
    expected_version: int | None,
) -> None:
    """Edit name or description; what is not given stays as it is."""
    given = {"name": group_name, "description": description}
    changes = {field: value for field, value in given.items() if value is not None}
    carry_out(
        name,
        command_id,
        expected_version,
        done=f"Edited the user group {key}.",
        what=lambda backbone, request: backbone.user_groups.edit(request, key, changes),
    )


@groups.command()
@key_argument
@click.option("--add", multiple=True, metavar="NAME", help="Who becomes a manager.")
@click.option("--remove", multiple=True, metavar="NAME", help="Who is one no longer.")
@steering
def managers(
    key: str,
    add: tuple[str, ...],
    remove: tuple[str, ...],
    name: str | None,
    command_id: str,
    expected_version: int | None,
) -> None:
    """Change who manages a user group."""
    carry_out(
        name,
        command_id,
        expected_version,
        done=f"Changed the managers of the user group {key}.",
        what=lambda backbone, request: backbone.user_groups.change_managers(request, key, add=add, remove=remove),
    )


@groups.command("propose-conditions")
@key_argument
@click.argument("conditions_file", type=click.File("r", encoding="utf-8"))
@steering
def propose_conditions(
    key: str, conditions_file: Any, name: str | None, command_id: str, expected_version: int | None
) -> None:
    """Bring other conditions into force, from a JSON file (- reads standard input).

    \b
    [{"filter": "country_id", "operator": "in", "value": ["50"]},
     "AND",
     {"filter": "is_new_user", "operator": "eq", "value": "1"}]

    [] is everybody. `filters` lists what conditions can ask. They are a new settings group, in force at once.
    Where users are connected, they are counted next.
    """  # noqa: D301 - \b is click's mark for text that keeps its lines
    tree = read_json(conditions_file)
    carry_out(
        name,
        command_id,
        expected_version,
        done=f"The user group {key} has other conditions now.",
        what=lambda backbone, request: backbone.user_groups.propose_conditions(request, key, tree),
        then=lambda backbone: print_estimate(backbone, key) if backbone.estimator is not None else None,
    )


groups.add_command(preview)
groups.add_command(estimate)


def _step(verb: str, method: str, done: str, explanation: str) -> None:
    @groups.command(name=verb, help=explanation)
    @key_argument
    @steering
    def command(key: str, name: str | None, command_id: str, expected_version: int | None) -> None:
        carry_out(
            name,
            command_id,
            expected_version,
            done=f"The user group {key} is {done}.",
            what=lambda backbone, request: getattr(backbone.user_groups, method)(request, key),
        )


_step("activate", "activate", "Active now", "Draft or Off → Active: whoever meets the conditions is in it.")
_step("switch-off", "switch_off", "Off: nobody is in it", "Active → Off.")
_step("discard", "discard", "discarded; its key is free again", "Throw a Draft, or one that is Off, away.")


@groups.command("list")
@click.option("--status", type=click.Choice(_STATUSES), help="Only those in this status.")
@click.option("--search", default="", help="A part of the key, the name, the description or the people.")
@as_option
@json_option
def list_groups(status: str | None, search: str, name: str | None, *, as_json: bool) -> None:
    """List the user groups that you may see; those that some server misses in red."""
    with backbone_for(name) as (backbone, actor), backbone.reading() as connection:
        found = [
            group
            for group in user_groups.rows(connection, status=status, search=search)
            if can_see(actor, group.status, group.author, group.managers)
        ]
        missing = MissingServers.read(connection)
        estimates = user_group_estimates.of_all(connection)
    if as_json:
        click.echo(json.dumps([_document(group, missing, estimates.get(group.key)) for group in found], indent=2))
    elif not found:
        click.echo('No user groups here. Create one: python -m entrypoints groups create KEY --name "…"')
    else:
        console().print(_table(found, missing, estimates))


def _table(found: list[ListedUserGroup], missing: MissingServers, estimates: Mapping[str, UserGroupEstimate]) -> Table:
    table = DataTable("key", "name", "status", "settings", "users", "conditions", "managers", "not laid out on")
    for group in found:
        not_on = missing.told(user_groups.NAME_PREFIX + group.key)
        table.add_row(
            plain(group.key, style="red" if not_on else ""),
            group.name,
            group.status,
            str(group.settings_group or "–"),
            users_of(estimates.get(group.key)),
            shortened(_conditions(group), 200),
            ", ".join(group.managers),
            plain(not_on, style="red"),
        )
    return table


def _document(group: ListedUserGroup, missing: MissingServers, estimate: UserGroupEstimate | None) -> dict[str, Any]:
    return {
        "key": group.key,
        "name": group.name,
        "status": group.status,
        "settings_group": group.settings_group,
        "conditions": json.loads(group.conditions) if group.settings_group else None,
        "users": None if estimate is None else estimate.users,
        "managers": list(group.managers),
        "version": group.version,
        "not_laid_out_on": missing.of(user_groups.NAME_PREFIX + group.key),
    }


def _conditions(group: ListedUserGroup) -> str:
    return conditions_text(group.conditions, group.filters) if group.settings_group else ""


@groups.command()
@key_argument
@as_option
def show(key: str, name: str | None) -> None:
    """Show a user group: its properties, the conditions in force, and how many users they have."""
    with backbone_for(name) as (backbone, actor):
        group = seen_group(backbone, actor, key)
        with backbone.reading() as connection:
            not_on = MissingServers.read(connection).told(user_groups.NAME_PREFIX + key)
            counted = user_group_estimates.get(connection, key)
    details = details_table()
    for label, text in (
        ("key", group.key),
        ("name", group.name),
        ("status", group.status),
        ("description", group.description),
        ("author", group.author),
        ("managers", ", ".join(group.managers)),
        ("settings group", str(group.settings_group or "")),
        ("conditions", shortened(_conditions(group))),
        ("version", str(group.version)),
    ):
        if text:
            details.add_row(label, text)
    for label, text in estimate_lines(counted):
        details.add_row(label, text)
    if not_on:
        details.add_row("not laid out", plain(f"on {not_on}", style="red"))
    console().print(details)


@groups.command()
@key_argument
@click.option("--limit", default=200, show_default=True, type=click.IntRange(min=1), help="At most so many changes.")
@as_option
@json_option
def changelog(key: str, limit: int, name: str | None, *, as_json: bool) -> None:
    """Print every change of a user group: who, when, what, before → after."""
    with backbone_for(name) as (backbone, actor):
        seen_group(backbone, actor, key)
        with backbone.reading() as connection:
            entries = user_groups.changelog(connection, key, limit=limit)
    if as_json:
        click.echo(json.dumps(changelog_document(entries), indent=2))
    else:
        console().print(changelog_table(entries))


@groups.command()
@key_argument
@visit_options
@as_option
@json_option
def check(key: str, name: str | None, *, as_json: bool, **who: Any) -> None:
    """Say whether a user or guest is in a user group, and why."""
    visit = Visit(**who)
    if not visit.is_complete():
        raise click.UsageError("Say who: either --user ID or --guest ID.")
    with backbone_for(name) as (backbone, actor):
        seen_group(backbone, actor, key)
        with backbone.reading() as connection:
            documents = user_groups.documents(connection, [key])
    visit.tell_unknown_filters(backbone.catalog)
    answer = visit.membership(key, documents)
    if as_json:
        click.echo(json.dumps({"is_member": answer.is_member, "reason": str(answer.reason), "detail": answer.detail}))
    else:
        click.echo(visible(f"{'in the group' if answer.is_member else 'not in the group'}: {answer.detail}"))
