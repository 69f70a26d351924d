"""The search that balances a deal: groups change places, pair by pair, until the arms differ as little as possible.

From a random deal on, each step looks at up to 2048 random pairs of places at once and exchanges the pair that
leaves the least imbalance: the fourth powers of all differences, summed, so that large ones weigh most and small ones
still count. The best pair is exchanged even where it makes things worse, which carries the search out of dead ends.
What counts in the end is the best arrangement met on the way: the one whose largest difference is the smallest, and of
several such the one with the smallest sum of differences. The deal itself is one of them, so the result is never worse.

Everything is whole numbers of 64 bits, whose sums do not depend on the order of summing: the result is the same on
every machine, with every version of numpy, whatever the processor and the threads.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from domain.allocation.choice import Groups
from domain.allocation.drawing import OUTSIDE, Deal

Numbers = NDArray[np.int64]

_STEPS: Final = 400
_PATIENCE: Final = 150
"""So many steps without a better arrangement, and the search is over."""
_PAIRS: Final = 2048
_FEWEST_PAIRS: Final = 128
_NUMBERS_A_STEP: Final = 200_000
"""Beside many things to balance fewer pairs are looked at, so that a step takes the same time."""
_WHOLE: Final = 1 << 30
"""The weight of an arm is divided by its size as a multiplication with `_WHOLE // size`."""
_COARSE: Final = 26
_MOST: Final = 1 << 13
_THINGS: Final = 1000
"""Before the fourth power a deviation of 100 %, 40 bits, loses 26 of them, and all from 50 % on count as 50 %. So one
fourth power has at most 52 bits, and those of a thousand things in two arms 63. More things lose one bit more each."""
_LOW_HALF: Final = np.uint64(32)


def rearranged(deal: Deal, words: np.random.PCG64, *, weights: Numbers) -> Groups:
    """Return the groups of `deal` in places where the arms carry `weights` (groups by things) as evenly as was found.

    The difference of a thing is that between the arms with the most and the least of it per group.
    """
    carried = weights[deal.groups]
    changeable = np.ptp(carried, axis=0) > 0 if len(carried) else np.zeros(weights.shape[1], dtype=np.bool_)
    if not changeable.any():
        return deal.groups
    search = _Search(deal, weights[:, changeable])
    return search.run(words) if search.can_exchange else deal.groups


class _Search:
    """One search. Its columns are the arms that have groups, and a last one, weightless, for the places outside."""

    def __init__(self, deal: Deal, weights: Numbers) -> None:
        self._loose = deal.loose[deal.groups]
        self._groups = deal.groups.copy()
        self._carried = weights[deal.groups]
        # Groups that carry the same are of one kind. Two of them change nothing by changing places, which one number
        # tells sooner than a look at all that each of them carries.
        kinds: dict[bytes, int] = {}
        self._kinds = np.array([kinds.setdefault(row.tobytes(), len(kinds)) for row in self._carried])
        self._settled = weights[np.concatenate(deal.settled)]
        sizes = [len(settled) + int((deal.arms == arm).sum()) for arm, settled in enumerate(deal.settled)]
        compared = [arm for arm, size in enumerate(sizes) if size]
        column_of = np.full(len(sizes) + 1, len(compared))
        column_of[compared] = np.arange(len(compared))
        self._columns = column_of[deal.arms]  # OUTSIDE is -1, which is the last one
        self._rates = np.array([*(_WHOLE // sizes[arm] for arm in compared), 0], dtype=np.int64)
        self._values = np.zeros((len(compared) + 1, weights.shape[1]), dtype=np.int64)
        for column, arm in enumerate(compared):
            inside = self._carried[deal.arms == arm].sum(axis=0) + weights[deal.settled[arm]].sum(axis=0)
            self._values[column] = inside * self._rates[column]
        self._seats = np.flatnonzero(deal.arms != OUTSIDE)
        self._has_outside = bool((deal.arms == OUTSIDE).any())
        self.can_exchange = len(compared) > 1 and len(self._seats) > 0
        starts = np.searchsorted(deal.tables, deal.tables, side="left")
        self._pairs_a_step = max(_FEWEST_PAIRS, min(_PAIRS, _NUMBERS_A_STEP // weights.shape[1]))
        self._finer = weights.shape[1] <= _THINGS
        self._starts, self._lengths = starts, np.searchsorted(deal.tables, deal.tables, side="right") - starts

    def run(self, words: np.random.PCG64) -> Groups:
        best, best_groups, patience = self._differences(), self._groups.copy(), _PATIENCE
        floor = self._least_differences()
        for _ in range(_STEPS):
            if best <= floor or not patience:
                break
            patience -= 1
            self._exchange_best(*self._pairs(words))
            found = self._differences()
            if found < best:
                best, best_groups, patience = found, self._groups.copy(), _PATIENCE
        return best_groups

    def _least_differences(self) -> tuple[int, int]:
        """Return what no arrangement can be better than; (0, 0) where that is not known."""
        arms, rate = len(self._rates) - 1, self._rates[0]
        if (self._rates[:-1] != rate).any() or (self._columns == arms).any():
            return 0, 0
        carried = np.concatenate((self._carried, self._settled))
        heaviest = carried.max(axis=0)
        # Groups of one weight, so many that the arms cannot have equally many: one arm has one more.
        indivisible = ((carried == 0) | (carried == heaviest)).all(axis=0) & ((carried > 0).sum(axis=0) % arms > 0)
        differences = np.where(indivisible, heaviest * rate, 0)
        return int(differences.max()), int(differences.sum())

    def _pairs(self, words: np.random.PCG64) -> tuple[Numbers, Numbers]:
        """Return random pairs of places, the first one in an arm, whose groups may be exchanged and carry unlike."""
        raw = words.random_raw(self._pairs_a_step)
        high, low = (raw >> _LOW_HALF).astype(np.int64), (raw & np.uint64(0xFFFFFFFF)).astype(np.int64)
        first = self._seats.take(high * len(self._seats) >> 32)
        second = self._starts.take(first) + (low * self._lengths.take(first) >> 32)
        allowed = self._columns.take(first) != self._columns.take(second)
        allowed &= self._kinds.take(first) != self._kinds.take(second)
        if self._has_outside:
            inside = self._columns.take(second) != len(self._rates) - 1
            allowed &= inside | (self._loose.take(first) & self._loose.take(second))
        return first.compress(allowed), second.compress(allowed)

    def _exchange_best(self, first: Numbers, second: Numbers) -> None:
        if not len(first):
            return
        change = self._carried.take(second, axis=0)
        change -= self._carried.take(first, axis=0)
        here, there = self._columns.take(first), self._columns.take(second)
        deviations = self._deviations()
        badness = self._badness(deviations)
        after = self._badness(deviations.take(here, axis=0) + change * self._rates.take(here)[:, None])
        after += self._badness(deviations.take(there, axis=0) - change * self._rates.take(there)[:, None])
        chosen = int(np.argmin(after - badness.take(here) - badness.take(there)))
        self._exchange(int(first[chosen]), int(second[chosen]), change[chosen])

    def _exchange(self, first: int, second: int, change: Numbers) -> None:
        here, there = self._columns[first], self._columns[second]
        self._values[here] += change * self._rates[here]
        self._values[there] -= change * self._rates[there]
        for array in (self._groups, self._carried, self._kinds, self._loose):
            array[[first, second]] = array[[second, first]]

    def _deviations(self) -> Numbers:
        arms = self._values[:-1]
        deviations = np.zeros_like(self._values)
        deviations[:-1] = arms - arms.sum(axis=0) // len(arms)
        return deviations

    def _differences(self) -> tuple[int, int]:
        differences = np.ptp(self._values[:-1], axis=0)
        return int(differences.max()), int(differences.sum())

    def _badness(self, deviations: Numbers) -> Numbers:
        bits, most = (_COARSE, _MOST) if self._finer else (_COARSE + 1, _MOST >> 1)
        coarse = np.abs(deviations)
        coarse >>= bits
        np.minimum(coarse, most, out=coarse)
        coarse *= coarse
        total: Numbers = np.einsum("ij,ij->i", coarse, coarse)
        return total
