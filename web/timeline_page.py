"""The timeline of all tests: which of them run at the same time."""

import asyncio

from nicegui import ui

from projections import test_list
from projections.test_list import ListedSplitTest
from web.frame import Visit, card, empty, frame, head
from web.gantt import gantt
from web.listing import is_mine, is_visible
from web.rendering import html

_OVER = ("finished", "rejected")


async def build(visit: Visit) -> None:
    """Show the timeline; behind the address's question mark, `over=1` shows those that are over too."""
    tests = await asyncio.to_thread(_tests, visit)
    with_over = visit.said("over") == "1"
    mine = visit.said("mine") == "1"
    shown = [
        test
        for test in tests
        if (with_over or test.status not in _OVER) and (not mine or is_mine(test, visit.person.name))
    ]
    with frame(visit, "Timeline"):
        with head("Timeline", sub="All tests with dates, in UTC. The line is now."):
            for name, is_on, label in (("over", with_over, "Show those that are over"), ("mine", mine, "Mine")):
                others = {"over": with_over, "mine": mine} | {name: not is_on}
                ui.checkbox(label, value=is_on, on_change=lambda _, said=others: ui.navigate.to(_address(said)))
        with card():
            picture = gantt(shown, visit.parts.now())
            if picture.lanes:
                html("gantt.html", picture=picture).classes("us-scroll")
            else:
                empty("Nothing to draw", "A test appears here once its settings are prepared.")


def _address(said: dict[str, bool]) -> str:
    query = "&".join(f"{name}=1" for name, is_on in said.items() if is_on)
    return f"/timeline?{query}" if query else "/timeline"


def _tests(visit: Visit) -> list[ListedSplitTest]:
    with visit.reading() as connection:
        everything = test_list.rows(connection)
    return [test for test in everything if is_visible(test, visit.person.actor)]
