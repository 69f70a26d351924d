"""What everybody may ask in a terminal: which tests there are, what changed, and who would get what, and why."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click
from rich.table import Table
from sqlalchemy import Connection

from domain.errors import SplitTestNotFound
from domain.people import Actor, can_see
from entrypoints.backbone import now
from entrypoints.console import console
from entrypoints.manager_commands import as_option, backbone_for, key_argument
from projections import changelog as changelog_model
from projections import config as config_model
from projections import current_settings, test_list
from projections.readable import other_test
from projections.test_list import ListedSplitTest
from usersplit import Answer, Checker, Environment, Guest, MemoryConfigs, User
from usersplit.conditions import Catalog, parse_text

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


class WrongAttribute(Exception):
    """An --attribute or --environment that is not NAME=VALUE."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text!r} is not NAME=VALUE, such as country_id=50")


def _visible(actor: Actor, row: ListedSplitTest) -> bool:
    return can_see(actor, row.status, row.author, row.managers)


def _seen(connection: Connection, actor: Actor, key: str) -> ListedSplitTest:
    row = test_list.get(connection, key)
    if row is None or not _visible(actor, row):
        raise SplitTestNotFound(key)
    return row


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""


@click.command("list")
@click.option("--status", help="draft, in_dev, running, paused, finished or rejected.")
@click.option("--search", default="", help="A part of the key or the name.")
@as_option
@json_option
def list_tests(status: str | None, search: str, name: str | None, *, as_json: bool) -> None:
    """List the split tests that you may see."""
    with backbone_for(name) as (backbone, actor), backbone.reading() as connection:
        rows = [row for row in test_list.rows(connection, status=status, search=search) if _visible(actor, row)]
    if as_json:
        click.echo(json.dumps([_listed(row) for row in rows], indent=2))
        return
    if not rows:
        click.echo('No split tests here. Create one: python -m entrypoints create KEY --name "…"')
        return
    table = Table("key", "name", "type", "status", "settings", "from", "until", "managers")
    for row in rows:
        table.add_row(
            row.key,
            row.name,
            row.type,
            row.status,
            str(row.settings_group or "–"),
            _day(row.starts_at),
            _day(row.ends_at),
            ", ".join(row.managers),
        )
    console().print(table)


def _listed(row: ListedSplitTest) -> dict[str, Any]:
    return {
        "key": row.key,
        "name": row.name,
        "type": row.type,
        "status": row.status,
        "settings_group": row.settings_group,
        "starts_at": row.starts_at.isoformat() if row.starts_at else None,
        "ends_at": row.ends_at.isoformat() if row.ends_at else None,
        "managers": list(row.managers),
    }


@click.command()
@key_argument
@as_option
def show(key: str, name: str | None) -> None:
    """Show a test: its properties, and the settings in force."""
    with backbone_for(name) as (backbone, actor), backbone.reading() as connection:
        row = _seen(connection, actor, key)
        settings = current_settings.get(connection, key)
    details = Table.grid(padding=(0, 2))
    for label, text in (
        ("key", row.key),
        ("name", row.name),
        ("status", row.status),
        ("type", row.type),
        ("description", row.description),
        ("issue", row.issue_key),
        ("chat room", row.chat_room),
        ("author", row.author),
        ("managers", ", ".join(row.managers)),
        ("code deployed", _day(row.code_deployed_at)),
        ("version", str(row.version)),
    ):
        if text:
            details.add_row(label, text)
    if settings and settings.settings_group:
        catalog = Catalog.from_document(
            {used.name: {"type": used.type, "scope": used.scope} for used in settings.filters}
        )
        details.add_row("settings group", str(settings.settings_group))
        details.add_row("dates", f"{_day(settings.starts_at)} – {_day(settings.ends_at)} UTC")
        details.add_row("conditions", parse_text(settings.conditions, catalog).to_text())
        for variant in settings.variants:
            control = " (control)" if variant.is_control else ""
            groups = len(variant.split_groups)
            details.add_row("variant", f"{variant.name}{control}: {groups / 24:g} %, {groups} split groups")
        for overlap in settings.overlaps:
            details.add_row("overlap", f"{overlap.shared_groups} split groups with {other_test(overlap)}")
    if settings and settings.pending_group:
        details.add_row(
            "waiting", f"settings group {settings.pending_group} is {settings.pending_state}. {settings.pending_reason}"
        )
    console().print(details)


@click.command()
@key_argument
@click.option("--limit", default=200, show_default=True, type=click.IntRange(min=1), help="At most so many changes.")
@as_option
@json_option
def changelog(key: str, limit: int, name: str | None, *, as_json: bool) -> None:
    """Print every change of a test: who, when, what, before → after."""
    with backbone_for(name) as (backbone, actor), backbone.reading() as connection:
        _seen(connection, actor, key)
        entries = changelog_model.entries(connection, key, limit=limit)
    if as_json:
        click.echo(
            json.dumps(
                [
                    {
                        "position": entry.position,
                        "at": entry.at.isoformat(),
                        "actor": entry.actor,
                        "sentence": entry.sentence,
                        "changes": [
                            {"what": what, "before": before, "after": after} for what, before, after in entry.changes
                        ],
                    }
                    for entry in entries
                ],
                indent=2,
            )
        )
        return
    console().print(changelog_table(entries))


def changelog_table(entries: list[changelog_model.ChangelogEntry]) -> Table:
    """Return the changelog as a table for a terminal."""
    table = Table("when (UTC)", "who", "what", "before → after", show_lines=True)
    for entry in entries:
        changes = "\n".join(f"{what}: {before or '–'} → {after or '–'}" for what, before, after in entry.changes)
        table.add_row(f"{entry.at:%Y-%m-%d %H:%M:%S}", entry.actor, entry.sentence, changes)
    return table


@click.command()
@key_argument
@click.option("--user", "user_id", help="A user's id.")
@click.option("--guest", "guest_id", help="A guest's id, instead of a user's.")
@click.option("--split-group", type=click.IntRange(1, 2400), help="The split group that the user or guest carries.")
@click.option("--attribute", "attributes", multiple=True, metavar="NAME=VALUE", help="A user filter's value.")
@click.option(
    "--environment", "environments", multiple=True, metavar="NAME=VALUE", help="An environment filter's value."
)
@click.option("--at", type=click.DateTime(), help="Check as if it were this moment (UTC); the settings stay today's.")
@as_option
@json_option
def check(  # noqa: PLR0913, PLR0917 - a form has the fields it has
    key: str,
    user_id: str | None,
    guest_id: str | None,
    split_group: int | None,
    attributes: tuple[str, ...],
    environments: tuple[str, ...],
    at: datetime | None,
    name: str | None,
    *,
    as_json: bool,
) -> None:
    """Say which variant a user or guest gets, and why. No hit is logged."""
    if (user_id is None) == (guest_id is None):
        raise click.UsageError("Say who: either --user ID or --guest ID.")
    with backbone_for(name) as (backbone, actor), backbone.reading() as connection:
        _seen(connection, actor, key)
        document = config_model.get(connection, key)
    unit = (
        User(id=user_id, split_group=split_group or 0, attributes=_values(attributes))
        if user_id is not None
        else Guest(id=guest_id or "", split_group=split_group or 0)
    )
    moment = at.astimezone(now().tzinfo) if at and at.tzinfo else at.replace(tzinfo=now().tzinfo) if at else now()
    configs = MemoryConfigs([json.loads(document.document)] if document else [])
    checker = Checker(configs, now_ns=lambda: int(moment.timestamp() * 1_000_000) * 1000)
    answer = checker.explain(key, unit, Environment(attributes=_values(environments)))
    _print_answer(answer, as_json=as_json)


def _print_answer(answer: Answer, *, as_json: bool) -> None:
    if as_json:
        click.echo(
            json.dumps(
                {
                    "variant": answer.variant,
                    "reason": str(answer.reason),
                    "detail": answer.detail,
                    "settings_group": answer.settings_group,
                }
            )
        )
        return
    click.echo(f"{answer.variant or 'no variant'}: {answer.detail}")


def _values(pairs: tuple[str, ...]) -> Mapping[str, str]:
    values = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise WrongAttribute(pair)
        values[name] = value
    return values


@click.command()
def filters() -> None:
    """List the filters that conditions can use, with their types, operators and known values."""
    with backbone_for(None) as (backbone, _):
        catalog = backbone.catalog
    table = Table("filter", "label", "type", "reads", "operators", "known values")
    for filter_ in catalog.values():
        known = ", ".join(f"{value} = {label}" for value, label in list(filter_.values.items())[:6])
        reads = "the profile" if filter_.scope == "user" else "the visit"
        table.add_row(filter_.name, filter_.label, filter_.type, reads, " ".join(filter_.allowed_operators), known)
    console().print(table)
