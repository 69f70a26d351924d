"""The question that an allocation asks of whoever knows the users: who meets these conditions, by split group?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.errors import RuleBroken
from domain.percents import ALL_GROUPS
from events.facts import FilterUsed


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """Who may take part in a test: its conditions as JSON text, and what the catalog said of their filters."""

    key: str
    conditions: str
    filters: tuple[FilterUsed, ...]


class AudienceNotCountable(RuleBroken):
    """These conditions cannot be counted; the preparation fails with this sentence as its reason."""

    def __init__(self, key: str, detail: str) -> None:
        super().__init__(f"the users of {key} cannot be counted: {detail}; change the conditions, or retry")


class CountingFailed(RuleBroken):
    """Whoever knows the users did not answer, or not in order; the preparation fails with this, and can be retried."""

    def __init__(self, key: str, detail: str) -> None:
        super().__init__(
            f"the users of {key} were not counted: {detail}; see that the users' database works, and retry"
        )


class SplitGroupOutOfRange(RuleBroken):
    """Users carry a split group that there is not; a draw over such counts would be wrong without a sign of it."""

    def __init__(self, lowest: int, highest: int) -> None:
        super().__init__(
            f"users are counted in split groups {lowest} to {highest}, but split groups are 1 to {ALL_GROUPS}; "
            "correct the users table, and retry"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedUsers:
    """Who meet the conditions of the test and of another one.

    Attributes:
        users: how many, by split group; a group that is missing has none.
        is_upper_bound: whether there may be fewer, because something that either test asks is taken to be met.
    """

    users: Mapping[int, int]
    is_upper_bound: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedUsers:
    """Users of a test, and those it shares with others. All are of one moment.

    Attributes:
        users: who meet its conditions, by split group; a group that is missing has none.
        shared: for each of the other tests, in their order. Where another test's conditions cannot be counted, all
            users are taken to be shared.
        assumed_filters: filters of the visit in the test's own conditions that are taken to be met, sorted: with any of
            them all numbers are upper bounds.
    """

    users: Mapping[int, int]
    shared: Sequence[SharedUsers]
    assumed_filters: tuple[str, ...] = ()


class AudienceCounts(Protocol):
    """Counts of users by split group. Split groups themselves play no part: all 2400 are asked for at once."""

    def counted(self, audience: Audience, others: Sequence[Audience]) -> CountedUsers | None:
        """Count the users of `audience`, and those shared with each of `others`; asked once for all of them.

        None: nobody knows, because no users are connected. An outage is not None: it raises whatever it raises.

        Raises:
            AudienceNotCountable: the users of `audience` cannot be counted.
        """
        ...


class NobodyCounted:
    """An `AudienceCounts` without users: tests overlap where their dates do, and no estimate is made."""

    def counted(self, audience: Audience, others: Sequence[Audience]) -> None:
        """Say that nobody knows."""
