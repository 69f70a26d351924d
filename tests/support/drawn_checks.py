"""Checks in C, made without a config; units for them, and objects that act while they are looked at."""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from usersplit import Environment, Guest, User

Check: TypeAlias = Callable[[object, object], str | None]
COUNTRY: Final = (False, "integer", "in", "country_id", frozenset({50, 51}), -1, -2)


def new_check(**changes: Any) -> Check:
    """Return a check in C, of two variants, for ever."""
    import usersplit_speedups

    arguments: dict[str, Any] = {
        "otherwise": nothing,
        "user": User,
        "guest": Guest,
        "environment": Environment,
        "nobody": Guest.attributes,
        "steps": (COUNTRY,),
        "variants": ("", "control", "red"),
        "variant_by_group": bytes([0, *[1, 2] * 1200]),
        "groups_first": False,
        "starts_at": None,
        "ends_at": None,
        "now": lambda: 0,
    }
    return usersplit_speedups.DrawnCheck(**{**arguments, **changes}).answer


def nothing(_unit: object, _environment: object) -> str:
    return ""


def unexpected(unit: object, environment: object) -> str:
    raise AssertionError(unit, environment)


def user(attributes: Any, split_group: Any = 2) -> User:
    return User(id=1, split_group=split_group, attributes=attributes)


class Key:
    """Has the hash of an attribute's name, and does something where it is compared with one."""

    def __init__(self, name: str, act: Callable[[], object]) -> None:
        self._hash = hash(name)
        self._act = act
        self.is_armed = False

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self.is_armed and type(other) is str:
            self.is_armed = False
            try:
                self._act()
            finally:
                self.is_armed = True
        return False


def with_a_key(act: Callable[[], object]) -> dict[Any, object]:
    """Return a profile in which a look for the country comes upon a foreign key first."""
    key = Key("country_id", act)
    profile: dict[Any, object] = {key: None, "country_id": 50}
    key.is_armed = True
    return profile
