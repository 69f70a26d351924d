"""The facts of counting a user group: who meets its conditions, and how many of them are in tests.

They have a stream of their own beside the user group's. Counting ends whenever it ends: in the same stream it would
come between what a manager saw and what they do next, and refuse them for a conflict that is none.
"""

from dataclasses import dataclass
from typing import TypeAlias

from events.shared_facts import REGISTRY


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedWithVariant:
    """How many users of a user group carry a split group of one variant of a test and meet the test's conditions."""

    variant: str
    users: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedWithTest:
    """How many users of a user group are in a test too.

    `key` is empty, and `settings_group` 0, where the test was a Draft: its managers alone may know of it.

    Attributes:
        users: who meet the conditions of both and carry one of the test's split groups.
        their_users: users of the test, as its own preparation estimated them; None where it did not.
        is_upper_bound: whether fewer may be shared, because a filter of the visit in either's conditions has no column
            in the users table, or because the test's conditions could not be counted.
        by_variant: variants with users, in the test's order; empty for a Draft.
    """

    key: str
    settings_group: int
    users: int
    their_users: int | None = None
    is_upper_bound: bool = False
    by_variant: tuple[SharedWithVariant, ...] = ()


@REGISTRY.register("UserGroupEstimated", version=1)
@dataclass(frozen=True, slots=True, kw_only=True)
class UserGroupEstimated:
    """The users of a user group were counted, and those of them who are in tests that are not over.

    Attributes:
        settings_group: the number of the conditions that were counted.
        as_of_position: the position of the event log whose tests were considered.
        users: who meet the conditions.
        shared: with each test, the most users first; tests that share nobody are left out.
        assumed_filters: filters of the visit that no column of the users table holds, taken to be met by everybody:
            with any of them the numbers are upper bounds.
    """

    key: str
    settings_group: int
    as_of_position: int
    users: int
    shared: tuple[SharedWithTest, ...] = ()
    assumed_filters: tuple[str, ...] = ()


@REGISTRY.register("UserGroupEstimateFailed", version=1)
@dataclass(frozen=True, slots=True, kw_only=True)
class UserGroupEstimateFailed:
    """The users of a user group could not be counted. Who is in it does not depend on that, and it can be retried."""

    key: str
    settings_group: int
    reason: str


@REGISTRY.register("UserGroupEstimateAsked", version=1)
@dataclass(frozen=True, slots=True, kw_only=True)
class UserGroupEstimateAsked:
    """A manager asked to count the user group anew: users and tests have moved on, or counting had failed."""

    key: str
    settings_group: int


UserGroupEstimateFact: TypeAlias = UserGroupEstimated | UserGroupEstimateFailed | UserGroupEstimateAsked


def user_group_estimate_stream(key: str) -> str:
    """Return the name of the stream that holds the facts of counting the user group `key`."""
    return f"user_group_estimate/{key}"
