"""Which split groups are taken: free ones first, then busy ones, those first that cost the fewest shared users."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from domain.allocation.audience_counts import SplitGroupOutOfRange
from domain.allocation.request import AllocationRequest, OverlappingTest
from domain.percents import ALL_GROUPS

Groups: TypeAlias = NDArray[np.int64]
"""Numbers of split groups."""

NONE: Final[Groups] = np.empty(0, dtype=np.int64)

_NEVER = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The groups that are taken, and how narrow the choice was.

    Attributes:
        groups: those taken, the best first.
        tied: of those taken, the ones that are no better than the best group left: chance decided between them.
        spare: the groups left that are as good as `tied`.
    """

    groups: Groups
    tied: Groups
    spare: Groups


def cheapest(request: AllocationRequest, taken: Groups, count: int, words: np.random.PCG64) -> Choice:
    """Choose `count` groups that are not `taken` yet, chance deciding between equals.

    Raises:
        SplitGroupOutOfRange: a count speaks of a split group that there is not.
    """
    every = np.arange(1, ALL_GROUPS + 1)
    left = shuffled(every[~np.isin(every, taken)], words)
    # Of groups that cost the same, those come last whose users have seen another variant of this very test; of those,
    # the ones come first that have rested longest, for what users remember of an old test fades.
    seen = [] if request.reshuffle else [number for variant in request.previous for number in variant.split_groups]
    orders = (
        by_group(request.last_used, missing=_NEVER)[left],
        np.isin(left, seen).astype(np.int64),
        _cost(request.overlapping)[left],
    )
    ranks = np.lexsort(orders)  # stable: equals stay shuffled
    ordered = left[ranks]
    if not count:
        return Choice(groups=NONE, tied=NONE, spare=ordered[:0])
    last = ranks[count - 1]
    ties = np.all([order[ranks] == order[last] for order in orders], axis=0)
    return Choice(groups=ordered[:count], tied=ordered[:count][ties[:count]], spare=ordered[count:][ties[count:]])


def shuffled(groups: Groups, words: np.random.PCG64) -> Groups:
    """Return `groups` in random order."""
    return groups[np.argsort(words.random_raw(len(groups)), kind="stable")]


def by_group(values: Mapping[int, int], *, missing: int = 0) -> NDArray[np.int64]:
    """Return an array of 2401 in which the value of split group n stands at n, `missing` where it has none.

    Raises:
        SplitGroupOutOfRange: there is no such split group.
    """
    array = np.full(ALL_GROUPS + 1, missing, dtype=np.int64)
    if values:
        numbers = np.fromiter(values.keys(), dtype=np.int64, count=len(values))
        lowest, highest = int(numbers.min()), int(numbers.max())
        if not 1 <= lowest <= highest <= ALL_GROUPS:
            raise SplitGroupOutOfRange(lowest, highest)
        array[numbers] = np.fromiter(values.values(), dtype=np.int64, count=len(values))
    return array


def _cost(overlapping: Sequence[OverlappingTest]) -> NDArray[np.int64]:
    cost = np.zeros(ALL_GROUPS + 1, dtype=np.int64)
    for test in overlapping:
        groups = np.array([number for variant in test.variants for number in variant.split_groups], dtype=np.int64)
        if len(groups) == ALL_GROUPS:
            continue  # it is in nobody's way and in everybody's: no choice of groups avoids it
        cost[groups] += 1 if test.shared_users is None else by_group(test.shared_users)[groups]
    return cost
