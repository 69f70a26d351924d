"""What was in force at a moment or a position, by which change, made by whom; and what a user would have got then."""

import json
from datetime import datetime
from typing import Any

import click

from domain.people import Actor, can_see
from entrypoints.backbone import Backbone
from entrypoints.console import DataTable, console, details_table
from entrypoints.manager_commands import as_option, backbone_for, key_argument
from entrypoints.moments import moment_of
from entrypoints.reading_commands import add_settings, json_option, seen_test, waiting_line
from entrypoints.visit import (
    Visit,
    answer_document,
    answer_sentence,
    environment_name_option,
    visit_options,
)
from events.facts import REGISTRY
from projections.as_of import InForce, in_force, overrides_in_force
from projections.changelog import ChangelogEntry
from projections.readable import status
from usersplit import Answer


class NothingThen(Exception):
    """The test did not exist then, or was a Draft that the actor could not have seen."""

    def __init__(self, key: str, position: int) -> None:
        super().__init__(
            f"There was no split test {key} that you could see at position {position}; its changelog says since when"
        )


class BehindTheLog(Exception):
    """A position that nothing was recorded at yet."""

    def __init__(self, position: int, head: int) -> None:
        super().__init__(f"Position {position} is not in the log yet: it ends at {head}")


@click.command("as-of")
@key_argument
@click.option("--position", type=click.IntRange(min=1), help="A position of the log, as the changelog prints it.")
@click.option("--at", "at_text", metavar="MOMENT", help="A moment, UTC unless it says otherwise: 2026-05-03T14:05Z.")
@visit_options
@environment_name_option
@as_option
@json_option
def as_of(
    key: str,
    position: int | None,
    at_text: str | None,
    environment_name: str,
    name: str | None,
    *,
    as_json: bool,
    **who: Any,
) -> None:
    """Print what was in force for a test then, by whose change; and what a user would have got then.

    Everything up to the position counts, that one included; of a moment, everything that was recorded by then. You see
    what you may see today and could have seen then. No hit is logged.
    """
    if (position is None) == (at_text is None):
        raise click.UsageError("Say when: either --position N or --at MOMENT.")
    visit = Visit(**who)
    with backbone_for(name) as (backbone, actor):
        with backbone.reading() as connection:
            seen_test(connection, actor, key)
        then, moment = _when(backbone, position, at_text)
        found = _seen_then(backbone, actor, key, then)
        answer = _answer(backbone, visit, found, then, moment, environment_name) if visit.is_complete() else None
    if as_json:
        click.echo(json.dumps(_document(found, then, moment, answer), indent=2))
    else:
        console().print(_details(found, then, moment, answer))


def _answer(
    backbone: Backbone, visit: Visit, found: InForce, position: int, moment: datetime, environment_name: str
) -> Answer:
    key = found.listed.key
    overrides = overrides_in_force(backbone.store, REGISTRY, key=key, units=[visit.unit_name], position=position)
    documents = [document for document in (found.document, overrides) if document is not None]
    return visit.answer(key, documents, moment, environment_name=environment_name)


def _when(backbone: Backbone, position: int | None, at_text: str | None) -> tuple[int, datetime]:
    """Return the position that is asked about, and the moment that a check then would have been made at."""
    if position is None:
        moment = moment_of(at_text or "")
        return backbone.store.position_at(moment), moment
    events = backbone.store.read(after=position - 1, limit=1)
    if not events:
        raise BehindTheLog(position, backbone.store.head())
    return position, events[0].recorded_at


def _seen_then(backbone: Backbone, actor: Actor, key: str, position: int) -> InForce:
    found = in_force(backbone.store, REGISTRY, key=key, position=position)
    if found is None or not can_see(actor, found.listed.status, found.listed.author, found.listed.managers):
        raise NothingThen(key, position)
    return found


def _details(found: InForce, position: int, moment: datetime, answer: Answer | None) -> DataTable:
    details = details_table()
    details.add_row("key", found.listed.key)
    details.add_row("as of", f"position {position}, {moment:%Y-%m-%d %H:%M:%S} UTC")
    details.add_row("name", found.listed.name)
    details.add_row("managers", ", ".join(found.listed.managers))
    details.add_row("status", status(found.listed.status))
    details.add_row("  by", _told(found.status_by))
    add_settings(details, found.settings)
    if found.settings.pending_group:
        details.add_row("waiting", waiting_line(found.settings))
    if found.proposed_by:
        details.add_row("  asked for by", _told(found.proposed_by))
    if found.prepared_by:
        details.add_row("  in force by", _told(found.prepared_by))
    if answer:
        details.add_row("answer", answer_sentence(answer))
    return details


def _told(entry: ChangelogEntry) -> str:
    return f"{entry.actor} at {entry.at:%Y-%m-%d %H:%M:%S} UTC, position {entry.position}: {entry.sentence}"


def _document(found: InForce, position: int, moment: datetime, answer: Answer | None) -> dict[str, object]:
    return {
        "key": found.listed.key,
        "position": position,
        "at": moment.isoformat(),
        "status": found.listed.status,
        "status_by": _change(found.status_by),
        "settings_group": found.settings.settings_group,
        "proposed_by": _change(found.proposed_by),
        "prepared_by": _change(found.prepared_by),
        "config": json.loads(found.document.document) if found.document else None,
        "answer": answer_document(answer) if answer else None,
    }


def _change(entry: ChangelogEntry | None) -> dict[str, object] | None:
    if entry is None:
        return None
    return {
        "position": entry.position,
        "actor": entry.actor,
        "at": entry.at.isoformat(),
        "sentence": entry.sentence,
    }
