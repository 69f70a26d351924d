"""What QA decided for single units: forced variants, and tests switched off. Asked before everything else.

The format of the document is described in docs/config-documents.md.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from usersplit._config_fields import shown, whole_number
from usersplit._errors import MalformedConfig
from usersplit._hit_record import text_of
from usersplit._units import Unit, User

OVERRIDES_KIND: Final = "overrides"
OVERRIDES_KEY: Final = "~overrides"

_UNIT_TYPES: Final = ("user", "device", "guest")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitOverrides:
    """What QA decided for one unit.

    Attributes:
        forced: variants by the keys of tests; None forces the unit out of the test.
        enabled: None, or the only keys of tests that the unit gets variants of besides the forced ones.
    """

    forced: Mapping[str, str | None]
    enabled: frozenset[str] | None


class EnvironmentOverrides:
    """The overrides of one environment, such as production.

    A unit may have several: a user is on a device. Those of the user come before those of the device.
    """

    __slots__ = ("_by_type",)

    def __init__(self, by_unit: Mapping[tuple[str, str], UnitOverrides]) -> None:
        self._by_type: dict[str, dict[object, UnitOverrides]] = {unit_type: {} for unit_type in _UNIT_TYPES}
        for (unit_type, unit_id), overrides in by_unit.items():
            self._by_type[unit_type][unit_id] = overrides
            if unit_id.isascii() and unit_id.isdecimal() and str(int(unit_id[:19])) == unit_id:
                self._by_type[unit_type][int(unit_id)] = overrides  # what services pass, found without making text

    def touch(self, unit: Unit) -> bool:
        """Answer whether there is an override for this unit. May raise what a hostile unit raises."""
        return next(self._of(unit), None) is not None

    def forced(self, key: str, unit: Unit) -> tuple[bool, str | None]:
        """Answer whether the unit is forced in the test, and into which variant; None is out of it."""
        for overrides in self._of(unit):
            if key in overrides.forced:
                return True, overrides.forced[key]
        return False, None

    def disable(self, key: str, unit: Unit) -> bool:
        """Answer whether the test is switched off for the unit."""
        return any(overrides.enabled is not None and key not in overrides.enabled for overrides in self._of(unit))

    def _of(self, unit: Unit) -> Iterator[UnitOverrides]:
        unit_id = unit.id
        if unit_id != "":
            by_id = self._by_type["user" if isinstance(unit, User) else "guest"]
            if by_id:
                found = by_id.get(unit_id if type(unit_id) is int or type(unit_id) is str else text_of(unit_id))
                if found is not None:
                    yield found
        if unit.device_id:
            found = self._by_type["device"].get(text_of(unit.device_id))
            if found is not None:
                yield found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Overrides:
    """All overrides, of all environments.

    Attributes:
        position: of the fact that last changed the document.
        environments: the overrides by the name of the environment.
    """

    key: str = OVERRIDES_KEY
    position: int
    environments: Mapping[str, EnvironmentOverrides]


def overrides_from_document(document: Mapping[str, Any]) -> Overrides:
    """Return the overrides in a decoded document, whose format, kind and key were looked at already.

    Units of a type that this SDK does not know are passed over: a newer writer may add some.

    Raises:
        MalformedConfig: it is not what docs/config-documents.md describes.
    """
    position = whole_number(document, "position", OVERRIDES_KEY)
    environments = _object(document.get("environments"), "environments")
    return Overrides(
        position=position,
        environments=MappingProxyType({name: _environment(declared) for name, declared in environments.items()}),
    )


def _environment(declared: object) -> EnvironmentOverrides:
    fields = _object(declared, "an environment")
    forced = {unit: _forced(keys) for unit, keys in _object(fields.get("forced", {}), "forced").items()}
    disabled = {unit: _enabled(given) for unit, given in _object(fields.get("disabled", {}), "disabled").items()}
    by_unit: dict[tuple[str, str], UnitOverrides] = {}
    for unit in forced.keys() | disabled.keys():
        unit_type, _, unit_id = unit.partition(":")
        if unit_type in _UNIT_TYPES and unit_id:
            by_unit[unit_type, unit_id] = UnitOverrides(forced=forced.get(unit, {}), enabled=disabled.get(unit))
    return EnvironmentOverrides(by_unit)


def _forced(declared: object) -> dict[str, str | None]:
    variants = _object(declared, "the forced variants of a unit")
    for variant in variants.values():
        if variant is not None and (not isinstance(variant, str) or not variant):
            raise MalformedConfig(f"The overrides force the variant {shown(variant)}; it must be a name or null.")
    return variants


def _enabled(declared: object) -> frozenset[str]:
    keys = _object(declared, "a disabled unit").get("enabled", [])
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise MalformedConfig(f"The overrides need a list of keys as enabled, not {shown(keys)}.")
    return frozenset(keys)


def _object(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedConfig(f"The overrides need an object as {name}, not {shown(value)}.")
    return value
