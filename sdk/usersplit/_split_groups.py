"""Split groups: the number 1..2400 that every user carries, by which variants divide the audience.

2400 makes 20 steps of 5 percent, each of 120 groups, and 120 divides by 2, 3, 4, 5, 6, 8, 10 and 12.
"""

import re
import secrets
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Final

from usersplit._errors import InexactPercent, InvalidSplitGroup

SPLIT_GROUPS: Final = 2400
GROUPS_PER_PERCENT: Final = 24

_COOKIE: Final = re.compile(r"[1-9][0-9]{0,3}", re.ASCII)


def draw_split_group(randbelow: Callable[[int], int] = secrets.randbelow) -> int:
    """Return a split group for a new user or a new guest: keep it with them for good.

    Args:
        randbelow: given n, returns a whole number 0..n-1, each equally likely.
    """
    return randbelow(SPLIT_GROUPS) + 1


def is_split_group(value: object) -> bool:
    """Tell whether `value` is a split group: a whole number (True is none) from 1 to 2400."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= SPLIT_GROUPS


def check_split_group(value: object) -> int:
    """Return `value` if it is a split group.

    Raises:
        InvalidSplitGroup: it is none.
    """
    if isinstance(value, int) and is_split_group(value):
        return value
    raise InvalidSplitGroup(f"A split group is a whole number from 1 to {SPLIT_GROUPS}, not {value!r}.")


def split_groups_of_percent(percent: Decimal | Fraction | int | str) -> int:
    """Return how many split groups make `percent`, exactly: 10 percent are 240 groups.

    Raises:
        InexactPercent: it is no number from 0 to 100, or no whole number of groups.
    """
    try:
        share = Fraction(percent)
    except (ValueError, TypeError, OverflowError, ZeroDivisionError) as error:
        raise InexactPercent(f"{percent!r} is no percent; give a number from 0 to 100.") from error
    groups = share * GROUPS_PER_PERCENT
    if not 0 <= share <= 100:  # noqa: PLR2004 - percents end at 100
        raise InexactPercent(f"{percent} is no percent; give a number from 0 to 100.")
    if groups.denominator != 1:
        below = groups.numerator // groups.denominator
        raise InexactPercent(
            f"{percent} percent is no whole number of split groups; "
            f"{below} groups are {float(percent_of_split_groups(below)):.4f} percent."
        )
    return groups.numerator


def percent_of_split_groups(groups: int) -> Fraction:
    """Return the percent that `groups` split groups make, as an exact fraction."""
    return Fraction(groups, GROUPS_PER_PERCENT)


def split_group_from_cookie(text: str | None) -> int | None:
    """Return the split group in a guest's cookie, or None if there is none: then draw one and set the cookie.

    A cookie comes from outside: anything but a plain number from 1 to 2400 counts as no cookie.
    """
    if not isinstance(text, str) or _COOKIE.fullmatch(text) is None:
        return None
    group = int(text)
    return group if group <= SPLIT_GROUPS else None


def split_group_to_cookie(split_group: int) -> str:
    """Return the text of a guest's cookie.

    Raises:
        InvalidSplitGroup: `split_group` is none.
    """
    return str(check_split_group(split_group))
