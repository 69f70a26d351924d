"""One Python function per split test: status, dates, split groups and conditions folded into one closure.

It answers the usual questions and leaves every other one to `_decision.decide`, which says the reason too:

    a name      the variant; nothing else is to be said
    None        no variant, and nobody has to mend anything
    UNDECIDED   ask `decide`: something is strange about the unit or the environment

It may raise whatever the objects it is given raise, which is UNDECIDED as well. The clock is asked last, and only by a
test that is about to give a variant: it costs as much as half the rest of a check.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias, cast

from usersplit._speedups import hastened
from usersplit._split_groups import SPLIT_GROUPS
from usersplit._units import Environment, Guest, User
from usersplit.conditions._catalog import Catalog, Filter
from usersplit.conditions._compile import NOBODY, SHARED, expression
from usersplit.conditions._conditions import Conditions, parse
from usersplit.conditions._source import Constants, compiled
from usersplit.conditions._types import Scope

UNDECIDED: Final = ""

Check: TypeAlias = Callable[[object, object], str | None]
"""A function of the unit and the environment."""

TEST_USER: Final = parse(
    [{"filter": "is_test_user", "operator": "eq", "value": "Yes"}],
    Catalog([Filter("is_test_user", "boolean", "user")]),
)
CLIENT_TYPES: Final = frozenset({"client", "mixed"})
"""Types of tests that the visitor's client has to support."""

_SHARED: Final = {**SHARED, "User": User, "Guest": Guest, "Environment": Environment, "nobody": NOBODY}
_BY_THE_SYSTEM_CLOCK: Final = {**_SHARED, "now_ns": time.time_ns, "now_seconds": time.time}  # noqa: TID251 - the default, as for `now_ns`
# Floats are compared in a third of the time. As they are rounded, they decide nothing so near to a date.
FLOATS_DECIDE_FROM_SECONDS: Final = 0.001
_SOURCES: Final[Mapping[Scope, str]] = {"user": "profile", "environment": "visit"}
_PARAMETERS: Final = "unit, environment"
_ENVIRONMENT_LINES: Final = (
    "if environment is not None and type(environment) is not Environment:",
    f" return {UNDECIDED!r}",
)
_UNIT_LINES: Final = (
    "if type(unit) is not User and type(unit) is not Guest:",
    f" return {UNDECIDED!r}",
)


def undecided(unit: object, environment: object) -> str | None:  # noqa: ARG001 - a Check
    """Leave every question to the slow path."""
    return UNDECIDED


def compile_nobody() -> Check:
    """Return the check of a test that gives nobody a variant."""
    return cast(
        "Check", compiled(_PARAMETERS, [*_UNIT_LINES, *_ENVIRONMENT_LINES, "return None"], Constants(), _SHARED)
    )


def compile_drawn(
    *,
    conditions: Conditions,
    variants: Sequence[str],
    variant_by_group: Sequence[int],
    dates_ns: tuple[int, int] | None,
    for_test_users: bool,
    client_key: str | None,
    now_ns: Callable[[], int] = time.time_ns,
) -> Check:
    """Return the check of a test that gives variants by split group; one in C, where usersplit-speedups is installed.

    Args:
        conditions: who gets one.
        variants: names; the first one is empty.
        variant_by_group: for each split group, the index in `variants`.
        dates_ns: the first moment, and the first moment no more; None is always.
        for_test_users: nobody but test users gets one.
        client_key: the test's key, if the client has to support it.
        now_ns: the clock.
    """
    constants = Constants()
    has_system_clock = now_ns is time.time_ns
    lines = [*_ENVIRONMENT_LINES, *_client_lines(client_key, constants)]
    groups_first = has_few_groups(variant_by_group)
    if groups_first:
        lines += _group_first_lines(variant_by_group, constants)
    lines += _source_lines(conditions)
    tests = [expression(TEST_USER.root, constants, _SOURCES)] if for_test_users else []
    if not conditions.is_everybody:
        tests.append(expression(conditions.root, constants, _SOURCES))
    # That the unit is one is looked at only where it would get something: what has no profile failed before.
    lines += [
        f"if {' and '.join(tests) or True}:",
        *(f" {line}" for line in _UNIT_LINES),
        " group = unit.split_group",
        " if type(group) is not int or group < 1:",
        f"  return {UNDECIDED!r}",
        f" index = {constants.name(variant_by_group)}[group]",  # raises for a group above the last one
        f" if {_in_variant(dates_ns, constants, has_system_clock=has_system_clock)}:",
        f"  return {constants.name(variants)}[index]",
        "return None",
    ]
    shared = _BY_THE_SYSTEM_CLOCK if has_system_clock else {**_SHARED, "now_ns": now_ns}
    check = cast("Check", compiled(_PARAMETERS, lines, constants, shared))
    if client_key is not None:
        return check
    return hastened(
        check,
        conditions=[TEST_USER.root, conditions.root] if for_test_users else [conditions.root],
        variants=variants,
        variant_by_group=variant_by_group,
        groups_first=groups_first,
        dates_ns=dates_ns,
        now_ns=now_ns,
    )


def has_few_groups(variant_by_group: Sequence[int]) -> bool:
    """Answer whether so many split groups have no variant that to look there first spares most units the rest."""
    return variant_by_group.count(0) > SPLIT_GROUPS // 4


def _group_first_lines(variant_by_group: Sequence[int], constants: Constants) -> list[str]:
    # Only for no: whether a unit without a split group has to be reported depends on the conditions.
    is_unit = "(type(unit) is User or type(unit) is Guest)"
    is_group = f"type(group) is int and group > 0 and group <= {SPLIT_GROUPS}"
    return [
        "group = unit.split_group",
        f"if {is_unit} and {is_group} and not {constants.name(variant_by_group)}[group]:",
        " return None",
    ]


def _in_variant(dates_ns: tuple[int, int] | None, constants: Constants, *, has_system_clock: bool) -> str:
    if dates_ns is None:
        return "index"
    exactly = f"{constants.name(dates_ns[0])} <= now_ns() < {constants.name(dates_ns[1])}"
    if not has_system_clock:
        return f"index and {exactly}"
    starts_at, ends_at = (each / 1e9 for each in dates_ns)
    after = constants.name(starts_at + FLOATS_DECIDE_FROM_SECONDS)
    before = constants.name(ends_at - FLOATS_DECIDE_FROM_SECONDS)
    return f"index and ({after} < now_seconds() < {before} or {exactly})"


def compile_result(result: str, conditions: Conditions | None, client_key: str | None) -> Check:
    """Return the check of a finished test: its result, for everybody or for those who meet the conditions."""
    constants = Constants()
    lines = [*_UNIT_LINES, *_ENVIRONMENT_LINES, *_client_lines(client_key, constants)]
    if conditions is not None and not conditions.is_everybody:
        lines += _source_lines(conditions)
        lines += [f"if not {expression(conditions.root, constants, _SOURCES)}:", " return None"]
    lines.append(f"return {constants.name(result)}")
    return cast("Check", compiled(_PARAMETERS, lines, constants, _SHARED))


def _client_lines(client_key: str | None, constants: Constants) -> list[str]:
    if client_key is None:
        return []
    return [
        "supported = None if environment is None else environment.supported_tests",
        f"if supported is None or isinstance(supported, str) or {constants.name(client_key)} not in supported:",
        f" return {UNDECIDED!r}",
    ]


def _source_lines(conditions: Conditions) -> list[str]:
    lines = ["profile = unit.attributes"]
    if any(each.scope == "environment" for each in conditions.filters_used):
        lines += [
            "visit = nobody if environment is None else environment._filter_values or environment.filter_values()"
        ]
    return lines
