from dataclasses import replace
from datetime import UTC, datetime, timedelta

from projections.test_list import ListedSplitTest
from web.gantt import gantt

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
A_TEST = ListedSplitTest(
    key="a",
    name="A",
    description="",
    type="web",
    issue_key="",
    chat_room="",
    author="ann",
    managers=("ann",),
    status="running",
    settings_group=1,
    starts_at=NOW,
    ends_at=NOW + timedelta(days=14),
    code_deployed_at=None,
    created_at=NOW,
    updated_at=NOW,
    version=1,
)


def test_a_bar_begins_and_ends_where_the_test_does() -> None:
    picture = gantt([A_TEST], NOW)
    (lane,) = picture.lanes
    assert lane.span is not None
    assert lane.span.left == picture.now == round(100 * 7 / 21, 3)
    assert round(lane.span.left + lane.span.width, 2) == 100
    assert lane.span.text == "04 May – 18 May 2026"


def test_a_test_without_dates_has_no_lane() -> None:
    assert gantt([replace(A_TEST, starts_at=None, ends_at=None)], NOW).lanes == []


def test_a_test_of_many_years_is_cut_at_the_edges() -> None:
    endless = replace(A_TEST, starts_at=NOW - timedelta(days=4000), ends_at=NOW + timedelta(days=4000))
    picture = gantt([endless], NOW)
    assert picture.lanes[0].span is not None
    assert (picture.lanes[0].span.left, picture.lanes[0].span.width) == (0, 100)
    assert 0 < picture.now < 100


def test_a_test_that_was_over_long_ago_has_a_lane_without_a_bar() -> None:
    old = replace(A_TEST, starts_at=NOW - timedelta(days=400), ends_at=NOW - timedelta(days=390))
    assert [lane.span for lane in gantt([old], NOW).lanes] == [None]


def test_ticks_are_mondays_and_few() -> None:
    endless = replace(A_TEST, ends_at=NOW + timedelta(days=4000))
    ticks = gantt([endless], NOW).ticks
    assert 0 < len(ticks) <= 10
    assert ticks == sorted(ticks)
