"""What is to be balanced: how much of each overlapping variant every split group carries."""

import numpy as np
from numpy.typing import NDArray

from domain.allocation.choice import by_group
from domain.allocation.request import AllocationRequest
from domain.percents import ALL_GROUPS

UNIT = 1 << 10
"""The weight of one split group in a variant whose users nobody counted, or of an average group's users."""

_HEAVIEST = UNIT << 10


def weights(request: AllocationRequest) -> NDArray[np.int64]:
    """Return the weights, split groups 0 to 2400 by things to balance, as whole numbers.

    A variant of an overlapping test weighs in each of its groups the users who meet the conditions of both tests, in
    units of our users in an average group; where nobody counted users, all its groups weigh the same. Where our own
    users are counted, they are one more thing to balance, so that arms of equal percents get equally many users.

    Raises:
        SplitGroupOutOfRange: a count speaks of a split group that there is not.
    """
    ours = None if request.users is None else by_group(request.users)
    columns = [] if ours is None else [_in_units(ours, int(ours.sum()))]
    for test in request.overlapping:
        shared = None if test.shared_users is None else by_group(test.shared_users)
        for variant in test.variants:
            groups = np.array(variant.split_groups, dtype=np.int64)
            column = np.zeros(ALL_GROUPS + 1, dtype=np.int64)
            if shared is None:
                column[groups] = UNIT
            else:
                column[groups] = _in_units(shared, int((shared if ours is None else ours).sum()))[groups]
            columns.append(column)
    return np.stack(columns, axis=1) if columns else np.zeros((ALL_GROUPS + 1, 0), dtype=np.int64)


def _in_units(users: NDArray[np.int64], total: int) -> NDArray[np.int64]:
    # Whole numbers: the same on every machine. A group that is a thousand times as large as the average is cut off.
    return np.minimum(users * (UNIT * ALL_GROUPS) // max(total, 1), _HEAVIEST)
