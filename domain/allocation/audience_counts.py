"""The question that an allocation asks of whoever knows the users: who meets these conditions, by split group?"""

from collections.abc import Mapping
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


class AudienceCounts(Protocol):
    """Counts of users by split group. Split groups themselves play no part: all 2400 are asked for at once."""

    def users(self, audience: Audience) -> Mapping[int, int] | None:
        """Return how many users meet the conditions, by split group; a group that is missing has none.

        None: nobody knows, because no users are connected. An outage is not None: it raises whatever it raises.

        Raises:
            AudienceNotCountable: the conditions cannot be counted.
        """
        ...

    def shared_users(self, audience: Audience, other: Audience) -> Mapping[int, int] | None:
        """Return how many users meet the conditions of both, likewise. None, and what is raised: as for `users`."""
        ...


class NobodyCounted:
    """An `AudienceCounts` without users: tests overlap where their dates do, and no estimate is made."""

    def users(self, audience: Audience) -> None:
        """Say that nobody knows."""

    def shared_users(self, audience: Audience, other: Audience) -> None:
        """Say that nobody knows."""
