"""What a user group is in numbers: who meets its conditions, and how many of them are in tests. Nothing is recorded.

The estimator records it; a preview shows it. Both take this one way, so that a preview never promises anything else.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from consumers.preparation_inputs import PreparationInputs
from domain.allocation.audience_counts import Audience, CountedUsers, SharedUsers
from events.shared_facts import FilterUsed
from events.user_group_estimate_facts import SharedWithTest, SharedWithVariant
from projections.current_settings import CurrentSettings

_FOR_EVER: Final = datetime.max.replace(tzinfo=UTC)
"""A user group has no end: it meets every test that has not ended yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedGroup:
    """What the fact of an estimate says, see `events.user_group_estimate_facts.UserGroupEstimated`."""

    as_of_position: int
    users: int
    shared: tuple[SharedWithTest, ...]
    assumed_filters: tuple[str, ...]


class UserGroupCounting:
    """Counts user groups.

    Args:
        inputs: reads the tests and counts users.
        now: the clock.
    """

    def __init__(self, inputs: PreparationInputs, *, now: Callable[[], datetime]) -> None:
        self._inputs = inputs
        self._now = now

    def count(self, key: str, *, conditions: str, filters: tuple[FilterUsed, ...]) -> CountedGroup | None:
        """Return what a user group with these conditions is now; None where nobody counts. Blocks while counting.

        Raises:
            RuleBroken: the users cannot be counted, or were not: see `domain.allocation.audience_counts`.
        """
        # A test may have the user group's key: they never meet, and it is one of the tests.
        tests = self._inputs.neighbours("", starts_at=self._now(), ends_at=_FOR_EVER)
        audience = Audience(key=key, conditions=conditions, filters=filters)
        counted = self._inputs.counted(audience, tests.settings)
        if counted is None:
            return None
        return CountedGroup(
            as_of_position=tests.as_of_position,
            users=sum(counted.users.values()),
            shared=_shared(tests.settings, counted),
            assumed_filters=counted.assumed_filters,
        )


def _shared(settings: Sequence[CurrentSettings], counted: CountedUsers) -> tuple[SharedWithTest, ...]:
    found = [_with_test(each, users) for each, users in zip(settings, counted.shared, strict=True)]
    return tuple(sorted((each for each in found if each.users), key=lambda each: (-each.users, each.key)))


def _with_test(settings: CurrentSettings, shared: SharedUsers) -> SharedWithTest:
    by_variant = tuple(
        SharedWithVariant(variant=variant.name, users=sum(shared.users.get(group, 0) for group in variant.split_groups))
        for variant in settings.variants
    )
    users = sum(each.users for each in by_variant)
    if settings.status == "draft":
        # The fact will be read by people who must not know of other people's Drafts.
        return SharedWithTest(key="", settings_group=0, users=users, is_upper_bound=shared.is_upper_bound)
    return SharedWithTest(
        key=settings.key,
        settings_group=settings.settings_group,
        users=users,
        their_users=settings.users,
        is_upper_bound=shared.is_upper_bound,
        by_variant=tuple(each for each in by_variant if each.users),
    )
