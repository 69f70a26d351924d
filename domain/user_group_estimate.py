"""What may be done to the estimate of a user group: record it, record why there is none, ask for it anew.

Conditions are in force at once, so nothing waits for the estimate; it says what they brought. New conditions wait to be
counted without being asked for.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import assert_never

from domain.errors import EstimateSuperseded, NoConditions
from domain.people import Actor
from domain.user_group import UserGroup, UserGroupStatus
from domain.user_group_life import require_manager
from events.user_group_estimate_facts import (
    SharedWithTest,
    UserGroupEstimateAsked,
    UserGroupEstimated,
    UserGroupEstimateFact,
    UserGroupEstimateFailed,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupEstimate:
    """What is known of counting one user group.

    Attributes:
        answered: the settings group that was counted last, or could not be; 0 while there was none.
        asked: the settings group that somebody asked to count anew since then; 0 for none.
    """

    answered: int = 0
    asked: int = 0


def load(history: Iterable[UserGroupEstimateFact]) -> GroupEstimate | None:
    """Return the state after `history`, None if nothing ever happened."""
    state: GroupEstimate | None = None
    for fact in history:
        state = evolve(state, fact)
    return state


def evolve(state: GroupEstimate | None, fact: UserGroupEstimateFact) -> GroupEstimate:
    """Return the state after `fact`. Total: it never raises."""
    estimate = state or GroupEstimate()
    match fact:
        case UserGroupEstimateAsked():
            return replace(estimate, asked=fact.settings_group)
        case UserGroupEstimated() | UserGroupEstimateFailed():
            return GroupEstimate(answered=fact.settings_group)
        case _:
            assert_never(fact)


def waiting(group: UserGroup | None, estimate: GroupEstimate | None) -> int:
    """Return the settings group that waits to be counted, 0 if none does."""
    if group is None or group.status is UserGroupStatus.DISCARDED or group.current is None:
        return 0
    known = estimate or GroupEstimate()
    number = group.current.settings_group
    return number if known.answered != number or known.asked == number else 0


def ask(group: UserGroup | None, key: str, actor: Actor) -> tuple[UserGroupEstimateAsked, ...]:
    """Ask to count the user group anew.

    Raises:
        UserGroupNotFound, NotAManager: see `domain.user_group_life.require_manager`.
        NoConditions: there is nobody to count yet.
    """
    current = require_manager(group, key, actor).current
    if current is None:
        raise NoConditions(key)
    return (UserGroupEstimateAsked(key=key, settings_group=current.settings_group),)


def estimated(  # noqa: PLR0913 - the fields of the fact, by name
    group: UserGroup | None,
    estimate: GroupEstimate | None,
    key: str,
    *,
    settings_group: int,
    as_of_position: int,
    users: int,
    shared: tuple[SharedWithTest, ...],
    assumed_filters: tuple[str, ...],
) -> tuple[UserGroupEstimated, ...]:
    """Record what was counted.

    Raises:
        EstimateSuperseded: these conditions do not wait to be counted (any more).
    """
    _require_waiting(group, estimate, key, settings_group)
    return (
        UserGroupEstimated(
            key=key,
            settings_group=settings_group,
            as_of_position=as_of_position,
            users=users,
            shared=shared,
            assumed_filters=assumed_filters,
        ),
    )


def estimate_failed(
    group: UserGroup | None, estimate: GroupEstimate | None, key: str, *, settings_group: int, reason: str
) -> tuple[UserGroupEstimateFailed, ...]:
    """Record why nobody could be counted.

    Raises:
        EstimateSuperseded: these conditions do not wait to be counted (any more).
    """
    _require_waiting(group, estimate, key, settings_group)
    said = reason.strip() or "no reason was given"
    return (UserGroupEstimateFailed(key=key, settings_group=settings_group, reason=said),)


def _require_waiting(group: UserGroup | None, estimate: GroupEstimate | None, key: str, settings_group: int) -> None:
    if waiting(group, estimate) != settings_group:
        raise EstimateSuperseded(key, settings_group)
