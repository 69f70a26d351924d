"""User groups: conditions without variants, which switch a feature for a circle of users."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import msgspec
from nicegui import ui
from starlette.responses import RedirectResponse, Response

from commands.split_tests import Request
from domain.people import can_manage, can_see
from projections import user_groups
from projections.changelog import ChangelogEntry
from projections.user_groups import ListedUserGroup
from usersplit.conditions import ConditionsError, parse
from web.asking import ask, button
from web.condition_builder import ConditionBuilder
from web.conditions_shown import readable_conditions, reader
from web.frame import NotFound, Visit, card, empty, frame, head, note
from web.refusals import REFUSALS, refused
from web.rendering import html
from web.seen_test import visible_keys

STEPS: Final = {
    "activate": ("Activate", "On all servers, whoever meets the conditions is in the group.", "positive"),
    "switch_off": ("Switch off", "Nobody is in the group any more; its conditions stay.", "warning"),
    "discard": ("Discard", "The group is gone and its key is free again.", "negative"),
}
_POSSIBLE: Final = {"draft": ("activate", "discard"), "active": ("switch_off",), "off": ("activate", "discard")}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    group: ListedUserGroup
    entries: Sequence[ChangelogEntry]
    may_steer: bool


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
                lines = [(group, readable_conditions(group.conditions, catalog, group.filters)) for group in groups]
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


async def build_one(visit: Visit) -> None:
    """Show one user group, to be edited by who may."""
    seen = await asyncio.to_thread(_one, visit, visit.key)
    with frame(visit, seen.group.name):
        _Group(visit, seen)


def address_of(key: str) -> str:
    """Return the address of a user group's page."""
    return f"/groups/{quote(key)}"


def _all(visit: Visit, search: str) -> list[ListedUserGroup]:
    with visit.reading() as connection:
        actor = visit.person.actor
        found = user_groups.rows(connection, search=search)
    return [group for group in found if can_see(actor, group.status, group.author, group.managers)]


def _one(visit: Visit, key: str) -> _Seen:
    with visit.reading() as connection:
        actor = visit.person.actor
        group = user_groups.get(connection, key)
        entries = user_groups.changelog(
            connection, key, limit=1000, visible=visible_keys(visit, connection), read=reader(visit.parts.catalog)
        )
    if group is None or not can_see(actor, group.status, group.author, group.managers):
        raise NotFound(f"there is no user group {key!r}; check its key, or ask its author to activate it")
    return _Seen(
        group=group,
        entries=entries,
        may_steer=visit.person.may("steer") and can_manage(actor, group.managers),
    )


class _Group:
    def __init__(self, visit: Visit, seen: _Seen) -> None:
        self._visit = visit
        self._seen = seen
        group = seen.group
        with ui.element("div").classes("us-head"):
            html("group_head.html", group=group).classes("grow")
            with ui.element("div").classes("us-row"):
                for action in _POSSIBLE.get(group.status, ()) if seen.may_steer else ():
                    self._step(action)
        with ui.element("div").classes("us-columns"):
            with card("Who is in it"):
                self._conditions()
            with card("What happened"):
                html("group_changes.html", entries=list(reversed(seen.entries)))

    def _step(self, action: str) -> None:
        label, does, color = STEPS[action]
        commands = self._visit.parts.user_groups
        take: Callable[[Request, str], Any] = getattr(commands, action)
        target = "/groups" if action == "discard" else address_of(self._seen.group.key)
        group = self._seen.group

        async def act() -> str:
            return await self._do(lambda request: take(request, group.key), target)

        ui.button(label, on_click=lambda: ask(f"{label}: {group.name}?", does, act, label=label, color=color)).props(
            f"color={color} {'flat' if action == 'discard' else ''}"
        )

    def _conditions(self) -> None:
        group, catalog = self._seen.group, self._visit.parts.catalog
        if not self._seen.may_steer:
            said = readable_conditions(group.conditions, catalog, group.filters)
            note(said if group.settings_group else "No conditions yet.")
            return
        wrong = ui.label().classes("us-error").props("role=alert")
        problem = ui.label().classes("us-error").props("role=alert")

        def edited(document: list[Any]) -> None:
            try:
                parse(document, catalog)
            except ConditionsError as error:
                is_shown = builder.show_problem(error.path, error.problem)
                wrong.text = "" if is_shown else error.problem
                save.disable()
                return
            builder.show_problem("", "")
            wrong.text = ""
            save.enable()

        document: list[Any] = msgspec.json.decode(group.conditions)
        builder = ConditionBuilder(document, catalog, edited)

        async def use() -> str:
            propose = self._visit.parts.user_groups.propose_conditions
            return await self._do(lambda request: propose(request, group.key, builder.document), address_of(group.key))

        save = button("Use these conditions", use, problem)

    async def _do(self, act: Callable[[Request], Any], target: str) -> str:
        group = self._seen.group
        try:
            await asyncio.to_thread(
                lambda: act(Request(actor=self._visit.acting("steer"), expected_version=group.version))
            )
        except REFUSALS as error:
            return refused(error, by=self._visit.person.name)
        ui.navigate.to(target)
        return ""
