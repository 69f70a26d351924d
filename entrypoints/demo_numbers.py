"""What the demo proves: three counts of the same hits are the same."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from entrypoints.demo_load import Shown


class NumbersDiffer(Exception):
    """BI does not hold what the visitors saw."""


def compare(*, shown: Counter[Shown], in_bi: Counter[Shown], accounting: Mapping[str, Any]) -> None:
    """Hold three counts of the same hits against each other: the visitors', BI's, and the SDK's own.

    Raises:
        NumbersDiffer: they are not the same, for every variant and settings group.
    """
    if in_bi != shown:
        missing, surplus = shown - in_bi, in_bi - shown
        raise NumbersDiffer(f"BI differs from what visitors saw: {missing=} {surplus=}; the SDK says {accounting}")
    counts = (accounting["accepted"], accounting["delivered"], sum(accounting["dropped"].values()))
    if counts != (shown.total(), shown.total(), 0):
        raise NumbersDiffer(f"the SDK's accounting differs from the {shown.total()} shown: {accounting}")
