"""All split tests in a few compiled functions: what one unit gets of every test, for less than asking one by one."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias, cast

from usersplit._compiled_check import CLIENT_TYPES, TEST_USER
from usersplit._config import SplitTestConfig
from usersplit._split_groups import SPLIT_GROUPS
from usersplit._units import Environment, Guest, User
from usersplit.conditions._compile import NOBODY, SHARED
from usersplit.conditions._compile_fused import FusedExpressions
from usersplit.conditions._source import Constants, compiled

# Few enough that compiling one part never holds up the threads that check, and that a changed test costs little.
TESTS_PER_PART: Final = 32

_PartCheck: TypeAlias = Callable[[Mapping[str, object], Mapping[str, object], int, int, dict[str, str]], None]

_PLAIN_MAPPINGS: Final = (dict, MappingProxyType)


class _Part:
    """Some tests and their compiled check."""

    __slots__ = ("check", "configs", "identity")

    def __init__(self, configs: tuple[SplitTestConfig, ...]) -> None:
        self.configs: Final = configs  # kept, so that no other object can get the same identity
        # By identity: configs are replaced, never changed, and comparing them would compare their tables.
        self.identity: Final = tuple(map(id, configs))
        self.check: Final = _compile_part(configs)


class BulkCheck:
    """What every test gives one unit. Tests that give nobody a variant are left out when it is made.

    Args:
        tests: the configs of all tests.
        earlier: one that was made before, whose unchanged parts are used again.

    Attributes:
        parts: the tests in groups, each compiled by itself.
        singly: the keys of tests that have to be asked one by one: they need more than the unit and the environment.
    """

    __slots__ = ("_checks", "parts", "singly")

    def __init__(self, tests: Iterable[SplitTestConfig], earlier: "BulkCheck | None" = None) -> None:
        giving = [config for config in tests if config.may_give_variants]
        self.singly: Final = tuple(config.key for config in giving if config.type in CLIENT_TYPES)
        fused = [config for config in giving if config.type not in CLIENT_TYPES]
        known = {} if earlier is None else {part.identity: part for part in earlier.parts}
        self.parts: Final[tuple[_Part, ...]] = tuple(
            known.get(tuple(map(id, configs))) or _Part(configs)
            for start in range(0, len(fused), TESTS_PER_PART)
            if (configs := tuple(fused[start : start + TESTS_PER_PART]))
        )
        self._checks: Final = [part.check for part in self.parts]

    def variants(self, unit: object, environment: object, now_ns: Callable[[], int]) -> dict[str, str] | None:
        """Return the variants by key, of all tests but those to be asked singly; None if all have to be.

        May raise what the objects it is given raise.
        """
        if type(unit) is User:
            profile = unit.attributes
        elif type(unit) is Guest:
            profile = NOBODY
        else:
            return None
        if environment is None:
            visit = NOBODY
        elif type(environment) is Environment:
            visit = environment.filter_values()
        else:
            return None
        group = unit.split_group
        if type(group) is not int or not 0 < group <= SPLIT_GROUPS or type(profile) not in _PLAIN_MAPPINGS:
            return None
        found: dict[str, str] = {}
        now = now_ns()
        for check in self._checks:
            check(profile, visit, group, now, found)
        return found


def _compile_part(configs: tuple[SplitTestConfig, ...]) -> _PartCheck:
    constants = Constants()
    fused = FusedExpressions(constants, {"user": "profile", "environment": "visit"})
    lines: list[str] = []
    for config in configs:
        lines += _lines(config, fused, constants)
    body = [*fused.reading(), *lines, "return"]
    return cast("_PartCheck", compiled("profile, visit, group, now, found", body, constants, SHARED))


def _lines(config: SplitTestConfig, fused: FusedExpressions, constants: Constants) -> list[str]:
    key = constants.name(config.key)
    conditions = [] if config.conditions.is_everybody else [fused.expression(config.conditions.root)]
    if config.status == "finished":
        given = f"found[{key}] = {constants.name(config.result)}"
        if config.result_scope == "worldwide" or not conditions:
            return [given]
        return [f"if {conditions[0]}:", f" {given}"]
    # The conditions first: with its attributes read, a leaf costs less than a look into the table.
    tests = [*conditions, f"(index := {constants.name(config.variant_by_group)}[group])"]
    if config.status == "in_dev":
        tests.insert(0, fused.expression(TEST_USER.root))
    else:
        starts_at, ends_at = constants.name(config.starts_at_ns), constants.name(config.ends_at_ns)
        tests.append(f"{starts_at} <= now < {ends_at}")
    return [
        f"if {' and '.join(tests)}:",
        f" found[{key}] = {constants.name(config.variants)}[index]",
    ]
