"""The estimate of a settings group: users per variant, overlap with other tests in percent both ways, smallest effect.

The smallest effect is that of the usual two-sided test of two proportions (normal approximation, power 80 %, level
5 %): users who meet the conditions but stay out of both variants play no part. It is given as a difference in points
of the rate itself: 0.004 at a base rate of 0.1 means that 10.0 % against 10.4 % would be found.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Final

from audience.conditions_sql import assumed_filters
from audience.counts import Counted, Counts, SqlAudienceCounts, parsed
from audience.errors import AudienceError
from audience.users_table import UsersTable
from domain.allocation.audience_counts import Audience

POWER: Final = 0.8
LEVEL: Final = 0.05
_HALVINGS: Final = 60
_EVERYBODY: Final = Audience(key="everybody", conditions="[]", filters=())


class BaseRateWrong(AudienceError):
    """No rate, or one at which nothing can become better or worse."""

    def __init__(self, rate: float) -> None:
        super().__init__(f"{rate} cannot be a base rate; give a share between 0 and 1, such as 0.05 for 5 %")


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """Another test: its audience, its type, and the split groups it uses."""

    audience: Audience
    type: str
    split_groups: Collection[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimatedOverlap:
    """Users who are in both tests.

    Attributes:
        key: the other test.
        users: who are in both.
        percent_of_ours: of our test's users; 0 where it has none.
        percent_of_theirs: of those of the other test's users who can be counted here. None: nobody counted them.
        same_type: whether both tests have the same type.
    """

    key: str
    users: int
    percent_of_ours: float
    percent_of_theirs: float | None
    same_type: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a settings group would mean.

    Attributes:
        users: exactly so many users in each variant, by its name.
        overlaps: with each other test, the largest first.
        assumed: filters of the visit that no column holds: the numbers of users are upper bounds.
        smallest_effect: the smallest difference of the rate that each variant would show against the first one; None
            where there are no users, or no such difference is possible.
    """

    users: Mapping[str, int]
    overlaps: Sequence[EstimatedOverlap]
    assumed: tuple[str, ...]
    smallest_effect: Mapping[str, float | None]

    @property
    def is_upper_bound(self) -> bool:
        """Whether there may be fewer users than estimated."""
        return bool(self.assumed)


def estimate(
    counts: SqlAudienceCounts,
    users: UsersTable,
    audience: Audience,
    *,
    type: str,  # noqa: A002 - what the glossary calls it
    variants: Mapping[str, Collection[int]],
    neighbours: Sequence[Neighbour] = (),
    base_rate: float = 0.1,
) -> Estimate:
    """Estimate a settings group, without changing anything.

    Args:
        counts: counts users.
        users: maps filters to columns.
        audience: who may take part.
        type: the test's type.
        variants: the split groups of each variant, by name; the first one is what others are compared with.
        neighbours: the tests that overlap by dates.
        base_rate: the share of users who do today what the test is about.

    Raises:
        AudienceNotCountable: see `SqlAudienceCounts.counted`.
        BaseRateWrong: it is not between 0 and 1.
    """
    others = [each.audience for each in neighbours]
    counted = counts.counted(audience, others)
    theirs = counts.counted(_EVERYBODY, others).shared
    by_variant = {name: _users_in(counted.users, groups) for name, groups in variants.items()}
    ours = {number for groups in variants.values() for number in groups}
    totals = [_users_in(theirs[index], each.split_groups) for index, each in enumerate(neighbours)]
    overlaps = [
        _overlap(each, counted, index, ours, sum(by_variant.values()), totals[index], same_type=each.type == type)
        for index, each in enumerate(neighbours)
    ]
    baseline = next(iter(by_variant.values()), 0)
    return Estimate(
        users=by_variant,
        overlaps=sorted(overlaps, key=lambda overlap: (-overlap.users, overlap.key)),
        assumed=assumed_filters(parsed(audience), users),
        smallest_effect={
            name: smallest_effect(baseline, number, base_rate=base_rate)
            for index, (name, number) in enumerate(by_variant.items())
            if index
        },
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


def _users_in(counts: Counts, groups: Collection[int]) -> int:
    return int(counts[sorted(groups)].sum()) if groups else 0


def _overlap(
    other: Neighbour,
    counted: Counted,
    index: int,
    ours: set[int],
    our_users: int,
    their_users: int,
    *,
    same_type: bool,
) -> EstimatedOverlap:
    shared = _users_in(counted.shared[index], ours & set(other.split_groups))
    return EstimatedOverlap(
        key=other.audience.key,
        users=shared,
        percent_of_ours=100 * shared / our_users if our_users else 0.0,
        percent_of_theirs=100 * shared / their_users if their_users else None,
        same_type=same_type,
    )
