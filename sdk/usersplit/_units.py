"""Who is asked about: a user or a guest; and how the visitor came: the environment."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import ClassVar, Final, Literal, TypeAlias

UnitType: TypeAlias = Literal["user", "device", "guest"]


def _state(self: object) -> list[object]:
    """Return the fields as `pickle` can keep them: what is read-only becomes a dictionary."""
    values = (getattr(self, each.name) for each in fields(self))  # type: ignore[arg-type] # of a dataclass
    return [dict(value) if type(value) is MappingProxyType else value for value in values]


_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class User:
    """A user who is logged in.

    Nothing is checked here, for a page must not fail because of an experiment: whatever is wrong with a user shows as
    the reason of a check.

    Attributes:
        id: the user's id; hits carry it as text.
        split_group: the number 1..2400 that was drawn when the user registered, and is kept with the profile.
        attributes: the profile, as the user filters of conditions read it, e.g. `{"country_id": 50}`.
        device_id: the device the user is on, where it is known.
    """

    id: str | int
    split_group: int
    attributes: Mapping[str, object] = field(default_factory=lambda: _NOTHING)
    device_id: str = ""

    __getstate__ = _state  # a task for another process may carry a user along


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Guest:
    """A visitor who is not logged in. Only environment filters can be met by one.

    Attributes:
        split_group: the number 1..2400 from the guest's cookie (or, in an app, the device's storage); it is drawn for
            the browser and has nothing to do with the group of a user who logs in there.
        id: the guest's id. A guest without one is known by `device_id`, and is then a unit of the type "device".
        device_id: the device, where it is known: guests of mobile apps have one.
        attributes: empty: a guest has no profile.
    """

    attributes: ClassVar[Mapping[str, object]] = _NOTHING

    split_group: int
    id: str | int = ""
    device_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Environment:
    """How the visitor came, as environment filters read it. Make one per request.

    Not to be mixed up with the place where the service runs ("production", "devel"): that belongs to the client, see
    `environment_name` of `connect`. A field left empty is unknown, and an unknown value meets no filter.

    Attributes:
        platform: "web", "ios", "android" … (the filter `platform`; hits carry it).
        country: the country the visitor is in now (the filter `country`; hits carry it).
        user_agent: the filter `user_agent`.
        app_version: the filter `app_version`.
        attributes: values of further environment filters by their names; they win over the fields above.
        supported_tests: the keys of the tests that the visitor's client supports, as the client sent them; best a set.
            None: it sent none. Only tests of the types "client" and "mixed" ask for it.
    """

    platform: str = ""
    country: str = ""
    user_agent: str = ""
    app_version: str = ""
    attributes: Mapping[str, object] = field(default_factory=lambda: _NOTHING)
    supported_tests: Collection[str] | None = None
    _filter_values: Mapping[str, object] | None = field(default=None, init=False, repr=False)

    __getstate__ = _state

    def filter_values(self) -> Mapping[str, object]:
        """Return what environment filters read, by the filters' names. Made once: a page checks many tests."""
        if self._filter_values is not None:
            return self._filter_values
        named = (
            ("platform", self.platform),
            ("country", self.country),
            ("user_agent", self.user_agent),
            ("app_version", self.app_version),
        )
        values: dict[str, object] = {}
        with suppress(Exception):  # of what fails nothing is known, as of a profile
            values.update((name, value) for name, value in named if value)
        with suppress(Exception):
            values.update(self.attributes)
        # Published whole, so that a second thread never reads a half-filled mapping.
        object.__setattr__(self, "_filter_values", values)
        return values


Unit: TypeAlias = User | Guest


def unit_identity(unit: Unit) -> tuple[UnitType, object]:
    """Return the type and the id under which hits count `unit`."""
    if isinstance(unit, User):
        return "user", unit.id
    if unit.id == "" and unit.device_id:
        return "device", unit.device_id
    return "guest", unit.id
