"""The facts of a user group's life. What holds for those of split tests (`events.facts`) holds for them."""

from dataclasses import dataclass
from typing import TypeAlias

from events.shared_facts import REGISTRY, FilterUsed, PropertyChange


@REGISTRY.register("UserGroupCreated", version=1)
@dataclass(frozen=True, slots=True, kw_only=True)
class UserGroupCreated:
    """Somebody created a user group; it is a Draft that its author, its managers and superusers see."""

    key: str
    name: str
    author: str
    managers: tuple[str, ...]
    description: str = ""


@REGISTRY.register("UserGroupEdited", version=1)
@dataclass(frozen=True, slots=True, kw_only=True)
class UserGroupEdited:
    """Its name or description were edited."""

    key: str
    changes: tuple[PropertyChange, ...]


@REGISTRY.register("UserGroupManagersChanged", version=1)
@dataclass(frozen=True, slots=True, kw_only=True)
class UserGroupManagersChanged:
    """The circle of its managers changed; `managers` is the whole circle after it."""

    key: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    managers: tuple[str, ...]


@REGISTRY.register("UserGroupConditionsChanged", version=1)
@dataclass(frozen=True, slots=True, kw_only=True)
class UserGroupConditionsChanged:
    """Other conditions came into force, as a new settings group. Nothing is drawn, so nothing waits to be prepared.

    Attributes:
        settings_group: its number within the user group: 1, 2, 3 …
        conditions: the boolean tree, JSON text exactly as it was given; `[]` is everybody.
        filters: the catalog's word on every filter the conditions use.
    """

    key: str
    settings_group: int
    conditions: str
    filters: tuple[FilterUsed, ...]


@REGISTRY.register("UserGroupActivated", version=1)
@dataclass(frozen=True, slots=True, kw_only=True)
class UserGroupActivated:
    """Draft or Off → Active: whoever meets the conditions is in it."""

    key: str


@REGISTRY.register("UserGroupSwitchedOff", version=1)
@dataclass(frozen=True, slots=True, kw_only=True)
class UserGroupSwitchedOff:
    """Active → Off: nobody is in it."""

    key: str


@REGISTRY.register("UserGroupDiscarded", version=1)
@dataclass(frozen=True, slots=True, kw_only=True)
class UserGroupDiscarded:
    """Draft or Off → gone; its key is free again."""

    key: str


UserGroupFact: TypeAlias = (
    UserGroupCreated
    | UserGroupEdited
    | UserGroupManagersChanged
    | UserGroupConditionsChanged
    | UserGroupActivated
    | UserGroupSwitchedOff
    | UserGroupDiscarded
)


def user_group_stream(key: str) -> str:
    """Return the name of the stream that holds the facts of the user group `key`."""
    return f"user_group/{key}"
