"""The first form of allocation: free split groups first, then busy ones, the least busy first; dealt at random.

Variants keep the groups they have: a change of dates or conditions moves no user from one variant to another, a larger
variant adds groups to its own, and a smaller one keeps a random part of them.

The draw is made of raw PCG64 words and stable sorts. numpy promises that the words of a seeded bit generator never
change, and promises no such thing of `Generator.permutation` and its kin; the seed stands in a fact for ever, and an
auditor must be able to repeat the draw with any later numpy. Two equal words of 64 bits would bias a draw by one
position, and among 2400 of them there are two equal ones once in 10**13 draws.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from domain.allocation.request import Allocation, AllocationRequest, OverlappingTest
from domain.percents import ALL_GROUPS
from events.facts import Overlap, PreparedVariant

Groups: TypeAlias = NDArray[np.int64]


def allocate(request: AllocationRequest) -> Allocation:
    """Return the split groups of every variant of `request`. See the top of this module for the rules."""
    words = np.random.PCG64(request.seed)
    kept = _kept(request, words)
    missing = [variant.groups - len(kept[variant.name]) for variant in request.variants]
    chosen = _cheapest(request, kept, sum(missing), words)
    dealt = np.split(_shuffled(chosen, words), np.cumsum(missing)[:-1])
    variants = tuple(
        PreparedVariant(
            name=variant.name,
            split_groups=tuple(int(number) for number in np.sort(np.concatenate((kept[variant.name], added)))),
        )
        for variant, added in zip(request.variants, dealt, strict=True)
    )
    return Allocation(
        variants=variants,
        overlaps=_overlaps(request, variants),
        kept_groups=sum(len(groups) for groups in kept.values()),
    )


def _kept(request: AllocationRequest, words: np.random.PCG64) -> Mapping[str, Groups]:
    had = {variant.name: np.array(variant.split_groups, dtype=np.int64) for variant in request.previous}
    kept: dict[str, Groups] = {}
    for variant in request.variants:
        groups = had.get(variant.name, np.empty(0, dtype=np.int64))
        kept[variant.name] = groups if len(groups) <= variant.groups else _shuffled(groups, words)[: variant.groups]
    return kept


def _cheapest(
    request: AllocationRequest, kept: Mapping[str, Groups], count: int, words: np.random.PCG64
) -> NDArray[np.int64]:
    every = np.arange(1, ALL_GROUPS + 1)
    taken = np.concatenate([*kept.values()])
    open_groups = _shuffled(every[~np.isin(every, taken)], words)
    cost = _cost(request.overlapping)[open_groups]
    # Of groups that cost the same, those come last whose users have seen another variant of this very test.
    had_another = np.isin(open_groups, [number for variant in request.previous for number in variant.split_groups])
    cheapest_first = np.lexsort((had_another, cost))  # stable: equals stay shuffled
    return open_groups[cheapest_first[:count]]


def _cost(overlapping: Sequence[OverlappingTest]) -> NDArray[np.int64]:
    cost = np.zeros(ALL_GROUPS + 1, dtype=np.int64)
    for test in overlapping:
        groups = test.split_groups
        if len(groups) == ALL_GROUPS:
            continue  # it is in nobody's way and in everybody's: no choice of groups avoids it
        for number in groups:
            cost[number] += 1 if test.shared_users is None else test.shared_users.get(number, 0)
    return cost


def _shuffled(groups: Groups, words: np.random.PCG64) -> Groups:
    return groups[np.argsort(words.random_raw(len(groups)), kind="stable")]


def _overlaps(request: AllocationRequest, variants: Sequence[PreparedVariant]) -> tuple[Overlap, ...]:
    drawn = frozenset(number for variant in variants for number in variant.split_groups)
    overlaps: list[Overlap] = []
    for test in request.overlapping:
        shared = test.split_groups & drawn
        users = None if test.shared_users is None else sum(test.shared_users.get(number, 0) for number in shared)
        if not shared or users == 0:
            continue
        # What is shared with a Draft is told, for it may run before this test does; which Draft it is, is not.
        overlaps.append(
            Overlap(
                key=test.key if test.is_named else "",
                settings_group=test.settings_group if test.is_named else 0,
                shared_groups=len(shared),
                shared_users=users,
                same_type=test.is_named and test.type == request.type,
            )
        )
    return tuple(sorted(overlaps, key=lambda overlap: (-overlap.shared_groups, overlap.key)))
