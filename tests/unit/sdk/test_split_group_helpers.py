from collections import Counter
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usersplit import (
    SPLIT_GROUPS,
    InexactPercent,
    InvalidSplitGroup,
    check_split_group,
    draw_split_group,
    is_split_group,
    percent_of_split_groups,
    split_group_from_cookie,
    split_group_to_cookie,
    split_groups_of_percent,
)


def test_every_split_group_can_be_drawn_and_no_other() -> None:
    drawn = Counter(draw_split_group(lambda limit, number=number: number % limit) for number in range(SPLIT_GROUPS))  # type: ignore[misc]
    assert set(drawn) == set(range(1, 2401))
    assert set(drawn.values()) == {1}


def test_a_drawn_split_group_is_one() -> None:
    assert all(is_split_group(draw_split_group()) for _ in range(1000))


@pytest.mark.parametrize("value", [0, 2401, -1, True, 1.0, "1", None])
def test_what_is_no_split_group_is_refused(value: object) -> None:
    assert not is_split_group(value)
    with pytest.raises(InvalidSplitGroup, match="from 1 to 2400"):
        check_split_group(value)


@pytest.mark.parametrize(
    ("percent", "groups"),
    [(0, 0), (5, 120), (10, 240), (100, 2400), ("12.5", 300), (Decimal("0.5"), 12), (Fraction(1, 24), 1)],
)
def test_percents_are_exact_numbers_of_groups(percent: Decimal | Fraction | int | str, groups: int) -> None:
    assert split_groups_of_percent(percent) == groups


@given(st.integers(0, SPLIT_GROUPS))
def test_groups_and_percents_go_back_and_forth(groups: int) -> None:
    assert split_groups_of_percent(percent_of_split_groups(groups)) == groups


@pytest.mark.parametrize("percent", ["33.3", "-5", "101", "five", "", "nan", "inf", "1/0", Decimal("nan"), None])
def test_a_percent_that_is_no_whole_number_of_groups_is_refused(percent: str) -> None:
    with pytest.raises(InexactPercent):
        split_groups_of_percent(percent)


@given(st.integers(1, SPLIT_GROUPS))
def test_a_guests_cookie_keeps_the_split_group(group: int) -> None:
    assert split_group_from_cookie(split_group_to_cookie(group)) == group


@pytest.mark.parametrize(
    "text", [None, "", "0", "2401", "-1", "01", " 1", "1 ", "1\n", "1.0", "x", "٣", "9" * 5000, b"1", 1]
)
def test_a_cookie_that_is_no_split_group_is_no_cookie(text: str) -> None:
    assert split_group_from_cookie(text) is None


def test_no_cookie_is_made_of_what_is_no_split_group() -> None:
    with pytest.raises(InvalidSplitGroup):
        split_group_to_cookie(0)
