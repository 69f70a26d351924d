"""One check of a split test, in C."""

from collections.abc import Callable
from typing import Final, TypeAlias, final

INTERFACE: Final = 1
"""Changes with the meaning of arguments and answers: who uses this has to know the number."""

Step: TypeAlias = tuple[bool, str, str, str, object, int, int]
"""A leaf of the conditions, and where it leads to.

Whether it asks the environment, its filter's type, operator, the filter's name, the value (a frozenset for `in` and
`not_in`); the number of the step that comes next where the leaf is met, and where it is not: that of an earlier step,
or -1 for "the conditions are met", -2 for "they are not".
"""

@final
class DrawnCheck:
    """The check of a test that gives variants by split group. Immutable; answers from any thread.

    Args:
        otherwise: the Python check. It is asked whatever is not plain, and decides everything then.
        user: the type of users, who have the attributes `attributes` and `split_group`.
        guest: the type of guests, who have them too.
        environment: the type of environments; what is known of one is its `_filter_values`, if that is a dict.
        nobody: the `attributes` of who has no profile.
        steps: the leaves; the last one is asked first. None at all: everybody meets the conditions.
        variants: names; the first one is for none.
        variant_by_group: for each split group 0..2400, the index in `variants`; 0 is no variant.
        groups_first: so few split groups have a variant that it pays to look there before the conditions are asked.
        starts_at: the first moment, by the clock; None is always, and `ends_at` None then too.
        ends_at: the first moment no more.
        now: the clock.

    Raises:
        TypeError: an argument is of another type.
        ValueError: an argument is none that this release can answer from: leave the test to the Python check.
    """

    def __new__(
        cls,
        *,
        otherwise: Callable[[object, object], str | None],
        user: type,
        guest: type,
        environment: type,
        nobody: object,
        steps: tuple[Step, ...],
        variants: tuple[str, ...],
        variant_by_group: bytes,
        groups_first: bool,
        starts_at: int | None,
        ends_at: int | None,
        now: Callable[[], int],
    ) -> DrawnCheck: ...
    def answer(self, unit: object, environment: object, /) -> str | None:
        """Return what the Python check returns: the variant's name, None, or an empty text."""
