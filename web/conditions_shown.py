"""Conditions as managers read them: labels of the catalog instead of names and numbers."""

from collections.abc import Mapping
from typing import Final

from usersplit.conditions import Catalog, ConditionsError, Filter, Leaf, Node, parse_text

OPERATOR_WORDS: Final[Mapping[str, str]] = {
    "eq": "is",
    "ne": "is not",
    "in": "is one of",
    "not_in": "is none of",
    "lt": "is less than",
    "lte": "is at most",
    "gt": "is more than",
    "gte": "is at least",
    "contains": "contains",
    "starts_with": "starts with",
}
_OF_TIMES: Final[Mapping[str, str]] = {
    "lt": "is before",
    "lte": "is not after",
    "gt": "is after",
    "gte": "is not before",
}


def readable_conditions(text: str, catalog: Catalog) -> str:
    """Return conditions, JSON text, as a sentence; where today's catalog cannot read them, the text itself."""
    try:
        root = parse_text(text, catalog).root
    except ConditionsError:
        return text
    return "Everybody" if not root.nodes else _said(root, is_root=True)


def operator_word(definition: Filter, operator: str) -> str:
    """Return how an operator is called beside a filter of this type."""
    return (_OF_TIMES if definition.type == "time" else {}).get(operator, OPERATOR_WORDS[operator])


def filter_label(definition: Filter) -> str:
    """Return what a filter is called on pages."""
    return definition.label or definition.name


def _said(node: Node, *, is_root: bool = False) -> str:
    if isinstance(node, Leaf):
        return _leaf(node)
    inside = f" {node.joint.lower()} ".join(_said(each) for each in node.nodes)
    return inside if is_root else f"({inside})"


def _leaf(leaf: Leaf) -> str:
    words = [
        leaf.filter.label_of(value) or _spelled(value, spelled)
        for value, spelled in zip(leaf.values, leaf.spelled, strict=True)
    ]
    return f"{filter_label(leaf.filter)} {operator_word(leaf.filter, leaf.operator)} {', '.join(words)}"


def _spelled(value: object, spelled: object) -> str:
    if isinstance(value, bool):
        return "Yes" if value else "No"
    return str(spelled)
