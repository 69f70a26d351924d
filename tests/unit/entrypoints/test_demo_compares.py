"""The demo's last word can be no: each count that differs fails it."""

from collections import Counter
from typing import Any

import pytest

from entrypoints.demo_load import Shown
from entrypoints.demo_numbers import NumbersDiffer, compare

SHOWN: Counter[Shown] = Counter({("pricing", 1, "cheap"): 3, ("pricing", 2, "cheap"): 2})
ACCOUNTING: dict[str, Any] = {"accepted": 5, "delivered": 5, "dropped": {"buffer_full": 0}, "buffered": 0}


def test_equal_counts_pass() -> None:
    compare(shown=SHOWN, in_bi=Counter(SHOWN), accounting=ACCOUNTING)


@pytest.mark.parametrize(
    "in_bi",
    [
        {},
        {("pricing", 1, "cheap"): 3, ("pricing", 2, "cheap"): 1},
        {("pricing", 1, "cheap"): 3, ("pricing", 2, "cheap"): 3},
        {("pricing", 1, "cheap"): 2, ("pricing", 2, "cheap"): 3},
        {("pricing", 1, "cheap"): 3, ("pricing", 2, "cheap"): 2, ("pricing", 2, "control"): 1},
    ],
)
def test_a_hit_lost_or_counted_twice_or_elsewhere_fails(in_bi: dict[Shown, int]) -> None:
    with pytest.raises(NumbersDiffer, match="BI differs"):
        compare(shown=SHOWN, in_bi=Counter(in_bi), accounting=ACCOUNTING)


@pytest.mark.parametrize("changes", [{"accepted": 6}, {"delivered": 4}, {"dropped": {"buffer_full": 1}}])
def test_an_accounting_that_differs_fails(changes: dict[str, Any]) -> None:
    with pytest.raises(NumbersDiffer, match="accounting differs"):
        compare(shown=SHOWN, in_bi=Counter(SHOWN), accounting=ACCOUNTING | changes)
