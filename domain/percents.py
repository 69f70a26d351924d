"""Percents of users as exact counts of split groups, and back.

There are 2400 split groups, so one percent is 24 of them. A decimal percent that is a whole number of groups is a
multiple of 0.125 %, 3 groups; single groups would be a third of that and have no finite decimal form.
"""

from collections.abc import Sequence
from decimal import ROUND_FLOOR, Decimal, InvalidOperation

from domain.settings_errors import PercentNotExact, PercentOutOfRange, TotalNotDivisible, WrongField

ALL_GROUPS = 2400
GROUPS_PER_PERCENT = 24

_STEP = Decimal("0.125")
_STEP_GROUPS = 3
_HUNDRED = Decimal(100)


def read_percent(value: object, what: str) -> Decimal:
    """Return a percent given as a number or as text.

    Raises:
        WrongField: it is neither.
        PercentOutOfRange: it is below 0 or over 100.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise WrongField(f"the percent of {what}", value, "a number such as 12.5")
    try:
        # By way of its text a float means what the manager wrote: 0.1, not 0.1000000000000000055.
        percent = Decimal(str(value).strip())
    except InvalidOperation:
        raise WrongField(f"the percent of {what}", value, "a number such as 12.5") from None
    if not percent.is_finite():
        raise WrongField(f"the percent of {what}", value, "a number such as 12.5")
    if not 0 <= percent <= _HUNDRED:
        raise PercentOutOfRange(what, percent)
    return percent


def groups_of(percent: Decimal, what: str) -> int:
    """Return how many split groups `percent` is: 5 % is 120.

    Raises:
        PercentNotExact: it is not a whole number of them; the message names the nearest percents that are.
    """
    steps = (percent / _STEP).to_integral_value(rounding=ROUND_FLOOR)
    if steps * _STEP != percent:
        raise PercentNotExact(what, percent, [_text(steps * _STEP), _text((steps + 1) * _STEP)])
    return int(steps) * _STEP_GROUPS


def split_equally(total: Decimal, variants: int) -> int:
    """Return how many split groups each of `variants` gets of `total` percent.

    Raises:
        PercentNotExact: the total is not a whole number of split groups.
        TotalNotDivisible: its groups cannot be shared equally; the message names the nearest totals that can be.
    """
    groups = groups_of(total, "the test")
    if groups % variants:
        raise TotalNotDivisible(_text(total), variants, _divisible_near(groups, variants), _advice(groups, variants))
    return groups // variants


def percent_text(groups: int) -> str:
    """Return the percent of `groups` split groups as text, with as many decimals as it takes, at most three."""
    return _text(round(Decimal(groups) / GROUPS_PER_PERCENT, 3))


def _divisible_near(groups: int, variants: int) -> Sequence[str]:
    exact = range(_STEP_GROUPS, ALL_GROUPS + 1, _STEP_GROUPS)
    below = [count for count in exact if count < groups and count % variants == 0][-1:]
    above = [count for count in exact if count > groups and count % variants == 0][:1]
    return [_text(Decimal(count) / GROUPS_PER_PERCENT) for count in below + above]


def _advice(groups: int, variants: int) -> str:
    if groups % (variants + 1):
        return ""
    return (
        f"; or add one more variant that behaves like control, without the mark, leave it out of the statistics, "
        f"and split between {variants + 1}"
    )


def _text(percent: Decimal) -> str:
    return f"{percent.normalize():f}"
