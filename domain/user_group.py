"""A user group as its facts tell it: conditions without variants. What may happen to it is decided elsewhere.

`evolve` is total, as that of split tests is.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from events import user_group_facts as facts
from events.shared_facts import FilterUsed
from events.user_group_facts import UserGroupFact


class UserGroupStatus(StrEnum):
    """Where a user group is in its life."""

    DRAFT = "draft"
    ACTIVE = "active"
    OFF = "off"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupConditions:
    """One immutable version of who is in a user group: a settings group without variants."""

    settings_group: int
    conditions: str
    filters: tuple[FilterUsed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UserGroup:
    """The state of a user group after all of its facts.

    Attributes:
        managers: the circle that may edit and steer it, in the order they joined.
        current: the conditions in force, None while there are none.
        last_settings_group: the highest number used so far; it goes on counting when a discarded key is used again.
    """

    key: str
    status: UserGroupStatus = UserGroupStatus.DRAFT
    name: str = ""
    description: str = ""
    author: str = ""
    managers: tuple[str, ...] = ()
    current: GroupConditions | None = None
    last_settings_group: int = 0


def load(history: Iterable[UserGroupFact]) -> UserGroup | None:
    """Return the state after `history`, None if nothing ever happened."""
    state: UserGroup | None = None
    for fact in history:
        state = evolve(state, fact)
    return state


def evolve(state: UserGroup | None, fact: UserGroupFact) -> UserGroup:  # noqa: PLR0911 - one case a fact
    """Return the state after `fact`. Total: it never raises."""
    group = state or UserGroup(key=fact.key)
    match fact:
        case facts.UserGroupCreated():
            return UserGroup(
                key=group.key,
                name=fact.name,
                description=fact.description,
                author=fact.author,
                managers=fact.managers,
                # A discarded key starts a new life, in which only these numbers go on.
                last_settings_group=group.last_settings_group,
            )
        case facts.UserGroupEdited():
            after = {change.name: change.after for change in fact.changes}
            return replace(
                group, name=after.get("name", group.name), description=after.get("description", group.description)
            )
        case facts.UserGroupManagersChanged():
            return replace(group, managers=fact.managers)
        case facts.UserGroupConditionsChanged():
            return _with_conditions(group, fact)
        case facts.UserGroupActivated():
            return replace(group, status=UserGroupStatus.ACTIVE)
        case facts.UserGroupSwitchedOff():
            return replace(group, status=UserGroupStatus.OFF)
        case facts.UserGroupDiscarded():
            return replace(group, status=UserGroupStatus.DISCARDED)
        case _:
            assert_never(fact)


def _with_conditions(group: UserGroup, fact: facts.UserGroupConditionsChanged) -> UserGroup:
    current = GroupConditions(settings_group=fact.settings_group, conditions=fact.conditions, filters=fact.filters)
    last = max(group.last_settings_group, fact.settings_group)
    return replace(group, current=current, last_settings_group=last)
