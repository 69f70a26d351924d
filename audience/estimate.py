"""What a number of users in each variant can show: the smallest effect.

That of the usual two-sided test of two proportions (normal approximation, power 80 %, level 5 %): users who meet the
conditions but stay out of both variants play no part. It is given as a difference of the rate itself: 0.004 at a base
rate of 0.1 means that 10.4 % against 10.0 % would be found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import sqrt
from statistics import NormalDist
from typing import Final

from audience.errors import AudienceError
from events.facts import PreparedVariant, ProposedVariant

POWER: Final = 0.8
LEVEL: Final = 0.05
BASE_RATE: Final = 0.1
"""What is assumed where nobody says how many users do already what a test is about."""

_HALVINGS: Final = 60


class BaseRateWrong(AudienceError):
    """No rate, or one at which nothing can become better or worse."""

    def __init__(self, rate: float) -> None:
        super().__init__(f"{rate} cannot be a base rate; give a share between 0 and 1, such as 0.05 for 5 %")


def estimated(
    variants: Sequence[PreparedVariant],
    proposed: Sequence[ProposedVariant],
    users: Mapping[int, int],
    *,
    base_rate: float = BASE_RATE,
) -> tuple[PreparedVariant, ...]:
    """Return `variants` with their users, and what these can show against control, or the first one without control.

    Args:
        variants: with their split groups, in the order of `proposed`.
        proposed: what was asked for; it says which one is control.
        users: who meet the conditions, by split group; a group that is missing has none.
        base_rate: the share of users who do already what the test is about.

    Raises:
        BaseRateWrong: it is not between 0 and 1.
    """
    numbers = [sum(users.get(group, 0) for group in variant.split_groups) for variant in variants]
    filled = [index for index, each in enumerate(proposed) if each.groups]
    baseline = next((index for index in filled if proposed[index].is_control), filled[0] if filled else 0)
    return tuple(
        replace(
            variant,
            users=number,
            smallest_effect=None
            if index == baseline
            else smallest_effect(numbers[baseline], number, base_rate=base_rate),
        )
        for index, (variant, number) in enumerate(zip(variants, numbers, strict=True))
    )


def smallest_effect(baseline_users: int, variant_users: int, *, base_rate: float) -> float | None:
    """Return the smallest increase of a rate that so many users show with power 80 % at level 5 %.

    Raises:
        BaseRateWrong: `base_rate` is not between 0 and 1.
    """
    if not 0 < base_rate < 1:
        raise BaseRateWrong(base_rate)
    if baseline_users < 1 or variant_users < 1:
        return None
    found, largest = 0.0, 1 - base_rate
    if _power(largest, baseline_users, variant_users, base_rate) < POWER:
        return None
    for _ in range(_HALVINGS):
        middle = (found + largest) / 2
        if _power(middle, baseline_users, variant_users, base_rate) < POWER:
            found = middle
        else:
            largest = middle
    return largest


def _power(difference: float, baseline_users: int, variant_users: int, base_rate: float) -> float:
    rate = base_rate + difference
    pooled = (base_rate * baseline_users + rate * variant_users) / (baseline_users + variant_users)
    under_none = sqrt(pooled * (1 - pooled) * (1 / baseline_users + 1 / variant_users))
    under_difference = sqrt(base_rate * (1 - base_rate) / baseline_users + rate * (1 - rate) / variant_users)
    distance = difference - NormalDist().inv_cdf(1 - LEVEL / 2) * under_none
    return NormalDist().cdf(distance / under_difference)
