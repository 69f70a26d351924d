"""The timeline of all tests: which spans to draw between two moments, in percents of the width."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from projections.test_list import ListedSplitTest
from web.rendering import STATUS_COLORS

_LEAST: Final = timedelta(days=14)
_BEFORE: Final = timedelta(days=7)
_AFTER: Final = timedelta(days=60)
_MOST_TICKS: Final = 9


Place: TypeAlias = Callable[[datetime], float]
"""From a moment to percents of the width."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A bar: where it begins and how long it is, in percents of the width, its colour and what stands in it."""

    left: float
    width: float
    color: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A test with its bar; none where it has no settings, or none in the window."""

    key: str
    name: str
    status: str
    span: Span | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gantt:
    """The whole picture: lanes, ticks (percent, day) and now (percent)."""

    lanes: Sequence[Lane]
    ticks: Sequence[tuple[float, str]]
    now: float


def gantt(tests: Sequence[ListedSplitTest], now: datetime) -> Gantt:
    """Return the picture of the tests that have dates: those under way first, in the order of their starts."""
    dated = [test for test in tests if test.starts_at is not None and test.ends_at is not None]
    starts = [test.starts_at for test in dated if test.starts_at]
    ends = [test.ends_at for test in dated if test.ends_at]
    first = min([now - _BEFORE, *(max(start, now - _AFTER) for start in starts)])
    last = max([now + _LEAST, *(min(end, now + _AFTER) for end in ends)])

    def place(moment: datetime) -> float:
        return round(100 * min(max((moment - first) / (last - first), 0.0), 1.0), 3)

    lanes = [_lane(test, place) for test in sorted(dated, key=lambda test: (test.starts_at or now, test.key))]
    return Gantt(lanes=lanes, ticks=_ticks(first, last, place), now=place(now))


def _lane(test: ListedSplitTest, place: Place) -> Lane:
    if test.starts_at is None or test.ends_at is None:
        return Lane(key=test.key, name=test.name, status=test.status, span=None)
    left, right = place(test.starts_at), place(test.ends_at)
    color = STATUS_COLORS.get(test.status, "grey")
    text = f"{test.starts_at:%d %b} – {test.ends_at:%d %b %Y}"
    span = Span(left=left, width=round(right - left, 3), color=color, text=text) if right > left else None
    return Lane(key=test.key, name=test.name, status=test.status, span=span)


def _ticks(first: datetime, last: datetime, place: Place) -> list[tuple[float, str]]:
    days = max((last - first).days, 1)
    every = next(step for step in (7, 14, 28, 56) if days / step <= _MOST_TICKS or step == 56)  # noqa: PLR2004 - the longest
    day = first.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=7 - first.weekday())
    ticks = []
    while day < last:
        ticks.append((place(day), f"{day:%d %b}"))
        day += timedelta(days=every)
    return ticks
