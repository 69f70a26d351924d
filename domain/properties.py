"""What may be done to a test's properties and its circle of managers: decisions, each facts or one named error."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from domain.access import require_manager
from domain.circle import changed_circle, first_circle
from domain.errors import KeyTaken, NothingChanges, WrongProperty
from domain.keys import check_key, checked_line, checked_name, checked_text, checked_type
from domain.people import Actor
from domain.split_test import SplitTest, Status
from events.facts import ManagersChanged, PropertiesEdited, PropertyChange, SplitTestCreated

EDITABLE = ("name", "description", "type", "issue_key", "chat_room")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSplitTest:
    """What somebody asks to be created."""

    key: str
    name: str
    description: str = ""
    type: str = "web"
    issue_key: str = ""
    chat_room: str = ""
    managers: Sequence[str] = ()


def create(state: SplitTest | None, actor: Actor, wanted: NewSplitTest) -> tuple[SplitTestCreated, ...]:
    """Create a Draft. Anyone may; the author is the first of its managers. A discarded key is free again.

    Raises:
        WrongKey: the key cannot be one.
        KeyTaken: there is a test with this key.
        NameMissing: the name is empty or has more than one line.
        WrongType: the type is not one lower-case word.
        WrongText, NotOneLine: another text has characters that it may not have.
        TextTooLong: one of the texts, or a manager's name, is too long.
        WrongManagerName: a manager's name is empty.
        TooManyManagers: there are more than `MAX_MANAGERS`.
    """
    check_key(wanted.key)
    if state is not None and state.status is not Status.DISCARDED:
        raise KeyTaken(wanted.key)
    managers = first_circle(actor.name, wanted.managers)
    created = SplitTestCreated(
        key=wanted.key,
        name=checked_name(wanted.name),
        author=actor.name,
        managers=managers,
        description=checked_text(wanted.description, "description"),
        type=checked_type(wanted.type),
        issue_key=checked_line(wanted.issue_key, "issue_key"),
        chat_room=checked_line(wanted.chat_room, "chat_room"),
    )
    return (created,)


def edit_properties(
    state: SplitTest | None, key: str, actor: Actor, changes: Mapping[str, str]
) -> tuple[PropertiesEdited, ...]:
    """Edit some of `EDITABLE`, in any status. What stays the same is not recorded as a change.

    Raises:
        SplitTestNotFound, NotAManager: see `domain.access`.
        WrongProperty: a name that is not in `EDITABLE`, or a value that is not text.
        NameMissing, WrongType, WrongText, NotOneLine, TextTooLong: see `create`.
        NothingChanges: all of them have these values already.
    """
    test = require_manager(state, key, actor)
    before = {
        "name": test.name,
        "description": test.description,
        "type": test.type,
        "issue_key": test.issue_key,
        "chat_room": test.chat_room,
    }
    recorded: list[PropertyChange] = []
    for name, value in changes.items():
        after = _checked(name, value)
        if after != before[name]:
            recorded.append(PropertyChange(name=name, before=before[name], after=after))
    if not recorded:
        raise NothingChanges(key, "the properties")
    return (PropertiesEdited(key=key, changes=tuple(recorded)),)


def change_managers(
    state: SplitTest | None, key: str, actor: Actor, *, add: Iterable[str] = (), remove: Iterable[str] = ()
) -> tuple[ManagersChanged, ...]:
    """Add people to the circle of managers and remove others, in one step, in any status.

    Raises:
        SplitTestNotFound, NotAManager: see `domain.access`.
        WrongManagerName, TextTooLong: an added name is empty, or too long.
        TooManyManagers: more than `MAX_MANAGERS` would be in the circle, and some of them new.
        NoSuchManager: a removed one is not in the circle.
        LastManager: nobody would remain.
        NothingChanges: the circle would be the same.
    """
    test = require_manager(state, key, actor)
    change = changed_circle(key, test.managers, add=add, remove=remove)
    return (ManagersChanged(key=key, added=change.added, removed=change.removed, managers=change.managers),)


def _checked(name: str, value: object) -> str:
    if name not in EDITABLE or not isinstance(value, str):
        raise WrongProperty(name, EDITABLE)
    if name == "name":
        return checked_name(value)
    if name == "type":
        return checked_type(value)
    return checked_text(value, name) if name == "description" else checked_line(value, name)
