"""The list of tests: what there is, at a glance, and what somebody looks for among it."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from nicegui import ui

from projections import test_list
from projections.errors import OUTAGES
from projections.test_list import ListedSplitTest
from warehouse.errors import WarehouseError
from warehouse.traffic import Span
from web.frame import Visit, card, frame, head
from web.late_servers import late_servers
from web.listing import STATUSES, Listing, Wanted, listing
from web.parts import Parts
from web.rendering import html, rendered
from web.sparkline import spark_points

_TYPING_SECONDS: Final = 0.2
_LOOK_EVERY_SECONDS: Final = 2.0
_LOOKS_BETWEEN_READINGS: Final = 5
_TRAFFIC_STAYS: Final = timedelta(minutes=1)
"""How long sparklines are good enough, of a whole day: the warehouse is not asked whenever the log goes on."""
_TRAFFIC: Final = timedelta(hours=24)
_BUCKET: Final = timedelta(hours=1)
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A test in the list, with what is not in its own row.

    Attributes:
        missing_on: live servers that do not have its newest config.
        spark: the points of its traffic's sparkline, empty where nothing is known.
        hits: how many hits those were.
        when: how its dates stand to today.
    """

    test: ListedSplitTest
    missing_on: Sequence[str]
    spark: str
    hits: int | None
    when: str


async def build(visit: Visit) -> None:
    """Show the list."""
    wanted = Wanted.from_query(visit.request.query_params)
    shown = await asyncio.to_thread(_read, visit, wanted)
    with frame(visit, "Tests"):
        with head("Tests", sub="Split tests, newest first. Red ones are not laid out on all servers yet."):
            if visit.person.may("create"):
                ui.button("New test", icon="add", on_click=lambda: ui.navigate.to("/new"))
        _List(visit, wanted, shown)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Traffic:
    """Hits of the last day by test, and when the warehouse was asked for them."""

    asked_at: datetime
    hits: Mapping[str, Sequence[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """A page of the list as the log said at the position `head`."""

    listing: Listing
    lines: Sequence[Line]
    head: int
    traffic: _Traffic


class _List:
    """The filters and the table, which follows what others do. The filters stay as they are, the focus where it is."""

    def __init__(self, visit: Visit, wanted: Wanted, shown: _Shown) -> None:
        self._visit = visit
        self._wanted = wanted
        self._head = shown.head
        self._looks = self._asked = self._answered = 0
        self._traffic = shown.traffic
        with card():
            self._filters(shown.listing)
            self._said = ui.label().classes("us-muted us-small").props("role=status")
            self._table = html("looking.html").classes("us-scroll us-keeps-focus")
        self._show(shown)
        ui.timer(_LOOK_EVERY_SECONDS, self._follow, immediate=False)

    def _filters(self, found: Listing) -> None:
        with ui.element("div").classes("us-row"):
            ui.input(
                "Search",
                placeholder="key, name, issue, person",
                value=self._wanted.search,
                on_change=lambda event: self._want(search=event.value or "", page=1),
            ).props(f"outlined dense clearable debounce={int(_TYPING_SECONDS * 1000)} autofocus").classes("grow")
            ui.select(
                {"": "Every status", **{status: status.replace("_", " ").title() for status in STATUSES}},
                label="Status",
                value=self._wanted.status,
                on_change=lambda event: self._want(status=event.value or "", page=1),
            ).props("outlined dense").style("min-width: 150px")
            self._types = ui.select(
                _choices(found.types),
                label="Type",
                value=self._wanted.type if self._wanted.type in found.types else "",
                on_change=lambda event: self._want(type=event.value or "", page=1),
            )
            self._types.props("outlined dense").style("min-width: 130px")
            ui.checkbox(
                "Mine", value=self._wanted.mine, on_change=lambda event: self._want(mine=bool(event.value), page=1)
            )

    async def _want(self, **changes: str | int) -> None:
        self._wanted = replace(self._wanted, **changes)  # type: ignore[arg-type]  # names and types of its fields
        ui.navigate.history.replace(self._wanted.address())
        await self._look()

    async def _follow(self) -> None:
        """Look again where the log went on; and now and then all the same, for servers report beside the log."""
        self._looks += 1
        try:
            head = await asyncio.to_thread(self._visit.parts.store.head)
            if head != self._head or self._looks % _LOOKS_BETWEEN_READINGS == 0:
                await self._look()
        except OUTAGES:
            return  # what was true a moment ago stays; the next look may be answered

    async def _look(self) -> None:
        self._asked += 1
        wanted, mine = self._wanted, self._asked
        shown = await asyncio.to_thread(_read, self._visit, wanted, self._traffic)
        # Else somebody typed on meanwhile, and a newer answer is under way; or one that was asked for later came first.
        if wanted is self._wanted and mine > self._answered:
            self._answered, self._head = mine, shown.head
            self._traffic = shown.traffic
            self._show(shown)

    def _show(self, shown: _Shown) -> None:
        found = shown.listing
        if self._types.options != (choices := _choices(found.types)):
            self._types.set_options(choices)
        said = f"{found.total:,} {'test' if found.total == 1 else 'tests'}" if found.total else ""
        self._said.text = f"{said}, page {found.page} of {found.pages}" if found.pages > 1 else said
        content = self._content(shown)
        if content != self._table.content:
            self._table.set_content(content)

    def _content(self, shown: _Shown) -> str:
        found = shown.listing
        if found.total:
            return rendered(
                "list.html", lines=shown.lines, found=found, wanted=self._wanted, person=self._visit.person.name
            )
        if found.known:
            title, advice = "No test matches", "Take a filter away, or search for another word."
        else:
            may = self._visit.person.may("create")
            title = "No tests yet"
            advice = "Create one with “New test”." if may else "They appear here when a manager publishes one."
        return f'<div class="us-empty">{rendered("empty.html", title=title, advice=advice)}</div>'


def _choices(types: Sequence[str]) -> dict[str, str]:
    return {"": "Every type", **{each: each for each in types}}


def _read(visit: Visit, wanted: Wanted, before: _Traffic | None = None) -> _Shown:
    head_position = visit.parts.store.head()
    with visit.reading() as connection:
        everything = test_list.rows(connection)
        found = test_list.rows(connection, search=wanted.search) if wanted.search else everything
        late = late_servers(connection)
    page = listing(found, everything, wanted, visit.person.actor)
    now = visit.parts.now()
    if before is None or now - before.asked_at >= _TRAFFIC_STAYS:
        before = _Traffic(asked_at=now, hits=recent_traffic(visit.parts, now))
    lines = [_line(test, late, before.hits, now) for test in page.tests]
    return _Shown(listing=page, lines=lines, head=head_position, traffic=before)


def recent_traffic(parts: Parts, now: datetime) -> Mapping[str, Sequence[int]]:
    """Return the hits of the last day by test, for sparklines; none where the warehouse has nothing to say."""
    if parts.traffic is None:
        return {}
    try:
        return parts.traffic.recent(Span(since=now - _TRAFFIC, until=now, bucket=_BUCKET))
    except WarehouseError as error:
        _LOG.warning("no sparklines: %s", error)
        return {}


def _line(
    test: ListedSplitTest, late: Mapping[str, Sequence[str]], traffic: Mapping[str, Sequence[int]], now: datetime
) -> Line:
    hits = traffic.get(test.key)
    return Line(
        test=test,
        missing_on=late.get(test.key, ()),
        spark=spark_points(hits) if hits else "",
        hits=sum(hits) if hits else None,
        when=when(test, now),
    )


def when(test: ListedSplitTest, now: datetime) -> str:
    """Return how the dates of a test stand to now, in a few words; nothing where it does not matter any more."""
    if test.starts_at is None or test.ends_at is None:
        return "no settings yet"
    if test.status in {"finished", "rejected"}:
        return ""
    if now < test.starts_at:
        return f"starts in {_days(test.starts_at, now)}"
    if now < test.ends_at:
        return f"{_days(test.ends_at, now)} left"
    return "its end has passed"


def _days(later: datetime, now: datetime) -> str:
    hours = int((later - now).total_seconds() // 3600)
    if hours < 48:  # noqa: PLR2004 - two days
        return f"{hours} h"
    return f"{hours // 24} days"
