"""Live numbers: how many users meet conditions while these are edited, and how many of them meet other tests' too.

One question of a page is under way at a time, in a thread of the pool for counting; whatever was edited meanwhile is
asked about next, and the older answer is not shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

from nicegui import ui

from audience.errors import AudienceError
from audience.preview import LiveAnswer
from domain.errors import RuleBroken
from domain.percents import ALL_GROUPS
from usersplit.conditions import Catalog, ConditionsError
from warehouse.errors import WarehouseError
from web.conditions_shown import filter_label
from web.frame import Visit, note
from web.refusals import sentence
from web.rendering import html

CANNOT_COUNT: Final = (AudienceError, WarehouseError, RuleBroken, ConditionsError)
"""What counting is refused with, each with a sentence for people."""

NOBODY_COUNTS: Final = (
    "No users table is connected, so nobody is counted: there are no live numbers, no estimates, and tests overlap "
    "where their dates do. An operator connects one by USERSPLIT_USERS_URL, see docs/audience.md."
)
_TYPING_SECONDS: Final = 0.3
# A test that has only just begun is among the numbers a moment later: see `consumers.audience_service`.
_JUST_BEGUN_SECONDS: Final = 5.0
_MOST_SHOWN: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """Conditions as somebody edits them.

    Attributes:
        conditions: their document, without an error in it.
        starts_at, ends_at: the dates beside them, which say with which tests they overlap; None: with all.
        groups: how many of the 2400 split groups the test takes; None where that plays no part.
    """

    conditions: list[Any]
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    groups: int | None = None


class LiveNumbers:
    """The place where the numbers stand; `edited` is told of every edit, None where the conditions have an error.

    Args:
        visit: whose page it is.
        key: of the test that is edited, which is not compared with itself; empty for a user group.
        type_: the test's type, to mark tests of the same one.
    """

    def __init__(self, visit: Visit, *, key: str = "", type_: str = "") -> None:
        self._visit = visit
        self._key = key
        self._type = type_
        self._wanted: Edit | None = None
        self._shown: Edit | None = None
        self._answer: LiveAnswer | str = ""
        if visit.parts.audience is None:
            note(NOBODY_COUNTS)
            return
        with ui.element("div").classes("us-tight").props("aria-live=polite") as self._place:
            ui.label("Counting …").classes("us-muted")
        self._wait = ui.timer(_TYPING_SECONDS, self._count, active=False, immediate=False)
        self._later = ui.timer(_JUST_BEGUN_SECONDS, self._look_again, active=False, immediate=False)

    def edited(self, edit: Edit | None) -> None:
        """Ask again once nobody has typed for a moment; what is shown is of an older edit until then."""
        if self._visit.parts.audience is None or edit == self._wanted:
            return
        self._wanted = edit
        self._place.classes(add="us-stale")
        self._wait.activate()

    async def _count(self) -> None:
        self._wait.deactivate()
        wanted = self._wanted
        if wanted is None or wanted == self._shown:
            self._place.classes(remove="us-stale" if wanted is not None else "")
            return
        answer = await self._answered(wanted)
        if wanted != self._wanted:
            return  # somebody typed on meanwhile, and the timer asks about that
        self._shown = wanted
        self._show(answer, wanted)

    async def _look_again(self) -> None:
        """Ask once more about what is shown, and again as long as the answer changes."""
        self._later.deactivate()
        shown = self._shown
        if shown is None:
            return
        answer = await self._answered(shown)
        if shown == self._shown == self._wanted and answer != self._answer:
            self._show(answer, shown)

    async def _answered(self, edit: Edit) -> LiveAnswer | str:
        try:
            return await self._visit.counting(partial(self._ask, edit))
        except CANNOT_COUNT as error:
            return sentence(error)

    def _count_again(self) -> None:
        self._shown = None
        self._place.classes(add="us-stale")
        self._wait.activate()

    def _ask(self, edit: Edit) -> LiveAnswer:
        service = self._visit.parts.audience
        if service is None:  # pragma: no cover - such a page has no timer
            raise RuntimeError("nobody counts here")
        self._visit.acting("read")
        return service.live_numbers(
            edit.conditions, key=self._key, type=self._type, starts_at=edit.starts_at, ends_at=edit.ends_at
        )

    def _show(self, answer: LiveAnswer | str, edit: Edit) -> None:
        self._answer = answer
        self._later.activate()
        self._place.clear()
        self._place.classes(remove="us-stale")
        with self._place:
            if isinstance(answer, str):
                note(answer, "amber")
                with ui.element("div"):
                    ui.button("Count again", on_click=self._count_again).props("flat dense")
                return
            html(
                "live_numbers.html",
                answer=answer,
                as_of=answer.as_of,
                expected=None if edit.groups is None else round(answer.users * edit.groups / ALL_GROUPS),
                groups=edit.groups,
                assumed=labels_of(answer.assumed_filters, self._visit.parts.catalog),
                shared=answer.shared[:_MOST_SHOWN] if self._key else (),
                more=max(len(answer.shared) - _MOST_SHOWN, 0),
                compares=bool(self._key),
            )


def labels_of(names: Sequence[str], catalog: Catalog) -> list[str]:
    """Return what filters are called on pages; one that the catalog has lost keeps its name."""
    return [filter_label(catalog[name]) if name in catalog else name for name in names]
