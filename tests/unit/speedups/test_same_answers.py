"""A check in C answers as the Python check beside it, and fails as it does, whatever a unit and an environment hold."""

import itertools
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import BuiltinFunctionType, MappingProxyType
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.check_forms import require_speedups
from tests.support.sdk_config_documents import config_document
from usersplit import Environment, Guest, MemoryConfigs, User
from usersplit._compiled_check import Check
from usersplit._decision import decide
from usersplit._speedups import SWITCH

STARTS: Final = datetime(2026, 5, 1, tzinfo=UTC)
STARTS_NS: Final = int(STARTS.timestamp()) * 10**9
ENDS_NS: Final = STARTS_NS + 86_400 * 10**9
FILTERS: Final = {
    f"{scope}_{type_}": {"type": type_, "scope": scope}
    for scope in ("user", "environment")
    for type_ in ("boolean", "integer", "number", "string")
}
VALUES_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "boolean": ("Yes", "No"),
    "integer": ("50", "0", "-1", str(2**63 - 1), str(-(2**63))),
    "number": ("1.5", "0", "-2", "1e308"),
    "string": ("Omsk", "", "Om", "Омск"),
}
ORDERED: Final = ("eq", "ne", "lt", "lte", "gt", "gte")
OPERATORS_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "boolean": ("eq", "ne"),
    "integer": ORDERED,
    "number": ORDERED,
    "string": ("eq", "ne", "contains", "starts_with"),
}
GROUPS: Final = {
    "some": [{"name": "control", "split_groups": [1, 7]}, {"name": "red", "split_groups": [2, 2400]}],
    "all": [{"name": "red", "split_groups": list(range(1, 2401))}],
}


def _leaves() -> list[Any]:
    single = [
        {"filter": name, "operator": operator, "value": value}
        for name, each in FILTERS.items()
        for operator in OPERATORS_OF[each["type"]]
        for value in VALUES_OF[each["type"]]
        if value or operator not in ("contains", "starts_with")  # which every text would be
    ]
    lists = [
        {"filter": name, "operator": operator, "value": list(VALUES_OF[each["type"]][:size])}
        for name, each in FILTERS.items()
        for operator in ("in", "not_in")
        for size in (1, 3)
        if each["type"] != "boolean"
    ]
    return single + lists


def _joined(nodes: list[Any], joint: str) -> list[Any]:
    return [part for node in nodes for part in (joint, node)][1:]


LEAVES: Final = st.sampled_from(_leaves())
CONDITIONS: Final[st.SearchStrategy[Any]] = st.one_of(
    st.just([]),
    LEAVES.map(lambda leaf: [leaf]),
    st.recursive(
        LEAVES,
        lambda inner: st.builds(_joined, st.lists(inner, min_size=2, max_size=3), st.sampled_from(["AND", "OR"])),
        max_leaves=6,
    ).map(lambda node: node if isinstance(node, list) else [node]),
)


class Whole(int):
    """Answers otherwise than the number it is."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return int.__hash__(self)


class Text(str):
    __slots__ = ()

    def __contains__(self, part: object) -> bool:
        return True


class Float(float):
    def __lt__(self, other: object) -> bool:
        raise RuntimeError("not comparable")


class Liar:
    """Equals everything, is true, and fails where it is hashed."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        raise RuntimeError("no hash")


class Profile(dict[str, object]):
    """A dict of the service's own, which knows everything."""

    def get(self, _name: str, _default: object = None) -> object:
        return True


class OtherUser(User):
    pass


SCALARS: Final[list[Any]] = [
    *(None, True, False, 0, 1, 2, 50, -1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**200, -(2**200)),
    *(1.5, 0.0, -0.0, 50.0, -2.0, 1e308, float("nan"), float("inf"), float("-inf"), 2**53 + 1),
    *("", "Omsk", "Omsk ", "omsk", "50", "1", "yes", "O\0", "O\0msk", "\ud800", "Омск", "\U0001f95d" * 50),
    *(Whole(7), Whole(50), Text("Minsk"), Float(1.5), Decimal("1.5"), b"Omsk", [], {}, object()),
]
VALUES: Final[st.SearchStrategy[Any]] = st.one_of(
    st.sampled_from(SCALARS),
    st.builds(Liar),
    st.integers(-3, 60),
    st.floats(-3, 3),
    st.text("Omskк\0", max_size=5),
)
ATTRIBUTES: Final = st.dictionaries(st.sampled_from(sorted(FILTERS)), VALUES)
PROFILES: Final = st.one_of(
    ATTRIBUTES, ATTRIBUTES, ATTRIBUTES.map(MappingProxyType), ATTRIBUTES.map(Profile), st.sampled_from([None, 5])
)
SPLIT_GROUPS: Final[st.SearchStrategy[Any]] = st.one_of(
    st.sampled_from([1, 2, 2, 3, 2400, 2401, 0, -1, 2**70, True, False, 2.0, "2", None, Whole(2)]), st.builds(Liar)
)
UNITS: Final[st.SearchStrategy[Any]] = st.one_of(
    st.builds(User, id=st.just(1), split_group=st.just(2), attributes=ATTRIBUTES),
    st.builds(User, id=st.just(1), split_group=SPLIT_GROUPS, attributes=PROFILES),
    st.builds(User, id=st.just(1), split_group=SPLIT_GROUPS),
    st.builds(Guest, split_group=SPLIT_GROUPS),
    st.builds(OtherUser, id=st.just(1), split_group=SPLIT_GROUPS, attributes=ATTRIBUTES),
    st.sampled_from([None, "user", User.__new__(User), Guest.__new__(Guest), User]),
)
ENVIRONMENTS: Final[st.SearchStrategy[Any]] = st.one_of(
    st.none(),
    st.builds(Environment, attributes=ATTRIBUTES),
    st.builds(Environment, attributes=st.one_of(PROFILES, st.just({}))),
    st.sampled_from(["web", Environment, {}]),
)
CLOCKS: Final = st.sampled_from([STARTS_NS - 1, STARTS_NS, STARTS_NS + 1, ENDS_NS - 1, ENDS_NS, 1.0e30, None, 2**80])


@pytest.fixture(autouse=True)
def _speedups() -> None:
    require_speedups()


def both_forms(document: Any, now: Callable[[], Any]) -> tuple[Check, Check]:
    """Return the check in Python and the check in C."""
    config = MemoryConfigs([document]).find(document["key"])
    assert config is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(SWITCH, "off")
        python = config.compiled(now)
        patch.setenv(SWITCH, "on")
        compiled = config.compiled(now)
    assert type(python) is not BuiltinFunctionType
    assert type(compiled) is BuiltinFunctionType, "the test was left to the Python check"
    return python, compiled


def outcome(check: Check, unit: object, environment: object) -> object:
    """Return what the check answers, or the type of what it raises."""
    try:
        return check(unit, environment)
    except Exception as error:  # noqa: BLE001 - compared with that of the other form
        return type(error)


def drawn(conditions: Any, *, groups: str = "all", **changes: object) -> Any:
    return config_document(
        conditions=conditions,
        filters={**FILTERS, "is_test_user": {"type": "boolean", "scope": "user"}},
        variants=GROUPS[groups],
        starts_at=STARTS.isoformat(),
        ends_at=(STARTS + timedelta(days=1)).isoformat(),
        **changes,
    )


@settings(max_examples=400)
@given(
    conditions=CONDITIONS,
    groups=st.sampled_from(sorted(GROUPS)),
    status=st.sampled_from(["running", "running", "in_dev"]),
    unit=UNITS,
    environment=ENVIRONMENTS,
    now=CLOCKS,
)
def test_both_forms_answer_and_fail_alike(
    conditions: Any, groups: str, status: str, unit: Any, environment: Any, now: Any
) -> None:
    python, compiled = both_forms(drawn(conditions, groups=groups, status=status), lambda: now)
    for _ in range(2):  # the first look at an environment changes it
        assert outcome(compiled, unit, environment) == outcome(python, unit, environment)


@pytest.mark.parametrize("name", FILTERS)
def test_every_leaf_is_met_by_the_values_by_which_the_reference_meets_it(name: str) -> None:
    found = set()
    for leaf in (each for each in _leaves() if each["filter"] == name):
        document = drawn([leaf])
        config = MemoryConfigs([document]).find("green_button")
        assert config is not None
        python, compiled = both_forms(document, lambda: STARTS_NS)
        for value in [*SCALARS, Liar()]:
            unit, environment = (
                User(id=1, split_group=2, attributes={name: value}),
                Environment(attributes={name: value}),
            )
            environment.filter_values()
            expected = decide(config, unit, environment, STARTS_NS)[0]
            assert (compiled(unit, environment), python(unit, environment)) == (expected, expected), (leaf, value)
            found.add(expected)
    assert found == {None, "red"}


def test_every_leaf_is_asked_once_at_most_and_in_order() -> None:
    conditions = [
        [{"filter": "user_boolean", "operator": "eq", "value": "Yes"}, "AND", _leaf("user_integer")],
        "OR",
        [_leaf("user_number"), "AND", [_leaf("user_string"), "OR", _leaf("environment_integer")]],
    ]
    matching: dict[str, Any] = {"user_boolean": True, "user_integer": 50, "user_number": 1.5, "user_string": "Omsk"}
    python, compiled = both_forms(drawn(conditions), lambda: STARTS_NS)
    environment = Environment(attributes={"environment_integer": 50})
    environment.filter_values()
    answers = set()
    for chosen in itertools.product([False, True], repeat=4):
        kept = {name: value for (name, value), is_kept in zip(matching.items(), chosen, strict=True) if is_kept}
        for visit in (environment, None):
            unit = User(id=1, split_group=1, attributes=kept)
            expected = kept.keys() >= {"user_boolean", "user_integer"} or (
                "user_number" in kept and ("user_string" in kept or visit is not None)
            )
            assert (compiled(unit, visit) == "red") is expected
            assert compiled(unit, visit) == python(unit, visit)
            answers.add(expected)
    assert answers == {True, False}


def _leaf(name: str) -> Any:
    return {"filter": name, "operator": "eq", "value": VALUES_OF[FILTERS[name]["type"]][0]}


def test_dates_after_the_year_2262_are_compared_to_the_nanosecond() -> None:
    # Nanoseconds of that time take more than 64 bits.
    document = {**drawn([]), "starts_at": "2900-01-01T00:00:00Z", "ends_at": "2900-01-02T00:00:00Z"}
    starts_ns = int(datetime(2900, 1, 1, tzinfo=UTC).timestamp()) * 10**9
    moments = [starts_ns - 1, starts_ns, starts_ns + 86_400 * 10**9 - 1, starts_ns + 86_400 * 10**9]
    compiled = both_forms(document, iter(moments).__next__)[1]
    unit = User(id=1, split_group=1)
    assert [compiled(unit, None) for _ in moments] == [None, "red", "red", None]
