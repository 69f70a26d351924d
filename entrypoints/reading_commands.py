"""What everybody may ask in a terminal: which tests there are, what changed, and who would get what, and why."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click
from rich.table import Table
from sqlalchemy import Connection

from domain.errors import SplitTestNotFound
from domain.people import Actor, can_see
from domain.split_test import Status
from entrypoints.clock import now
from entrypoints.console import DataTable, console, details_table, plain
from entrypoints.estimate_lines import estimate_lines
from entrypoints.manager_commands import as_option, backbone_for, key_argument
from entrypoints.moments import utc
from entrypoints.visible import shortened, visible
from entrypoints.visit import (
    Visit,
    answer_document,
    answer_sentence,
    environment_name_option,
    visit_options,
)
from projections import changelog as changelog_model
from projections import current_settings, laid_out, overrides, preparation_steps, test_list
from projections import documents as documents_model
from projections.current_settings import CurrentSettings
from projections.errors import ProjectionsError
from projections.preparation_steps import PreparationProgress
from projections.test_list import ListedSplitTest
from usersplit.conditions import Catalog, parse_text

_STATUSES = [status.value for status in Status if status is not Status.DISCARDED]

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def is_visible(actor: Actor, row: ListedSplitTest) -> bool:
    """Return whether `actor` may know that the test exists."""
    return can_see(actor, row.status, row.author, row.managers)


def seen_test(connection: Connection, actor: Actor, key: str) -> ListedSplitTest:
    """Return the line of the split test `key`, if `actor` may know that it exists.

    Raises:
        SplitTestNotFound: there is no such test, or it is somebody else's Draft.
    """
    row = test_list.get(connection, key)
    if row is None or not is_visible(actor, row):
        raise SplitTestNotFound(key)
    return row


def _some(names: list[str], most: int = 10) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def day(moment: datetime | None) -> str:
    """Return a moment to the minute, "" for none."""
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""


@click.command("list")
@click.option("--status", type=click.Choice(_STATUSES), help="Only those in this status.")
@click.option("--search", default="", help="A part of the key or the name.")
@as_option
@json_option
def list_tests(status: str | None, search: str, name: str | None, *, as_json: bool) -> None:
    """List the split tests that you may see."""
    with backbone_for(name) as (backbone, actor), backbone.reading() as connection:
        rows = [row for row in test_list.rows(connection, status=status, search=search) if is_visible(actor, row)]
        missing = MissingServers.read(connection)
    if as_json:
        click.echo(json.dumps([_listed(row, missing) for row in rows], indent=2))
        return
    if not rows:
        click.echo('No split tests here. Create one: python -m entrypoints create KEY --name "…"')
        return
    table = DataTable("key", "name", "type", "status", "settings", "from", "until", "managers", "not laid out on")
    for row in rows:
        not_on = missing.of(row.key)
        table.add_row(
            plain(row.key, style="red" if not_on else ""),
            row.name,
            row.type,
            row.status,
            str(row.settings_group or "–"),
            day(row.starts_at),
            day(row.ends_at),
            ", ".join(row.managers),
            plain(missing.told(row.key), style="red"),
        )
    console().print(table)


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingServers:
    """Which live servers have not laid out the newest config of which test."""

    live: int
    by_key: Mapping[str, list[str]]

    @classmethod
    def read(cls, connection: Connection) -> "MissingServers":
        """Return how it is now; nothing while the configs to compare with are being rebuilt for a new release."""
        try:
            by_key = laid_out.not_laid_out(connection)
        except ProjectionsError:
            by_key = {}
        return cls(live=len(laid_out.live_servers(connection)), by_key=by_key)

    def of(self, key: str) -> list[str]:
        """Return the names of the servers that miss the test."""
        return self.by_key.get(key, [])

    def told(self, key: str) -> str:
        """Return `2 of 5 servers`, empty if no server misses the test."""
        return f"{len(self.of(key))} of {self.live} servers" if self.of(key) else ""


def _listed(row: ListedSplitTest, missing: MissingServers) -> dict[str, Any]:
    return {
        "key": row.key,
        "name": row.name,
        "type": row.type,
        "status": row.status,
        "settings_group": row.settings_group,
        "starts_at": row.starts_at.isoformat() if row.starts_at else None,
        "ends_at": row.ends_at.isoformat() if row.ends_at else None,
        "managers": list(row.managers),
        "not_laid_out_on": missing.of(row.key),
        "live_servers": missing.live,
    }


@click.command()
@key_argument
@as_option
def show(key: str, name: str | None) -> None:
    """Show a test: its properties, and the settings in force."""
    with backbone_for(name) as (backbone, actor), backbone.reading() as connection:
        row = seen_test(connection, actor, key)
        settings = current_settings.get(connection, key)
        step = preparation_steps.of(connection, key)
        missing = MissingServers.read(connection)
    details = details_table()
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
        ("code deployed", day(row.code_deployed_at)),
        ("version", str(row.version)),
    ):
        if text:
            details.add_row(label, text)
    if servers := missing.of(key):
        details.add_row("not laid out", plain(f"on {missing.told(key)}: {_some(servers)}", style="red"))
    if settings:
        add_settings(details, settings)
        if settings.pending_group:
            details.add_row("waiting", waiting_line(settings, step))
    console().print(details)


def add_settings(details: DataTable, settings: CurrentSettings) -> None:
    """Add the settings group in force to a table of details."""
    if settings.settings_group:
        catalog = Catalog.from_document(
            {used.name: {"type": used.type, "scope": used.scope} for used in settings.filters}
        )
        details.add_row("settings group", str(settings.settings_group))
        details.add_row("dates", f"{day(settings.starts_at)} – {day(settings.ends_at)} UTC")
        details.add_row("conditions", shortened(parse_text(settings.conditions, catalog).to_text()))
        control = next((variant.name for variant in settings.variants if variant.is_control), "")
        for label, text in estimate_lines(settings, control=control):
            details.add_row(label, text)


def waiting_line(settings: CurrentSettings, step: PreparationProgress | None = None) -> str:
    """Return how far the settings group that waits is, or why it could not be prepared."""
    said = f"settings group {settings.pending_group} is {settings.pending_state}. {settings.pending_reason}".rstrip()
    if settings.pending_state != "proposed" or step is None or step.settings_group != settings.pending_group:
        return said
    return f"{said} {step.share_done:.0%} since {step.started_at:%H:%M:%S} UTC: {step.detail}"


@click.command()
@key_argument
@click.option("--limit", default=200, show_default=True, type=click.IntRange(min=1), help="At most so many changes.")
@as_option
@json_option
def changelog(key: str, limit: int, name: str | None, *, as_json: bool) -> None:
    """Print every change of a test: who, when, what, before → after."""
    with backbone_for(name) as (backbone, actor), backbone.reading() as connection:
        seen_test(connection, actor, key)
        entries = changelog_model.entries(connection, key, limit=limit)
    if as_json:
        click.echo(json.dumps(changelog_document(entries), indent=2))
        return
    console().print(changelog_table(entries))


def changelog_document(entries: list[changelog_model.ChangelogEntry]) -> list[dict[str, Any]]:
    """Return the changelog for programs."""
    return [
        {
            "position": entry.position,
            "at": entry.at.isoformat(),
            "actor": entry.actor,
            "sentence": entry.sentence,
            "changes": [{"what": what, "before": before, "after": after} for what, before, after in entry.changes],
        }
        for entry in entries
    ]


def changelog_table(entries: list[changelog_model.ChangelogEntry]) -> Table:
    """Return the changelog as a table for a terminal."""
    table = DataTable("when (UTC)", "who", "what", "before → after", show_lines=True)
    for entry in entries:
        changes = "\n".join(
            f"{what}: {shortened(before) or '–'} → {shortened(after) or '–'}" for what, before, after in entry.changes
        )
        table.add_row(f"{entry.at:%Y-%m-%d %H:%M:%S}", entry.actor, entry.sentence, changes)
    return table


@click.command()
@key_argument
@visit_options
@environment_name_option
@click.option("--at", type=click.DateTime(), help="Check as if it were this moment (UTC); the settings stay today's.")
@as_option
@json_option
def check(key: str, environment_name: str, at: datetime | None, name: str | None, *, as_json: bool, **who: Any) -> None:
    """Say which variant a user or guest gets, and why. No hit is logged.

    What they would have got at some time, with the settings of that time, is `as-of`.
    """
    visit = Visit(**who)
    if not visit.is_complete():
        raise click.UsageError("Say who: either --user ID or --guest ID.")
    with backbone_for(name) as (backbone, actor), backbone.reading() as connection:
        seen_test(connection, actor, key)
        documents = documents_model.get_many(connection, [key, overrides.DOCUMENT_NAME])
    visit.tell_unknown_filters(backbone.catalog)
    answer = visit.answer(key, documents, utc(at) if at else now(), environment_name=environment_name)
    click.echo(json.dumps(answer_document(answer)) if as_json else visible(answer_sentence(answer)))


@click.command()
def filters() -> None:
    """List the filters that conditions can use, with their types, operators and known values."""
    with backbone_for(None) as (backbone, _):
        catalog = backbone.catalog
    table = DataTable("filter", "label", "type", "reads", "operators", "known values")
    for filter_ in catalog.values():
        known = ", ".join(f"{value} = {label}" for value, label in list(filter_.values.items())[:6])
        reads = "the profile" if filter_.scope == "user" else "the visit"
        table.add_row(filter_.name, filter_.label, filter_.type, reads, " ".join(filter_.allowed_operators), known)
    console().print(table)
