"""The page of a user group: who is in it, how many that are, and what happened to it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote

import msgspec
from nicegui import ui

from commands.split_tests import Request
from domain.people import can_manage, can_see
from projections import readable, user_group_estimates, user_groups
from projections.changelog import ChangelogEntry
from projections.user_group_estimates import UserGroupEstimate
from projections.user_groups import ListedUserGroup
from usersplit.conditions import ConditionsError, parse
from web.asking import ask, button
from web.condition_builder import ConditionBuilder
from web.conditions_shown import readable_conditions, reader
from web.frame import NotFound, Visit, card, frame, note
from web.live_numbers import NOBODY_COUNTS, Edit, LiveNumbers, labels_of
from web.refusals import REFUSALS, refused
from web.rendering import html
from web.seen_test import visible_keys

STEPS: Final = {
    "activate": ("Activate", "On all servers, whoever meets the conditions is in the group.", "positive"),
    "switch_off": ("Switch off", "Nobody is in the group any more; its conditions stay.", "warning"),
    "discard": ("Discard", "The group is gone and its key is free again.", "negative"),
}
_POSSIBLE: Final = {"draft": ("activate", "discard"), "active": ("switch_off",), "off": ("activate", "discard")}


_MOST_ENTRIES: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    group: ListedUserGroup
    estimate: UserGroupEstimate | None
    entries: Sequence[ChangelogEntry]
    may_steer: bool


async def build(visit: Visit) -> None:
    """Show one user group, to be edited by who may."""
    seen = await asyncio.to_thread(_one, visit, visit.key)
    with frame(visit, seen.group.name):
        _Group(visit, seen)


def address_of(key: str) -> str:
    """Return the address of a user group's page."""
    return f"/groups/{quote(key)}"


def _one(visit: Visit, key: str) -> _Seen:
    with visit.reading() as connection:
        actor = visit.person.actor
        group = user_groups.get(connection, key)
        visible = visible_keys(visit, connection)
        estimate = user_group_estimates.get(connection, key)
        entries = user_groups.changelog(
            connection, key, limit=_MOST_ENTRIES, visible=visible, read=reader(visit.parts.catalog)
        )
    if group is None or not can_see(actor, group.status, group.author, group.managers):
        raise NotFound(f"there is no user group {key!r}; check its key, or ask its author to activate it")
    return _Seen(
        group=group,
        estimate=None if estimate is None else _without_hidden(estimate, visible),
        entries=entries,
        may_steer=visit.person.may("steer") and can_manage(actor, group.managers),
    )


def _without_hidden(estimate: UserGroupEstimate, visible: frozenset[str]) -> UserGroupEstimate:
    shared = tuple(each if each.key in visible else replace(each, key="", by_variant=()) for each in estimate.shared)
    return replace(estimate, shared=shared)


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
        self._live: LiveNumbers | None = None
        with ui.element("div").classes("us-columns"):
            conditions = card("Who is in it")
            with ui.element("div").classes("us-stack"):
                self._users()
                with card("What happened"):
                    html("group_changes.html", entries=list(reversed(seen.entries)))

        with conditions:
            self._conditions()

    def _users(self) -> None:
        if self._visit.parts.audience is None:
            with card("Users"):
                note(NOBODY_COUNTS)
            return
        if self._seen.may_steer:
            with card("Users, as you edit"):
                self._live = LiveNumbers(self._visit)
        estimate = self._seen.estimate
        if estimate is not None:
            with card("Users, as counted"):
                assumed = labels_of(estimate.assumed_filters, self._visit.parts.catalog)
                html("group_estimate.html", estimate=estimate, assumed=assumed, shared=readable.shared_with_test)

    def _step(self, action: str) -> None:
        label, does, color = STEPS[action]
        commands = self._visit.parts.user_groups
        take: Callable[[Request, str], Any] = getattr(commands, action)
        target = "/groups" if action == "discard" else address_of(self._seen.group.key)
        group = self._seen.group

        async def act() -> str:
            return await self._do(lambda request: take(request, group.key), target)

        ui.button(label, on_click=lambda: ask(f"{label} “{group.name}”?", does, act, label=label, color=color)).props(
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
                self._count(None)
                return
            builder.show_problem("", "")
            wrong.text = ""
            save.set_enabled(builder.is_understood)
            self._count(document)

        document: list[Any] = msgspec.json.decode(group.conditions)
        builder = ConditionBuilder(document, catalog, edited)

        async def use() -> str:
            propose = self._visit.parts.user_groups.propose_conditions
            return await self._do(lambda request: propose(request, group.key, builder.document), address_of(group.key))

        with ui.element("div"):
            save = button("Use these conditions", use, problem)
        self._count(document)

    def _count(self, document: list[Any] | None) -> None:
        if self._live is not None:
            self._live.edited(None if document is None else Edit(conditions=document))

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
