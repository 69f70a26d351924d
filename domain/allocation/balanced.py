"""The balanced draw: free split groups first, busy ones at the least cost, and every other test evenly over our arms.

It begins as the plain draw (`domain.allocation.free_first`) of the same seed, and then looks for places in which every
variant of every overlapping test has the same share in each of our arms, as nearly as the numbers allow: otherwise an
arm with more of another test's winners would look like a winner itself. The rules are in docs/allocation.md.
"""

from functools import partial

from domain.allocation.drawing import draw
from domain.allocation.request import Allocation, AllocationRequest
from domain.allocation.swaps import rearranged
from domain.allocation.weights import weights


def allocate(request: AllocationRequest) -> Allocation:
    """Return the split groups of every variant of `request`, balanced.

    Raises:
        SplitGroupOutOfRange: a count speaks of a split group that there is not.
    """
    return draw(request, partial(rearranged, weights=weights(request)))
