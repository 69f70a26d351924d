"""What may be done to a user group: create, edit, give conditions, Draft → Active ⇄ Off → discarded.

Each decision returns the facts of a step or raises one named error, and changes nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from domain.circle import changed_circle, first_circle
from domain.conditions_text import check_length, filters_in, same_conditions, text_of
from domain.errors import (
    KeyTaken,
    NoConditions,
    NotAManager,
    NothingChanges,
    TransitionNotAllowed,
    UserGroupNotFound,
    WrongProperty,
)
from domain.keys import check_key, checked_name, checked_text
from domain.people import Actor, can_manage, can_see
from domain.user_group import UserGroup, UserGroupStatus
from events.shared_facts import PropertyChange
from events.user_group_facts import (
    UserGroupActivated,
    UserGroupConditionsChanged,
    UserGroupCreated,
    UserGroupDiscarded,
    UserGroupEdited,
    UserGroupManagersChanged,
    UserGroupSwitchedOff,
)
from usersplit.conditions import Catalog, Conditions, parse

GroupAction: TypeAlias = Literal["activate", "switch off", "discard"]

EDITABLE = ("name", "description")

ALLOWED: Mapping[GroupAction, tuple[UserGroupStatus, ...]] = {
    "activate": (UserGroupStatus.DRAFT, UserGroupStatus.OFF),
    "switch off": (UserGroupStatus.ACTIVE,),
    "discard": (UserGroupStatus.DRAFT, UserGroupStatus.OFF),
}
"""The statuses from which each step can be taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUserGroup:
    """What somebody asks to be created."""

    key: str
    name: str
    description: str = ""
    managers: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedConditions:
    """Valid conditions, with their text: exactly the tree that was given.

    Raises:
        ConditionsTooLong: more text than can be laid out on every server.
    """

    conditions: Conditions
    text: str

    def __post_init__(self) -> None:
        """Check the length."""
        check_length(self.text)


def read_conditions(tree: object, catalog: Catalog) -> ProposedConditions:
    """Read a tree of conditions, decoded JSON; `[]` is everybody.

    Raises:
        usersplit.conditions.ConditionsError: the conditions break a rule.
        ConditionsTooLong: see `ProposedConditions`.
    """
    return ProposedConditions(conditions=parse(tree, catalog), text=text_of(tree))


def possible_actions(status: UserGroupStatus) -> tuple[GroupAction, ...]:
    """Return the steps that can be taken from `status`."""
    return tuple(action for action, statuses in ALLOWED.items() if status in statuses)


def require_visible(state: UserGroup | None, key: str, actor: Actor) -> UserGroup:
    """Return the user group that `actor` names.

    Raises:
        UserGroupNotFound: there is none, it was discarded, or it is a Draft that `actor` must not know of.
    """
    if state is None or state.status is UserGroupStatus.DISCARDED:
        raise UserGroupNotFound(key)
    if not can_see(actor, state.status, state.author, state.managers):
        raise UserGroupNotFound(key)
    return state


def require_manager(state: UserGroup | None, key: str, actor: Actor) -> UserGroup:
    """Return the user group that `actor` wants to edit or steer.

    Raises:
        UserGroupNotFound: see `require_visible`.
        NotAManager: `actor` sees it, but is neither one of its managers nor a superuser.
    """
    group = require_visible(state, key, actor)
    if not can_manage(actor, group.managers):
        raise NotAManager(key, actor.name, group.managers)
    return group


def create(state: UserGroup | None, actor: Actor, wanted: NewUserGroup) -> tuple[UserGroupCreated, ...]:
    """Create a Draft. The author is the first of its managers. A discarded key is free again.

    Raises:
        WrongKey: the key cannot be one.
        KeyTaken: there is a user group with this key.
        NameMissing: the name is empty or has more than one line.
        WrongText, TextTooLong: a text has characters that it may not have, or too many.
        WrongManagerName, TooManyManagers: see `domain.circle`.
    """
    check_key(wanted.key)
    if state is not None and state.status is not UserGroupStatus.DISCARDED:
        raise KeyTaken(wanted.key)
    created = UserGroupCreated(
        key=wanted.key,
        name=checked_name(wanted.name),
        author=actor.name,
        managers=first_circle(actor.name, wanted.managers),
        description=checked_text(wanted.description, "description"),
    )
    return (created,)


def edit(state: UserGroup | None, key: str, actor: Actor, changes: Mapping[str, str]) -> tuple[UserGroupEdited, ...]:
    """Edit name or description, in any status. What stays the same is not recorded as a change.

    Raises:
        UserGroupNotFound, NotAManager: see `require_manager`.
        WrongProperty: a name that is not in `EDITABLE`, or a value that is not text.
        NameMissing, WrongText, TextTooLong: see `create`.
        NothingChanges: all of them have these values already.
    """
    group = require_manager(state, key, actor)
    before = {"name": group.name, "description": group.description}
    recorded: list[PropertyChange] = []
    for name, value in changes.items():
        after = _checked(name, value)
        if after != before[name]:
            recorded.append(PropertyChange(name=name, before=before[name], after=after))
    if not recorded:
        raise NothingChanges(key, "the properties")
    return (UserGroupEdited(key=key, changes=tuple(recorded)),)


def change_managers(
    state: UserGroup | None, key: str, actor: Actor, *, add: Iterable[str] = (), remove: Iterable[str] = ()
) -> tuple[UserGroupManagersChanged, ...]:
    """Add people to the circle of managers and remove others, in one step, in any status.

    Raises:
        UserGroupNotFound, NotAManager: see `require_manager`.
        RuleBroken: see `domain.circle.changed_circle`.
    """
    group = require_manager(state, key, actor)
    change = changed_circle(key, group.managers, add=add, remove=remove)
    return (UserGroupManagersChanged(key=key, added=change.added, removed=change.removed, managers=change.managers),)


def change_conditions(
    state: UserGroup | None, key: str, actor: Actor, proposed: ProposedConditions
) -> tuple[UserGroupConditionsChanged, ...]:
    """Bring other conditions into force, as a new settings group, in any status.

    Raises:
        UserGroupNotFound, NotAManager: see `require_manager`.
        NothingChanges: the same conditions are in force.
    """
    group = require_manager(state, key, actor)
    filters = filters_in(proposed.conditions)
    current = group.current
    if current and current.filters == filters and same_conditions(current.conditions, proposed.text):
        raise NothingChanges(key, "the conditions")
    changed = UserGroupConditionsChanged(
        key=key, settings_group=group.last_settings_group + 1, conditions=proposed.text, filters=filters
    )
    return (changed,)


def activate(state: UserGroup | None, key: str, actor: Actor) -> tuple[UserGroupActivated, ...]:
    """Draft or Off → Active: whoever meets the conditions is in it.

    Raises:
        UserGroupNotFound, NotAManager: see `require_manager`.
        TransitionNotAllowed: it is active already.
        NoConditions: nobody said who is in it.
    """
    if _steer(state, key, actor, "activate").current is None:
        raise NoConditions(key)
    return (UserGroupActivated(key=key),)


def switch_off(state: UserGroup | None, key: str, actor: Actor) -> tuple[UserGroupSwitchedOff, ...]:
    """Active → Off: nobody is in it.

    Raises:
        UserGroupNotFound, NotAManager: see `require_manager`.
        TransitionNotAllowed: it is not active.
    """
    _steer(state, key, actor, "switch off")
    return (UserGroupSwitchedOff(key=key),)


def discard(state: UserGroup | None, key: str, actor: Actor) -> tuple[UserGroupDiscarded, ...]:
    """Draft or Off → gone; its key is free again. An active one is switched off first: no feature goes by a slip.

    Raises:
        UserGroupNotFound, NotAManager: see `require_manager`.
        TransitionNotAllowed: it is active.
    """
    _steer(state, key, actor, "discard")
    return (UserGroupDiscarded(key=key),)


def _checked(name: str, value: object) -> str:
    if name not in EDITABLE or not isinstance(value, str):
        raise WrongProperty(name, EDITABLE)
    return checked_name(value) if name == "name" else checked_text(value, name)


def _steer(state: UserGroup | None, key: str, actor: Actor, action: GroupAction) -> UserGroup:
    group = require_manager(state, key, actor)
    if group.status not in ALLOWED[action]:
        raise TransitionNotAllowed(key, action, group.status.title(), possible_actions(group.status))
    return group
