"""The course of every draw: keep what can be kept, choose the groups that are missing, deal them to the variants.

Variants keep the groups they have: a change of dates or conditions moves no user from one variant to another, a larger
variant adds groups to its own, and a smaller one keeps a part of them. Twice there is a choice between groups that are
equally good so far, and it falls at random: which part a smaller variant keeps, and which variant gets which of the
chosen groups. There `Arrange` may change places afterwards.

The draw is made of raw PCG64 words and stable sorts. numpy promises that the words of a seeded bit generator never
change, and promises no such thing of `Generator.permutation` and its kin; the seed stands in a fact for ever, and an
auditor must be able to repeat the draw with any later numpy. Two equal words of 64 bits would bias a draw by one
position, and among 2400 of them there are two equal ones once in 10**13 draws.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from domain.allocation.choice import NONE, Choice, Groups, cheapest, shuffled
from domain.allocation.outcome import moves, overlaps
from domain.allocation.request import Allocation, AllocationRequest
from domain.percents import ALL_GROUPS
from events.facts import PreparedVariant

OUTSIDE = -1
"""The arm of a place outside the test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deal:
    """Split groups in their places, as chance put them there.

    Attributes:
        groups: the group in each place.
        arms: the arm that each place belongs to: the variant's index in the request, or `OUTSIDE`.
        tables: the table of each place, 0, 1 … in ascending order; groups change places within a table only.
        loose: by number of the group, whether it may change places with one outside the test.
        settled: the groups of each arm that keep their places.
    """

    groups: Groups
    arms: NDArray[np.int64]
    tables: NDArray[np.int64]
    loose: NDArray[np.bool_]
    settled: Sequence[Groups]


Arrange: TypeAlias = Callable[[Deal, np.random.PCG64], Groups]
"""Returns the groups of a deal in their final places: each in a place where the deal allows it to be."""


def draw(request: AllocationRequest, arrange: Arrange) -> Allocation:
    """Return the split groups of every variant of `request`. See the top of this module for the rules."""
    words = np.random.PCG64(request.seed)
    kept = _kept(request, words, arrange)
    missing = [variant.groups - len(groups) for variant, groups in zip(request.variants, kept, strict=True)]
    choice = cheapest(request, np.concatenate((NONE, *kept)), sum(missing), words)
    added = _dealt(kept, missing, choice, words, arrange)
    variants = tuple(
        PreparedVariant(name=variant.name, split_groups=tuple(np.sort(np.concatenate(groups)).tolist()))
        for variant, *groups in zip(request.variants, kept, added, strict=True)
    )
    kept_groups, moved = moves(request.previous, variants)
    return Allocation(variants=variants, overlaps=overlaps(request, variants), kept_groups=kept_groups, moved=moved)


def _kept(request: AllocationRequest, words: np.random.PCG64, arrange: Arrange) -> Sequence[Groups]:
    had = {} if request.reshuffle else {variant.name: variant.split_groups for variant in request.previous}
    own = [np.array(had.get(variant.name, ()), dtype=np.int64) for variant in request.variants]
    fits = [len(groups) <= variant.groups for variant, groups in zip(request.variants, own, strict=True)]
    if all(fits):
        return own
    # A table for every variant that gives up groups: places for those it keeps, then places outside for the others.
    hands = [NONE if fit else shuffled(groups, words) for groups, fit in zip(own, fits, strict=True)]
    inside = [min(len(hand), variant.groups) for hand, variant in zip(hands, request.variants, strict=True)]
    deal = Deal(
        groups=np.concatenate(hands),
        arms=np.concatenate(
            [np.where(np.arange(len(hand)) < inside[arm], arm, OUTSIDE) for arm, hand in enumerate(hands)]
        ),
        tables=np.repeat(np.arange(len(hands)), [len(hand) for hand in hands]),
        loose=np.ones(ALL_GROUPS + 1, dtype=np.bool_),
        settled=[groups if fit else NONE for groups, fit in zip(own, fits, strict=True)],
    )
    arranged = arrange(deal, words)
    return [
        groups if fit else arranged[deal.arms == arm] for arm, (groups, fit) in enumerate(zip(own, fits, strict=True))
    ]


def _dealt(
    kept: Sequence[Groups], missing: Sequence[int], choice: Choice, words: np.random.PCG64, arrange: Arrange
) -> Sequence[Groups]:
    chosen = shuffled(choice.groups, words)
    # A first draw is a fair sample of the cheapest groups and stays one. Beside groups that are kept, what is added
    # must make up for what they are: it may be exchanged for groups that are just as cheap.
    spare = choice.spare if any(len(groups) for groups in kept) else NONE
    loose = np.zeros(ALL_GROUPS + 1, dtype=np.bool_)
    loose[choice.tied], loose[spare] = True, True
    groups = np.concatenate((chosen, spare))
    deal = Deal(
        groups=groups,
        arms=np.concatenate((np.repeat(np.arange(len(missing)), missing), np.full(len(spare), OUTSIDE))),
        tables=np.zeros(len(groups), dtype=np.int64),
        loose=loose,
        settled=kept,
    )
    arranged = arrange(deal, words)
    return [arranged[deal.arms == arm] for arm in range(len(missing))]
