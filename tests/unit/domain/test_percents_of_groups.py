from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.percents import ALL_GROUPS, groups_of, percent_text, read_percent, split_equally
from domain.settings_errors import PercentNotExact, PercentOutOfRange, TotalNotDivisible, WrongField


@pytest.mark.parametrize(
    ("percent", "groups"),
    [(0, 0), (5, 120), (10, 240), (100, 2400), ("12.5", 300), (0.125, 3), (" 33.375 ", 801), ("1e1", 240)],
)
def test_a_percent_is_24_split_groups(percent: object, groups: int) -> None:
    assert groups_of(read_percent(percent, "it"), "it") == groups


@settings(max_examples=60, deadline=None)
@given(st.integers(min_value=0, max_value=800))
def test_every_multiple_of_an_eighth_is_exact_and_comes_back_as_text(eighths: int) -> None:
    percent = Decimal(eighths) / 8
    assert groups_of(percent, "it") == eighths * 3
    assert Decimal(percent_text(eighths * 3)) == percent


@settings(max_examples=60, deadline=None)
@given(st.decimals(min_value=0, max_value=100, places=4))
def test_any_other_percent_is_refused_with_its_two_exact_neighbours(percent: Decimal) -> None:
    if percent % Decimal("0.125") == 0:
        assert groups_of(percent, "it") == percent * 24
        return
    with pytest.raises(PercentNotExact) as refusal:
        groups_of(percent, "it")
    below, above = str(refusal.value).split("exact percents are ")[1].split(" and ")
    assert Decimal(below) < percent < Decimal(above)
    assert Decimal(above) - Decimal(below) == Decimal("0.125")


def test_an_inexact_percent_names_the_nearest_exact_ones() -> None:
    with pytest.raises(PercentNotExact) as refusal:
        groups_of(read_percent(33.33, "variant 'red'"), "variant 'red'")
    assert str(refusal.value) == (
        "33.33 % for variant 'red' is not a whole number of split groups (1 % is 24); "
        "the nearest exact percents are 33.25 and 33.375"
    )


@pytest.mark.parametrize("percent", [-1, "100.125", 101])
def test_a_percent_lies_between_0_and_100(percent: object) -> None:
    with pytest.raises(PercentOutOfRange, match="from 0 to 100"):
        read_percent(percent, "it")


@pytest.mark.parametrize("percent", ["", "ten", "NaN", "Infinity", float("inf"), True, None, [5], "1e-"])
def test_what_is_no_number_is_no_percent(percent: object) -> None:
    with pytest.raises(WrongField, match=r"a number such as 12\.5"):
        read_percent(percent, "it")


@pytest.mark.parametrize("variants", [1, 2, 3, 4, 5, 6, 8, 10, 12])
@settings(max_examples=60, deadline=None)
@given(steps=st.integers(min_value=1, max_value=20))
def test_every_5_percent_can_be_split_equally_as_the_number_2400_was_chosen_for(variants: int, steps: int) -> None:
    assert split_equally(Decimal(5 * steps), variants) * variants == 120 * steps


def test_a_total_that_cannot_be_split_names_totals_that_can_and_the_second_control() -> None:
    with pytest.raises(TotalNotDivisible) as refusal:
        split_equally(Decimal(20), 7)
    assert str(refusal.value) == (
        "20 % cannot be split equally between 7 variants; the nearest totals that can are 19.25 and 20.125; "
        "or add one more variant that behaves like control, without the mark, leave it out of the statistics, "
        "and split between 8"
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(min_value=1, max_value=800), st.integers(min_value=1, max_value=40))
def test_the_totals_it_names_can_be_split(eighths: int, variants: int) -> None:
    try:
        assert split_equally(Decimal(eighths) / 8, variants) * variants == eighths * 3
    except TotalNotDivisible as refusal:
        nearest = str(refusal).split("; ")[1].removeprefix("the nearest totals that can are ").split(" and ")
        for total in nearest:
            assert split_equally(Decimal(total), variants) > 0


def test_more_variants_than_split_groups_cannot_share() -> None:
    with pytest.raises(TotalNotDivisible, match="no total can"):
        split_equally(Decimal(100), ALL_GROUPS + 1)
