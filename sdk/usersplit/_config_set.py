"""All configs as of one moment: what a checker answers from until the next one is published."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from usersplit._compiled_bulk import BulkCheck
from usersplit._config import SplitTestConfig
from usersplit._documents import Config
from usersplit._overrides import EnvironmentOverrides, Overrides
from usersplit._user_group_config import UserGroupConfig

_NONE: Final[Mapping[str, EnvironmentOverrides]] = MappingProxyType({})


class ConfigSet:
    """Configs by their places; never changed, only replaced by the next one.

    Attributes:
        by_place: every config by its place.
        tests: split tests by key.
        user_groups: user groups by key.
        overrides: what QA decided, by the name of the environment.
        compiled_bulk: all tests as one check, once somebody asked for it.
    """

    __slots__ = ("by_place", "compiled_bulk", "overrides", "tests", "user_groups")

    def __init__(self, by_place: Mapping[str, Config], before: "ConfigSet | None" = None) -> None:
        self.by_place: Final = by_place
        self.tests: Final = {each.key: each for each in by_place.values() if isinstance(each, SplitTestConfig)}
        self.user_groups: Final = {each.key: each for each in by_place.values() if isinstance(each, UserGroupConfig)}
        overrides = next((each for each in by_place.values() if isinstance(each, Overrides)), None)
        self.overrides: Final = _NONE if overrides is None else overrides.environments
        # A service that asks for all tests at once will do so again: compiled anew here, in the background.
        earlier = None if before is None else before.compiled_bulk
        self.compiled_bulk: BulkCheck | None = None if earlier is None else BulkCheck(self.tests.values(), earlier)

    def bulk(self) -> BulkCheck:
        """Return all tests as one compiled check. The first call in a process compiles it, about 0.1 ms a test."""
        bulk = self.compiled_bulk
        if bulk is None:  # two threads may both compile; they make the same thing
            bulk = self.compiled_bulk = BulkCheck(self.tests.values())
        return bulk


class Published:
    """Holds the set of configs in force. A source replaces `current`; checkers look whether it is still the same."""

    __slots__ = ("current",)

    def __init__(self, current: ConfigSet) -> None:
        self.current = current
