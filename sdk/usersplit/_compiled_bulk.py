"""All split tests in a few compiled functions: what one unit gets of every test, for less than asking one by one."""

import math
from collections.abc import Callable, Iterable, Sequence
from types import MappingProxyType
from typing import Final, TypeAlias, cast

from usersplit._compiled_check import CLIENT_TYPES, TEST_USER, has_few_groups
from usersplit._config import SplitTestConfig
from usersplit._split_groups import SPLIT_GROUPS
from usersplit._units import Environment, Guest, User
from usersplit.conditions._compile import NOBODY, SHARED
from usersplit.conditions._compile_fused import FusedExpressions
from usersplit.conditions._source import Constants, compiled

# Few enough that compiling one part never holds up the threads that check, and that a changed test costs little.
TESTS_PER_PART: Final = 32

Everything: TypeAlias = Callable[[object, object], dict[str, str] | None]
"""A function of the unit and the environment: variants by key; None is "ask one by one".

It may raise what the objects it is given raise, which means the same.
"""

_PartCheck: TypeAlias = Callable[..., None]

_SHARED: Final = {
    **SHARED,
    "User": User,
    "Guest": Guest,
    "Environment": Environment,
    "MappingProxyType": MappingProxyType,
    "nobody": NOBODY,
}
_WHO_AND_HOW: Final = (
    "if type(unit) is User:",
    " profile = unit.attributes",
    "elif type(unit) is Guest:",
    " profile = nobody",
    "else:",
    " return None",
    "if environment is None:",
    " visit = nobody",
    "elif type(environment) is Environment:",
    " visit = environment._filter_values or environment.filter_values()",
    "else:",
    " return None",
    "if type(profile) is not dict and type(profile) is not MappingProxyType:",
    " return None",
    "group = unit.split_group",
    f"if type(group) is not int or group < 1 or group > {SPLIT_GROUPS}:",
    " return None",
    "found = {}",
)


class _Part:
    """Some tests and their compiled check: of a profile, a visit, a split group, and what it adds to."""

    __slots__ = ("check", "configs", "identity")

    def __init__(self, configs: tuple[SplitTestConfig, ...]) -> None:
        self.configs: Final = configs  # kept, so that no other object can get the same identity
        # By identity: configs are replaced, never changed, and comparing them would compare their tables.
        self.identity: Final = tuple(map(id, configs))
        constants = Constants()
        body = [*_asking(configs, constants), "return"]
        self.check: Final[_PartCheck] = compiled("profile, visit, group, found", body, constants, _SHARED)


class BulkCheck:
    """What every test gives one unit, until the next one starts or ends: dates are looked at when it is made.

    Tests that give nobody a variant now are left out.

    Args:
        tests: the configs of all tests.
        now_ns: the time, Unix time in nanoseconds.
        earlier: one that was made before, whose unchanged parts are used again.

    Attributes:
        since_ns: the last moment at which a test started or ended.
        until_ns: the next one; from then on it must not be asked.
        parts: the tests in groups, each compiled by itself; () if they are so few that one function asks them all.
        singly: the keys of tests that have to be asked one by one: they need more than the unit and the environment.
        everything: what every test gives, but those to be asked singly.
    """

    __slots__ = ("everything", "parts", "since_ns", "singly", "until_ns")

    def __init__(self, tests: Iterable[SplitTestConfig], now_ns: int, earlier: "BulkCheck | None" = None) -> None:
        giving = [config for config in tests if config.may_give_variants]
        edges = {edge for config in giving if config.status == "running" for edge in _dates(config)}
        self.since_ns: Final[float] = max((edge for edge in edges if edge <= now_ns), default=-math.inf)
        self.until_ns: Final[float] = min((edge for edge in edges if edge > now_ns), default=math.inf)
        self.singly: Final = tuple(config.key for config in giving if config.type in CLIENT_TYPES)
        fused = [config for config in giving if config.type not in CLIENT_TYPES]
        # Grouped before they are chosen: a test that starts or ends changes its own group and no other.
        groups = [fused[start : start + TESTS_PER_PART] for start in range(0, len(fused), TESTS_PER_PART)]
        chosen = [tuple(config for config in group if _is_on(config, now_ns)) for group in groups]
        known = {} if earlier is None else {part.identity: part for part in earlier.parts}
        self.parts: Final[tuple[_Part, ...]] = (
            tuple(known.get(tuple(map(id, configs))) or _Part(configs) for configs in chosen) if len(chosen) > 1 else ()
        )
        self.everything: Final[Everything] = _everything(self.parts, () if self.parts or not chosen else chosen[0])


def _dates(config: SplitTestConfig) -> tuple[int, int]:
    return config.starts_at_ns, config.ends_at_ns


def _is_on(config: SplitTestConfig, now_ns: int) -> bool:
    return config.status != "running" or config.starts_at_ns <= now_ns < config.ends_at_ns


def _everything(parts: Sequence[_Part], configs: Sequence[SplitTestConfig]) -> Everything:
    constants = Constants()
    if parts:
        checks = constants.name(tuple(part.check for part in parts))
        asking = [f"for check in {checks}:", " check(profile, visit, group, found)"]
    else:
        asking = _asking(configs, constants)  # one call less
    body = [*_WHO_AND_HOW, *asking, "return found"]
    return cast("Everything", compiled("unit, environment", body, constants, _SHARED))


def _asking(configs: Iterable[SplitTestConfig], constants: Constants) -> list[str]:
    fused = FusedExpressions(constants, {"user": "profile", "environment": "visit"})
    lines = [line for config in configs for line in _lines(config, fused, constants)]
    return [*fused.reading(), *lines]


def _lines(config: SplitTestConfig, fused: FusedExpressions, constants: Constants) -> list[str]:
    key = constants.name(config.key)
    conditions = [] if config.conditions.is_everybody else [fused.expression(config.conditions.root)]
    if config.status == "finished":
        given = f"found[{key}] = {constants.name(config.result)}"
        if config.result_scope == "worldwide" or not conditions:
            return [given]
        return [f"if {conditions[0]}:", f" {given}"]
    table, names = constants.name(config.variant_by_group), constants.name(config.variants)
    tests = [fused.expression(TEST_USER.root)] if config.status == "in_dev" else []
    tests += conditions
    if 0 in config.variant_by_group[1:]:
        # With its attributes read, a leaf costs less than a look into the table, unless that ends it for most units.
        tests.insert(0 if has_few_groups(config.variant_by_group) else len(tests), f"(index := {table}[group])")
        given = f"found[{key}] = {names}[index]"
    else:  # every split group has a variant
        given = f"found[{key}] = {names}[{table}[group]]"
    return [f"if {' and '.join(tests)}:", f" {given}"] if tests else [given]
