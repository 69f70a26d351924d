"""A split test as its pages show it: read at once, only for who may see it, with the head and the tabs of its pages."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import quote

from nicegui import ui
from sqlalchemy import Connection

from commands.split_tests import Request
from domain.errors import SplitTestNotFound
from domain.people import can_manage, can_see
from projections import changelog, current_settings, list_pages, test_list
from projections.changelog import ChangelogEntry
from projections.current_settings import CurrentSettings
from projections.list_pages import Onlooker
from projections.proposals import Proposal
from projections.test_list import ListedSplitTest
from web.conditions_shown import reader
from web.frame import Visit
from web.late_servers import late_servers
from web.rendering import html

_LOOK_EVERY_SECONDS: Final = 2.0
_NEWEST: Final = 5
_MOST_ENTRIES: Final = 10_000
_TABS: Final = (("", "Overview"), ("/settings", "Settings"), ("/charts", "Charts"), ("/changelog", "Changelog"))


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenTest:
    """What the pages of one test show.

    Attributes:
        listed: its properties, status and version.
        settings: those in force, and what waits.
        proposal: the settings that wait, None if none do.
        missing_on: live servers without its newest config.
        entries: its whole changelog, oldest first.
        may_steer: whether the person who looks may edit and steer it.
    """

    listed: ListedSplitTest
    settings: CurrentSettings
    proposal: Proposal | None
    missing_on: Sequence[str]
    entries: Sequence[ChangelogEntry]
    may_steer: bool

    @property
    def key(self) -> str:
        """The test's key."""
        return self.listed.key

    def is_as_decided_as(self, earlier: "SeenTest") -> bool:
        """Answer whether what somebody decided by the sight of `earlier` still holds.

        It does where the same settings are in force, and nobody decided anything since: that a hit came from
        production takes no word back.
        """
        since = changes_after(self, earlier.entries[-1].position)
        same = self.settings.settings_group == earlier.settings.settings_group
        return same and not any(entry.is_decided for entry in since)

    @property
    def prepared_at(self) -> datetime | None:
        """When the settings in force were prepared, and all that is told of users with them was counted."""
        return changelog.prepared_at(self.entries, self.settings.settings_group)


def read_test(visit: Visit, key: str) -> SeenTest:
    """Return the test as the person may see it. It waits for the database.

    Raises:
        SplitTestNotFound: there is none, or it is a Draft of others.
    """
    with visit.reading() as connection:
        person = visit.person
        listed = test_list.get(connection, key)
        if listed is None or not can_see(person.actor, listed.status, listed.author, listed.managers):
            raise SplitTestNotFound(key)
        settings = current_settings.get(connection, key)
        if settings is None:
            raise SplitTestNotFound(key)
        visible = visible_keys(visit, connection)
        return SeenTest(
            listed=listed,
            settings=settings.without_hidden(visible),
            proposal=current_settings.pending_proposal(connection, key) if settings.pending_group else None,
            missing_on=late_servers(connection, [key]).get(key, ()),
            entries=changelog.entries(
                connection, key, limit=_MOST_ENTRIES, visible=visible, read=reader(visit.parts.catalog)
            ),
            may_steer=person.may("steer") and can_manage(person.actor, listed.managers),
        )


def visible_keys(visit: Visit, connection: Connection) -> frozenset[str]:
    """Return the keys of the tests that the person may know of."""
    actor = visit.person.actor
    return list_pages.visible_keys(connection, Onlooker(name=actor.name, sees_everything=actor.is_superuser))


def address_of(key: str, tab: str = "") -> str:
    """Return the address of a test's page."""
    return f"/tests/{quote(key)}{tab}"


def head_of(test: SeenTest, tab: str) -> ui.element:
    """Show the head of the test's pages and their tabs; return the place for buttons beside the title."""
    with ui.element("div").classes("us-head"):
        html("test_head.html", test=test.listed, missing_on=test.missing_on).classes("grow")
        buttons = ui.element("div").classes("us-row")
    html("test_tabs.html", base=address_of(test.key), tabs=_TABS, here=tab)
    return buttons


def request_of(visit: Visit, version: int) -> Request:
    """Return the request of a command that was decided on what the page shows, by the version that it shows.

    Raises:
        NotSignedIn, NotAllowed: see `Visit.acting`.
    """
    return Request(actor=visit.acting("steer"), expected_version=version)


def watch(visit: Visit, key: str, version: int, changed: Callable[[SeenTest], Awaitable[None]]) -> None:
    """Look again and again whether somebody changed the test; tell `changed` of every newer version, once."""
    known = version
    head = -1

    async def look() -> None:
        nonlocal known, head
        now_at = await asyncio.to_thread(visit.parts.store.head)
        if now_at == head:
            return
        try:
            test = await asyncio.to_thread(read_test, visit, key)
        except SplitTestNotFound:
            ui.navigate.to("/")
            return
        head = now_at  # not before: a database that went away meanwhile is asked again
        if test.listed.version > known:
            known = test.listed.version
            await changed(test)

    ui.timer(_LOOK_EVERY_SECONDS, look, immediate=False)


def changes_after(test: SeenTest, position: int) -> Sequence[ChangelogEntry]:
    """Return what was changed behind a position of the log."""
    return [entry for entry in test.entries if entry.position > position]


def newest_changes(test: SeenTest) -> Sequence[ChangelogEntry]:
    """Return the last few changes, the newest first."""
    return list(reversed(test.entries[-_NEWEST:]))
