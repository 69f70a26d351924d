"""Units are held against what the split groups promise, by Pearson's test."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.evenness import chi_squared_tail, evenness


@pytest.mark.parametrize(
    ("value", "freedom", "tail"),
    # From printed tables: the 5 % and 0.1 % points.
    [(3.841459, 1, 0.05), (10.827566, 1, 0.001), (5.991465, 2, 0.05), (7.814728, 3, 0.05), (18.307038, 10, 0.05)],
)
def test_the_tail_of_the_distribution_is_that_of_the_tables(value: float, freedom: int, tail: float) -> None:
    assert chi_squared_tail(value, freedom) == pytest.approx(tail, rel=1e-6)


@settings(max_examples=50)
@given(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(1, 60))
def test_the_tail_falls_with_the_statistic_and_rises_with_the_degrees(a: float, b: float, freedom: int) -> None:
    low, high = sorted((a, b))
    assert 0 <= chi_squared_tail(high, freedom) <= chi_squared_tail(low, freedom) + 1e-12 <= 1 + 1e-12
    assert chi_squared_tail(high, freedom) <= chi_squared_tail(high, freedom + 1) + 1e-12


def test_units_in_the_promised_proportion_are_even() -> None:
    found = evenness({"control": 5000, "red": 2500}, {"control": 480, "red": 240})
    assert (found.chi_squared, found.p_value, found.strangers) == (0, 1, 0)
    assert found.expected == {"control": 5000, "red": 2500}
    assert not found.is_alarming


def test_a_textbook_mismatch_is_an_alarm() -> None:
    # 821,588 against 815,482 where halves were promised (Kohavi, Tang, Xu: Trustworthy Online Controlled Experiments).
    found = evenness({"control": 821_588, "treatment": 815_482}, {"control": 50, "treatment": 50})
    assert found.p_value == pytest.approx(1.8e-6, rel=0.03)
    assert found.is_alarming


def test_a_variant_without_any_unit_is_an_alarm_not_an_error() -> None:
    assert evenness({"control": 1000}, {"control": 1, "red": 1}).is_alarming


def test_units_of_a_variant_that_was_promised_nothing_are_strangers() -> None:
    found = evenness({"control": 50, "red": 50, "old": 3, "off": 1}, {"control": 1, "red": 1, "off": 0})
    assert (found.p_value, found.strangers, found.is_alarming) == (1, 4, True)


@pytest.mark.parametrize(
    ("units", "promised"),
    [({}, {}), ({}, {"a": 1, "b": 1}), ({"a": 9}, {"a": 1}), ({"a": 4, "b": 4}, {"a": 1, "b": 1})],
)
def test_too_little_to_tell_has_no_p_value(units: dict[str, int], promised: dict[str, float]) -> None:
    found = evenness(units, promised)
    assert (found.p_value, found.is_alarming) == (None, False)


def test_an_enormous_mismatch_is_zero_not_an_error() -> None:
    found = evenness({"a": 10**12, "b": 1}, {"a": 1, "b": 1})
    assert found.p_value == 0
    assert math.isfinite(found.chi_squared or math.nan)


def test_p_values_of_fair_draws_are_spread_evenly() -> None:
    generator = np.random.default_rng(7)
    draws = generator.multinomial(3000, [0.5, 0.3, 0.2], size=2000)
    shares = {"a": 5, "b": 3, "c": 2}
    values = [evenness(dict(zip(shares, map(int, counts), strict=True)), shares).p_value or 0.0 for counts in draws]
    below = [sum(value < limit for value in values) / len(values) for limit in (0.1, 0.5, 0.9)]
    assert below == pytest.approx([0.1, 0.5, 0.9], abs=0.04)
