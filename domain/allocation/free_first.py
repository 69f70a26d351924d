"""The plain draw: free split groups first, then busy ones, the least busy first; dealt at random.

It is where the balanced draw begins, and what that is measured against.
"""

import numpy as np

from domain.allocation.choice import Groups
from domain.allocation.drawing import Deal, draw
from domain.allocation.request import Allocation, AllocationRequest


def allocate(request: AllocationRequest) -> Allocation:
    """Return the split groups of every variant of `request`, as chance deals them. See `domain.allocation.drawing`."""
    return draw(request, _as_dealt)


def _as_dealt(deal: Deal, words: np.random.PCG64) -> Groups:
    del words
    return deal.groups
