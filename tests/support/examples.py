"""How many examples a law is tried on: all that its test asks for, or a share of them where a quick answer counts."""

import os
from typing import Final

USUAL: Final = 100
"""Of a law whose test does not say how many."""
_SHARE: Final = float(os.environ.get("USERSPLIT_TEST_EXAMPLES", "1"))


def examples(count: int) -> int:
    """Return how many of `count` examples to try in this run: USERSPLIT_TEST_EXAMPLES is the share, 1 by default."""
    return max(1, round(count * _SHARE))
