"""Conditions and users for property tests: every type, NULLs, and the values on which databases differ."""

import json
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any, Final

from hypothesis import strategies as st

from tests.support.audience_users import CATALOG, COLUMNS
from usersplit.conditions import Conditions, parse

_MOMENT: Final = datetime(2026, 5, 1, 10, tzinfo=UTC)
_MOMENTS: Final = [
    _MOMENT,
    _MOMENT + timedelta(microseconds=1),
    _MOMENT.replace(hour=0),
    datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC),
]
_TEXTS: Final = [
    "",
    "a",
    "A",
    "ab",
    "b",
    "%",
    "a%b",
    "a_b",
    "_",
    "\\",
    "a\\b",
    "'",
    '"',
    "é",
    "e\u0301",
    "Я",
    "a ",
    "🙂",
]
_ODD_TEXTS: Final = ["a\nb", "{x:Int64}", "%(x)s", ":x", "$1", "?"]
VALUES: Final[dict[str, list[Any]]] = {
    "flag": [True, False],
    "whole": [0, 1, -1, 50, 2**31, 2**63 - 1, -(2**63), 2**53 + 1],
    "small": [0, 18, 30, 50, -7],
    "ratio": [0.0, -0.0, 1.5, 0.1, 1e308, -1e308, 5e-324, 2.0**53, float("nan"), float("inf"), float("-inf")],
    "name": [*_TEXTS, *_ODD_TEXTS],
    "build": [
        "1",
        "1.0",
        "1.0.0",
        "1.9",
        "1.10",
        "1.10.2",
        "0",
        "999999999.1",
        "1.2.3.4.5.6.7.8",
        "1..2",
        "v1",
        "1.x",
        "",
        "1.2.3.4.5.6.7.8.9",
        "1234567890",
        "1.1\n",
        "01.010",
    ],
    "seen_at": _MOMENTS,
    "zoned_at": _MOMENTS,
    "country": ["RU", "DE", "ru", ""],
}
_OPERANDS: Final[dict[str, list[Any]]] = {
    **VALUES,
    "flag": [True, False, "Yes", "0"],
    "ratio": [value for value in VALUES["ratio"] if isfinite(value)],
    "build": ["1", "1.0.0", "1.9", "1.10", "1.10.2", "0", "999999999.1", "1.2.3.4.5.6.7.8", "1.2.3.4.5.6.7.9"],
    "seen_at": [moment.isoformat() for moment in _MOMENTS] + ["2026-05-01"],
    "zoned_at": [moment.isoformat() for moment in _MOMENTS] + ["2026-05-01T19:00:00+09:00"],
}


@st.composite
def leaves(draw: st.DrawFn, names: tuple[str, ...] = COLUMNS) -> dict[str, Any]:
    name = draw(st.sampled_from(names))
    operator = draw(st.sampled_from(CATALOG[name].allowed_operators))
    one = st.sampled_from(_OPERANDS.get(name, ["web", "ios"]))
    if operator in {"contains", "starts_with"}:
        one = one.filter(bool)
    value = draw(st.lists(one, min_size=1, max_size=4)) if operator in {"in", "not_in"} else draw(one)
    return {"filter": name, "operator": operator, "value": value}


def _bracket(nodes: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def joined(parts: tuple[list[Any], str]) -> list[Any]:
        items, joint = parts
        return [each for item in items for each in (joint, item)][1:]

    return st.tuples(st.lists(nodes, min_size=1, max_size=4), st.sampled_from(["AND", "OR"])).map(joined)


def conditions(names: tuple[str, ...] = COLUMNS) -> st.SearchStrategy[Conditions]:
    """Draw conditions over these filters, everybody included."""
    tree = st.recursive(leaves(names), _bracket, max_leaves=8)
    documents: st.SearchStrategy[list[Any]] = st.just([]) | _bracket(tree)
    return documents.map(lambda document: parse(json.loads(json.dumps(document)), CATALOG))


def users(size: int = 25) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Draw users: each attribute is one of the values above, or NULL."""
    one = st.fixed_dictionaries({name: st.none() | st.sampled_from(VALUES[name]) for name in COLUMNS})

    def numbered(drawn: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{"user_id": index, "split_group": index * 7 % 5 + 1, **user} for index, user in enumerate(drawn)]

    return st.lists(one, min_size=1, max_size=size).map(numbered)


def meets(asked: Conditions, user: dict[str, Any], **visit: object) -> bool:
    """Ask the SDK's evaluator; what the visit would say comes from the same row."""
    return asked.matches(user, {"country": user["country"], **visit})
