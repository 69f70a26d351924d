"""Conditions of a test that only code can check: a class of the service, named as the test is.

A heavy condition (a query), or one that no other test will need, is no filter. The service writes a class whose name is
the test's key in CamelCase, in a module it names once, with a static method `check_additional_conditions`. It is asked
last, of units that would get a variant: of control too, or the arms would be different audiences.
"""

import importlib
import inspect
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final, Protocol, TypeAlias

from usersplit._units import Environment, Unit

_METHOD: Final = "check_additional_conditions"
_SEPARATORS: Final = re.compile(r"[._-]+")

AdditionalCheck: TypeAlias = Callable[[Unit, Environment | None], object]


class AdditionalConditions(Protocol):
    """What a class of additional conditions has to have."""

    @staticmethod
    def check_additional_conditions(user: Unit, environment: Environment | None) -> bool:
        """Answer whether the unit may get a variant of the test. An error counts as no, and is reported."""
        ...


def class_name_of(key: str) -> str:
    """Return the name of the class of a test: `green_button`, `green-button` and `green.button` are `GreenButton`."""
    return "".join(part[:1].upper() + part[1:] for part in _SEPARATORS.split(key))


class AdditionalChecks:
    """The classes of one module, found by the keys of tests.

    Raises:
        ImportError: there is no module of the given name.
    """

    __slots__ = ("_by_key", "_module")

    def __init__(self, module: ModuleType | str | None) -> None:
        self._module: Final = importlib.import_module(module) if isinstance(module, str) else module
        self._by_key: dict[str, AdditionalCheck | None] = {}

    @property
    def exist(self) -> bool:
        """Whether the service named a module."""
        return self._module is not None

    def of(self, key: str) -> AdditionalCheck | None:
        """Return the check of the test `key`, None if there is no class with one. For keys of tests that exist."""
        if key not in self._by_key:
            self._by_key[key] = self._found(key)
        return self._by_key[key]

    def _found(self, key: str) -> AdditionalCheck | None:
        found = getattr(self._module, class_name_of(key), None)
        # A class of names of another test whose key differs in its separators only is not this one's.
        if not inspect.isclass(found) or getattr(found, "KEY", key) != key:
            return None
        method = inspect.getattr_static(found, _METHOD, None)
        if method is None:
            return None
        return _of_new_instance(found) if inspect.isfunction(method) else getattr(found, _METHOD)


def _of_new_instance(found: type[Any]) -> AdditionalCheck:
    # A plain method: its object is made at each check, so that an error in making it is one of the check.
    def check(user: Unit, environment: Environment | None) -> object:
        return getattr(found(), _METHOD)(user, environment)

    return check
