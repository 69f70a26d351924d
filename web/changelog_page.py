"""The changelog of a test: who changed what, when, before → after; and what was in force as of a moment."""

import asyncio
from datetime import datetime

from nicegui import ui

from domain.people import can_see
from projections.as_of import InForce, in_force
from web.conditions_shown import readable_conditions
from web.frame import Visit, card, frame, note
from web.moments import read_moment
from web.rendering import html
from web.seen_test import address_of, head_of, read_test, visible_keys


async def build(visit: Visit) -> None:
    """Show the changelog."""
    test = await asyncio.to_thread(read_test, visit, visit.key)
    said = visit.said("as_of")
    moment = read_moment(said)
    then = await asyncio.to_thread(_then, visit, moment) if moment else None
    with frame(visit, f"Changelog of {test.listed.name}"):
        head_of(test, "/changelog")
        with ui.element("div").classes("us-stack"):
            with card("As of"):
                with ui.element("div").classes("us-row"):
                    field = ui.input("What was in force at (UTC)", value=said).props(
                        "type=datetime-local outlined dense stack-label"
                    )
                    ui.button(
                        "Show",
                        on_click=lambda: ui.navigate.to(address_of(test.key, f"/changelog?as_of={field.value or ''}")),
                    ).props("flat")
                _show_then(visit, said, moment, then)
            with card("Every change"):
                html("changelog.html", entries=list(reversed(test.entries)))


def _show_then(visit: Visit, said: str, moment: datetime | None, then: InForce | None) -> None:
    if not said:
        return
    if moment is None:
        note("That is not a moment; choose a day and a time.", "red")
    elif then is None:
        note("There was no such test that you could have seen at that moment.", "amber")
    else:
        settings = then.settings
        conditions = readable_conditions(settings.conditions, visit.parts.catalog, settings.filters)
        html("as_of.html", then=then, settings=settings, conditions=conditions)


def _then(visit: Visit, moment: datetime) -> InForce | None:
    parts = visit.parts
    with visit.reading() as connection:
        visible = visible_keys(visit, connection)
    position = parts.store.position_at(moment)
    found = in_force(parts.store, parts.registry, key=visit.key, position=position, visible=visible)
    if found is None:
        return None
    listed = found.listed
    return found if can_see(visit.person.actor, listed.status, listed.author, listed.managers) else None
