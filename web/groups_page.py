"""User groups: conditions without variants, which switch a feature for a circle of users; the list, and a new one."""

import asyncio

from nicegui import ui
from starlette.responses import RedirectResponse, Response

from commands.split_tests import Request
from domain.people import can_see
from projections import user_group_estimates, user_groups
from projections.user_group_estimates import UserGroupEstimate
from projections.user_groups import ListedUserGroup
from web.asking import button
from web.conditions_shown import readable_conditions
from web.frame import Visit, card, empty, frame, head
from web.group_page import address_of
from web.refusals import REFUSALS, refused
from web.rendering import html


async def build(visit: Visit) -> None:
    """Show the list of user groups."""
    groups = await asyncio.to_thread(_all, visit, visit.said("search"))
    with frame(visit, "User groups"):
        with head("User groups", sub="They switch a feature for a circle of users. Nothing is compared or measured."):
            if visit.person.may("create"):
                ui.button("New user group", icon="add", on_click=lambda: ui.navigate.to("/new-group"))
        with card():
            if groups:
                catalog = visit.parts.catalog
                lines = [
                    (group, readable_conditions(group.conditions, catalog, group.filters), estimate)
                    for group, estimate in groups
                ]
                html("groups.html", lines=lines).classes("us-scroll")
            else:
                empty("No user groups yet", "Create one to give a feature to some users, by conditions alone.")


async def build_new(visit: Visit) -> Response | None:
    """Show the form of a new user group."""
    if not visit.person.may("create"):
        return RedirectResponse("/groups", status_code=303)
    with frame(visit, "New user group"):
        head("New user group", sub="It begins as a Draft; servers know nothing of it until it is active.")
        with card().style("max-width: 640px"):
            key = ui.input("Key", placeholder="christmas_presents")
            name = ui.input("Name")
            description = ui.textarea("What it is for").props("autogrow")
            for field in (key, name, description):
                field.props("outlined dense").style("width: 100%")
            problem = ui.label().classes("us-error").props("role=alert")

            async def create() -> str:
                wanted = (key.value or "").strip()
                try:
                    await asyncio.to_thread(
                        lambda: visit.parts.user_groups.create(
                            Request(actor=visit.acting("create")),
                            key=wanted,
                            name=name.value or "",
                            description=description.value or "",
                        )
                    )
                except REFUSALS as error:
                    return refused(error, by=visit.person.name)
                ui.navigate.to(address_of(wanted))
                return ""

            with ui.element("div").classes("us-row"):
                button("Create and go on to its conditions", create, problem)
                ui.button("Cancel", on_click=lambda: ui.navigate.to("/groups")).props("flat")
    return None


def _all(visit: Visit, search: str) -> list[tuple[ListedUserGroup, UserGroupEstimate | None]]:
    with visit.reading() as connection:
        actor = visit.person.actor
        found = user_groups.rows(connection, search=search)
        estimates = user_group_estimates.of_all(connection)
    return [
        (group, estimates.get(group.key))
        for group in found
        if can_see(actor, group.status, group.author, group.managers)
    ]
