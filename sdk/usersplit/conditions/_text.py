"""The readable form of conditions: `is_test_user = Yes OR (country_id in 50 AND is_new_user = 1)`."""

import json
import re
from collections.abc import Mapping
from typing import Final

from usersplit.conditions._tree import Leaf, Node

_SYMBOLS: Final[Mapping[str, str]] = {
    "eq": "=",
    "ne": "!=",
    "in": "in",
    "not_in": "not in",
    "lt": "<",
    "lte": "<=",
    "gt": ">",
    "gte": ">=",
    "contains": "contains",
    "starts_with": "starts with",
}
# What can stand without quotes and cannot be taken for a word of the form itself.
_BARE: Final = re.compile(r"(?!(?:AND|OR)\Z)[A-Za-z0-9+-][A-Za-z0-9_.:+-]*")
EVERYBODY: Final = "everybody"


def to_text(root: Node) -> str:
    """Return the conditions on one line, with values as the document spells them."""
    return _node_text(root, is_root=True)


def _node_text(node: Node, *, is_root: bool = False) -> str:
    if isinstance(node, Leaf):
        return leaf_text(node)
    if not node.nodes:
        return EVERYBODY
    inside = f" {node.joint} ".join(_node_text(child) for child in node.nodes)
    return inside if is_root else f"({inside})"


def leaf_text(leaf: Leaf) -> str:
    """Return one leaf, such as `country_id in 50, 77`."""
    return f"{leaf.filter.name} {_SYMBOLS[leaf.operator]} {', '.join(map(_spelled, leaf.spelled))}"


def _spelled(value: object) -> str:
    if isinstance(value, str) and _BARE.fullmatch(value):
        return value
    return json.dumps(value, ensure_ascii=False)
