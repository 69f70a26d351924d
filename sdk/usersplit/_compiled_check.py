"""One Python function per split test: status, dates, split groups and conditions folded into one closure.

It answers the usual questions and leaves every other one to `_decision.decide`, which says the reason too:

    a name      the variant; nothing else is to be said
    None        no variant, and nobody has to mend anything
    UNDECIDED   ask `decide`: something is strange about the unit or the environment

It may raise whatever the objects it is given raise, which is UNDECIDED as well. The clock is asked last, and only by a
test that is about to give a variant: it costs as much as half the rest of a check.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias, cast

from usersplit._units import Environment, Guest, User
from usersplit.conditions._catalog import Catalog, Filter
from usersplit.conditions._compile import NOBODY, expression
from usersplit.conditions._conditions import Conditions, parse
from usersplit.conditions._source import Constants, compiled
from usersplit.conditions._types import Scope

UNDECIDED: Final = ""

Check: TypeAlias = Callable[[object, object, Callable[[], int]], str | None]
"""A function of the unit, the environment and the clock."""

TEST_USER: Final = parse(
    [{"filter": "is_test_user", "operator": "eq", "value": "Yes"}],
    Catalog([Filter("is_test_user", "boolean", "user")]),
)
CLIENT_TYPES: Final = frozenset({"client", "mixed"})
"""Types of tests that the visitor's client has to support."""

_SOURCES: Final[Mapping[Scope, str]] = {"user": "profile", "environment": "visit"}
_PARAMETERS: Final = "unit, environment, now_ns"


def undecided(unit: object, environment: object, now_ns: Callable[[], int]) -> str | None:  # noqa: ARG001 - a Check
    """Leave every question to the slow path."""
    return UNDECIDED


def compile_nobody() -> Check:
    """Return the check of a test that gives nobody a variant."""
    constants = Constants()
    return cast("Check", compiled(_PARAMETERS, [*_unit_lines(constants), "return None"], constants))


def compile_drawn(
    *,
    conditions: Conditions,
    variants: Sequence[str],
    variant_by_group: Sequence[int],
    dates_ns: tuple[int, int] | None,
    for_test_users: bool,
    client_key: str | None,
) -> Check:
    """Return the check of a test that gives variants by split group.

    Args:
        conditions: who gets one.
        variants: names; the first one is empty.
        variant_by_group: for each split group, the index in `variants`.
        dates_ns: the first moment, and the first moment no more; None is always.
        for_test_users: nobody but test users gets one.
        client_key: the test's key, if the client has to support it.
    """
    constants = Constants()
    lines = [*_unit_lines(constants), *_client_lines(client_key, constants)]
    lines += [
        "group = unit.split_group",
        "if type(group) is not int or group < 1:",  # beyond 2400 the table ends: IndexError
        f" return {UNDECIDED!r}",
        f"index = {constants.name(variant_by_group)}[group]",
    ]
    tests = ["index"]
    if for_test_users:
        tests.append(expression(TEST_USER.root, constants, _SOURCES))
    lines += _visit_lines(conditions, constants)
    if not conditions.is_everybody:
        tests.append(expression(conditions.root, constants, _SOURCES))
    if dates_ns is not None:
        tests.append(f"{constants.name(dates_ns[0])} <= now_ns() < {constants.name(dates_ns[1])}")
    lines += [f"if {' and '.join(tests)}:", f" return {constants.name(variants)}[index]", "return None"]
    return cast("Check", compiled(_PARAMETERS, lines, constants))


def compile_result(result: str, conditions: Conditions | None, client_key: str | None) -> Check:
    """Return the check of a finished test: its result, for everybody or for those who meet the conditions."""
    constants = Constants()
    lines = [*_unit_lines(constants), *_client_lines(client_key, constants)]
    if conditions is not None and not conditions.is_everybody:
        lines += _visit_lines(conditions, constants)
        lines += [f"if not {expression(conditions.root, constants, _SOURCES)}:", " return None"]
    lines.append(f"return {constants.name(result)}")
    return cast("Check", compiled(_PARAMETERS, lines, constants))


def _unit_lines(constants: Constants) -> list[str]:
    user, guest, environment = constants.name(User), constants.name(Guest), constants.name(Environment)
    return [
        f"if type(unit) is {user}:",
        " profile = unit.attributes",
        f"elif type(unit) is {guest}:",
        f" profile = {constants.name(NOBODY)}",
        "else:",
        f" return {UNDECIDED!r}",
        f"if environment is not None and type(environment) is not {environment}:",
        f" return {UNDECIDED!r}",
    ]


def _client_lines(client_key: str | None, constants: Constants) -> list[str]:
    if client_key is None:
        return []
    return [
        "supported = None if environment is None else environment.supported_tests",
        f"if supported is None or {constants.name(client_key)} not in supported:",
        f" return {UNDECIDED!r}",
    ]


def _visit_lines(conditions: Conditions, constants: Constants) -> list[str]:
    if all(each.scope == "user" for each in conditions.filters_used):
        return []
    nothing = constants.name(NOBODY)
    return [f"visit = {nothing} if environment is None else environment._filter_values or environment.filter_values()"]
