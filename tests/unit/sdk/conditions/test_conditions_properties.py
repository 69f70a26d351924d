"""Laws of conditions, over generated documents and attributes."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from usersplit.conditions import FILTER_TYPES, SCOPES, Catalog, Conditions, ConditionsError, Filter, parse, parse_text
from usersplit.conditions._evaluate import evaluate

# No deadline: a busy machine is not a broken law.
LAW = settings(deadline=None, max_examples=100)

CATALOG = Catalog([Filter(f"{scope}_{type_}", type_, scope) for scope in SCOPES for type_ in FILTER_TYPES])

# Few values, so that generated conditions and attributes often meet; each in several spellings.
SPELLINGS: dict[str, list[Any]] = {
    "boolean": ["Yes", "no", "TRUE", "0", "1", True, False, 1],
    "integer": ["50", 50, "-7", -7, 0, "007", 2**63 - 1],
    "number": [1.5, "1.5", 1, "-7e0", 0.0, -0.0, "50", 1e308],
    "string": ["", "a", "ab", "AB", "b", "Ж", "1", "Yes"],
    "version": ["1", "1.0", "1.10", "1.9", "01.9.0", "0", "2.0.1"],
    "time": ["2026-05-01", "2026-05-01T00:00:00Z", "2026-05-01T03:00:00+03:00", "2026-05-02T00:00:00.5Z"],
}
ODD: list[Any] = [
    None,
    [],
    {},
    object(),
    2.5,
    float("nan"),
    float("inf"),
    -(2**70),
    10**400,
    b"a",
    "x" * 50,
    3 + 2j,
    set(),
]
MOMENTS: list[Any] = [
    datetime(2026, 5, 1, tzinfo=UTC),
    datetime(2026, 5, 1, 3, tzinfo=timezone(timedelta(hours=3))),
    datetime(2026, 5, 1),  # noqa: DTZ001 - a moment without a zone is no moment
    datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=3))),
]
ATTRIBUTES = st.dictionaries(
    st.sampled_from(list(CATALOG)),
    st.sampled_from([spelling for spellings in SPELLINGS.values() for spelling in spellings] + ODD + MOMENTS),
)


def values_of(definition: Filter, operator: str) -> st.SearchStrategy[Any]:
    needs_text = operator in {"contains", "starts_with"}
    spellings = st.sampled_from([each for each in SPELLINGS[definition.type] if each or not needs_text])
    return st.lists(spellings, min_size=1, max_size=4) if operator in {"in", "not_in"} else spellings


# Strategies are made here, once: to make them in every draw took longer than to draw from them.
VALUES = {
    (definition.name, operator): values_of(definition, operator)
    for definition in CATALOG.values()
    for operator in definition.allowed_operators
}
ASKED = st.sampled_from(list(VALUES))
JOINTS = st.sampled_from(["AND", "OR"])


@st.composite
def leaves(draw: st.DrawFn) -> dict[str, object]:
    name, operator = draw(ASKED)
    return {"filter": name, "operator": operator, "value": draw(VALUES[name, operator])}


def brackets(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[list[object]]:
    return st.tuples(JOINTS, st.lists(inner, min_size=1, max_size=4)).map(
        lambda drawn: [item for node in drawn[1] for item in (node, drawn[0])][:-1]
    )


NODES = st.recursive(leaves(), brackets, max_leaves=12)
DOCUMENTS: st.SearchStrategy[list[object]] = st.just([]) | brackets(NODES)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["AND", "OR", "eq", *CATALOG]),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["filter", "operator", "value"]) | st.text(), inner)
        | st.fixed_dictionaries({"filter": inner, "operator": inner, "value": inner})
    ),
    max_leaves=20,
)


def naive_value(type_: str, raw: Any) -> Any:  # noqa: C901, PLR0911, PLR0912 - naive on purpose: one case after another
    """The documented rules of `docs/conditions.md`, written again in the plainest way."""
    if type_ == "boolean":
        if isinstance(raw, str):
            return {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}.get(raw.lower())
        return bool(raw) if isinstance(raw, int) and raw in (0, 1) else None
    if isinstance(raw, bool):
        return None
    if type_ == "string":
        return raw if isinstance(raw, str) else None
    if type_ == "integer":
        if isinstance(raw, str):
            raw = int(raw) if re.fullmatch(r"[+-]?[0-9]+", raw) else None
        return raw if isinstance(raw, int) and -(2**63) <= raw < 2**63 else None
    if type_ == "number":
        if not isinstance(raw, int | float | str):
            return None
        try:
            number = float(raw)
        except (ValueError, OverflowError):
            return None
        return number if abs(number) < float("inf") else None
    if type_ == "version":
        if not isinstance(raw, str) or not re.fullmatch(r"[0-9]+(\.[0-9]+)*", raw):
            return None
        parts = list(map(int, raw.split(".")))
        return parts + [0] * (8 - len(parts))
    if isinstance(raw, str):
        try:
            raw = datetime.fromisoformat(raw if "T" in raw else f"{raw}T00:00:00Z")
        except ValueError:
            return None
    if not isinstance(raw, datetime) or raw.tzinfo is None:
        return None
    try:
        return raw.astimezone(UTC)
    except OverflowError:
        return None


def naive_leaf(leaf: dict[str, Any], user: Mapping[str, Any] | None, environment: Mapping[str, Any]) -> bool:
    definition = CATALOG[leaf["filter"]]
    source = (user or {}) if definition.scope == "user" else environment
    actual = naive_value(definition.type, source.get(definition.name))
    if actual is None:
        return False
    if leaf["operator"] in {"in", "not_in"}:
        found = any(actual == naive_value(definition.type, each) for each in leaf["value"])
        return bool(found == (leaf["operator"] == "in"))
    asked = naive_value(definition.type, leaf["value"])
    answers: dict[str, Callable[[], Any]] = {
        "eq": lambda: actual == asked,
        "ne": lambda: actual != asked,
        "lt": lambda: actual < asked,
        "lte": lambda: actual <= asked,
        "gt": lambda: actual > asked,
        "gte": lambda: actual >= asked,
        "contains": lambda: asked in actual,
        "starts_with": lambda: actual[: len(asked)] == asked,
    }
    return bool(answers[leaf["operator"]]())


def naive(document: Any, user: Mapping[str, Any] | None, environment: Mapping[str, Any]) -> bool:
    if isinstance(document, dict):
        return naive_leaf(document, user, environment)
    answers = [naive(node, user, environment) for node in document[::2]]
    return any(answers) if "OR" in document[1::2] else all(answers)


@LAW
@given(DOCUMENTS)
def test_a_document_is_kept_exactly(document: list[object]) -> None:
    conditions = parse(document, CATALOG)
    assert json.dumps(conditions.document) == json.dumps(document)
    assert parse_text(json.dumps(document), CATALOG) == conditions
    conditions.to_text().encode()


@settings(LAW, max_examples=400)
@given(DOCUMENTS, st.none() | ATTRIBUTES, ATTRIBUTES)
def test_the_compiled_the_walking_and_the_naive_evaluator_agree(
    document: list[object], user: dict[str, Any] | None, environment: dict[str, Any]
) -> None:
    conditions = parse(document, CATALOG)
    expected = naive(document, user, environment)
    assert conditions.matches(user, environment) is expected
    assert evaluate(conditions.root, user, environment) is expected


@LAW
@given(leaves(), st.data())
def test_single_leaves_agree_where_the_attribute_is_of_the_filters_kind(
    leaf: dict[str, Any], data: st.DataObject
) -> None:
    definition = CATALOG[leaf["filter"]]
    raw = data.draw(st.sampled_from(SPELLINGS[definition.type] + MOMENTS + ODD))
    attributes = {definition.name: raw}
    assert parse([leaf], CATALOG).matches(attributes, attributes) is naive_leaf(leaf, attributes, attributes)


@LAW
@given(DOCUMENTS, st.none() | ATTRIBUTES, ATTRIBUTES)
def test_the_explanation_agrees_and_its_leaves_alone_give_the_answer(
    document: list[object], user: dict[str, Any] | None, environment: dict[str, Any]
) -> None:
    conditions = parse(document, CATALOG)
    explanation = conditions.explain(user, environment)
    assert explanation.matched is conditions.matches(user, environment)
    assert {outcome.met for outcome in explanation.decisive} <= {explanation.matched}
    assert explanation.sentence.endswith(".")
    for outcome in explanation.decisive:
        assert (outcome.actual is None) is (outcome.reason not in {"met", "not_met"})


@LAW
@given(DOCUMENTS, ATTRIBUTES, ATTRIBUTES)
def test_a_guest_is_a_user_of_whom_nothing_is_known(
    document: list[object], user: dict[str, Any], environment: dict[str, Any]
) -> None:
    conditions = parse(document, CATALOG)
    assert conditions.matches(None, environment) is conditions.matches({}, environment)
    # Conditions know no NOT, and what is unknown meets nothing: so to know less never lets anybody in.
    assert conditions.matches(user, environment) or not conditions.matches(None, environment)


@settings(LAW, max_examples=300)
@given(JSON)
def test_any_json_parses_or_is_refused_by_name(document: object) -> None:
    ways: list[Callable[[], Conditions]] = [
        lambda: parse(document, CATALOG),
        lambda: parse_text(json.dumps(document), CATALOG),
    ]
    for parse_it in ways:
        try:
            parse_it().matches({}, {})
        except ConditionsError as error:
            assert error.path.startswith("conditions")  # noqa: PT017 - the error is one of two allowed outcomes
            str(error).encode()


@LAW
@given(JSON)
def test_any_json_makes_a_catalog_or_is_refused_by_name(document: object) -> None:
    try:
        Catalog.from_document(document)
    except ConditionsError as error:
        str(error).encode()


@LAW
@given(st.text())
def test_any_text_parses_or_is_refused_by_name(text: str) -> None:
    try:
        parse_text(text, CATALOG)
    except ConditionsError as error:
        str(error).encode()


class Hostile:
    """Raises at whatever one does with it."""

    def _refuse(self, *_: object) -> Any:
        raise ZeroDivisionError

    __eq__ = __ne__ = __lt__ = __gt__ = __le__ = __ge__ = _refuse
    __hash__ = __bool__ = __len__ = __str__ = __repr__ = __iter__ = __contains__ = __getattr__ = _refuse
    __int__ = __float__ = __index__ = _refuse


class HostileMeta(type):
    def __eq__(cls, other: object) -> bool:
        raise ZeroDivisionError

    def __hash__(cls) -> int:
        raise ZeroDivisionError

    def __getattribute__(cls, name: str) -> Any:
        raise ZeroDivisionError


class HostileText(str, metaclass=HostileMeta):
    __slots__ = ()
    __eq__ = __ne__ = startswith = __contains__ = Hostile._refuse
    __hash__ = __len__ = __getattribute__ = __str__ = Hostile._refuse


HOSTILE: dict[str, Any] = {
    "object": Hostile(),
    "text": HostileText("a"),
    "number in a text": HostileText("50"),
    "class": Hostile,
    "class of a hostile metaclass": HostileText,
}


@LAW
@given(DOCUMENTS, st.sampled_from(list(HOSTILE)))
def test_nothing_that_a_service_passes_makes_a_check_raise(document: list[object], name: str) -> None:
    conditions = parse(document, CATALOG)
    thing = HOSTILE[name]
    attributes = dict.fromkeys(CATALOG, thing)
    assert conditions.matches(attributes, attributes) is conditions.explain(attributes, attributes).matched
    assert conditions.matches(thing, thing) is conditions.explain(thing, thing).matched
