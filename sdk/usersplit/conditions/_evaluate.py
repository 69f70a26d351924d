"""The reference evaluator: walks the tree, slowly and plainly. The compiled form must always agree with it."""

import operator as comparison
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from usersplit.conditions._tree import Leaf, Node
from usersplit.conditions._types import Value
from usersplit.conditions._values import READERS

# None for the user is a guest, who has no profile; None for the environment, nothing known of the visit.
Attributes: TypeAlias = Mapping[str, object] | None
ReadState: TypeAlias = Literal["known", "guest", "unknown", "wrong_type", "unreadable"]

_COMPARE: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "eq": comparison.eq,
    "ne": comparison.ne,
    "lt": comparison.lt,
    "lte": comparison.le,
    "gt": comparison.gt,
    "gte": comparison.ge,
    "contains": lambda actual, expected: expected in actual,
    "starts_with": lambda actual, expected: actual.startswith(expected),
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What a leaf found: `value` is not None exactly where the state is known."""

    state: ReadState
    raw: object = None
    value: Value | None = None


def read(leaf: Leaf, user: Attributes, environment: Attributes) -> Reading:
    """Read the leaf's attribute from its own scope. Raises nothing: what cannot be read is not known."""
    source = user if leaf.filter.scope == "user" else environment
    if source is None:
        return Reading("guest" if leaf.filter.scope == "user" else "unknown")
    try:
        raw = source.get(leaf.filter.name)
    except Exception:  # noqa: BLE001 - a service's mapping may load lazily; its failure must not break the page
        return Reading("unreadable")
    if raw is None:
        return Reading("unknown")
    value = READERS[leaf.filter.type](raw)
    return Reading("wrong_type", raw) if value is None else Reading("known", raw, value)


def holds(leaf: Leaf, value: Value) -> bool:
    """Answer the leaf's question for a value that was read."""
    if leaf.takes_list:
        return (value in leaf.members) == (leaf.operator == "in")
    return _COMPARE[leaf.operator](value, leaf.value)


def leaf_is_met(leaf: Leaf, user: Attributes, environment: Attributes) -> bool:
    """Say whether the leaf is met; never where the attribute is not known, whatever the operator (as SQL's NULL)."""
    value = read(leaf, user, environment).value
    return value is not None and holds(leaf, value)


def evaluate(node: Node, user: Attributes, environment: Attributes) -> bool:
    """Evaluate left to right, and no further than needed."""
    if isinstance(node, Leaf):
        return leaf_is_met(node, user, environment)
    answers = (evaluate(child, user, environment) for child in node.nodes)
    return any(answers) if node.joint == "OR" else all(answers)
