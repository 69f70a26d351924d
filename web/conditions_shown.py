"""Conditions as managers read them: labels of the catalog instead of names and numbers."""

from collections.abc import Mapping, Sequence
from typing import Final, cast

from events.facts import FilterUsed
from projections.settings_changes import ReadConditions, conditions_text
from usersplit.conditions import Catalog, ConditionsError, Filter, FilterType, Leaf, Node, parse_text

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
_MOST_VALUES: Final = 20


def readable_conditions(text: str, catalog: Catalog, filters: Sequence[FilterUsed] = ()) -> str:
    """Return conditions, JSON text, as a sentence.

    Args:
        text: the conditions.
        catalog: today's, which has the labels.
        filters: the catalog's word on the filters in use, as it was when the conditions were proposed: what it has
            lost since then, or has of another type, is read by that, without labels.
    """
    try:
        root = parse_text(text, _as_it_was(catalog, filters)).root
    except ConditionsError:
        return conditions_text(text, tuple(filters))
    return "Everybody" if not root.nodes else _said(root, is_root=True)


def reader(catalog: Catalog) -> ReadConditions:
    """Return what makes the conditions of a changelog readable."""
    return lambda text, filters: readable_conditions(text, catalog, filters)


def operator_word(definition: Filter, operator: str) -> str:
    """Return how an operator is called beside a filter of this type."""
    return (_OF_TIMES if definition.type == "time" else {}).get(operator, OPERATOR_WORDS[operator])


def filter_label(definition: Filter) -> str:
    """Return what a filter is called on pages."""
    return definition.label or definition.name


def _as_it_was(catalog: Catalog, filters: Sequence[FilterUsed]) -> Catalog:
    changed = [used for used in filters if used.name not in catalog or catalog[used.name].type != used.type]
    if not changed:
        return catalog
    then = {used.name: Filter(used.name, cast("FilterType", used.type), used.scope) for used in changed}
    return Catalog({**catalog, **then}.values())


def _said(node: Node, *, is_root: bool = False) -> str:
    if isinstance(node, Leaf):
        return _leaf(node)
    inside = f" {node.joint} ".join(_said(each) for each in node.nodes)
    return inside if is_root else f"({inside})"


def _leaf(leaf: Leaf) -> str:
    shown = list(zip(leaf.values, leaf.spelled, strict=True))
    words = [leaf.filter.label_of(value) or _spelled(value, spelled) for value, spelled in shown[:_MOST_VALUES]]
    more = [f"{len(shown) - _MOST_VALUES:,} more"] if len(shown) > _MOST_VALUES else []
    return f"{filter_label(leaf.filter)} {operator_word(leaf.filter, leaf.operator)} {', '.join([*words, *more])}"


def _spelled(value: object, spelled: object) -> str:
    if isinstance(value, bool):
        return "Yes" if value else "No"
    return str(spelled)
