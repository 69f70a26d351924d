"""Turns a tree into Python, compiled once per document: a check must cost less than a microsecond.

Each leaf asks first whether the attribute has exactly the type that services usually pass, and compares at once; any
other value goes through the reference evaluator's reader first.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from usersplit.conditions._evaluate import Attributes
from usersplit.conditions._source import Constants, compiled
from usersplit.conditions._tree import Bracket, Leaf, Node
from usersplit.conditions._types import FilterType, Scope
from usersplit.conditions._values import LARGEST_INTEGER, READERS, SMALLEST_INTEGER

Matcher: TypeAlias = Callable[[Any, Any], bool]

LARGEST_FLOAT: Final = 1.7976931348623157e308
SMALLEST_FLOAT: Final = -LARGEST_FLOAT
NOBODY: Final[Mapping[str, object]] = MappingProxyType({})
"""The profile of a guest."""

# What generated source calls. The readers are total, and answer None for what is no value of their type.
SHARED: Final[dict[str, Any]] = {f"read_{type_}": reader for type_, reader in READERS.items()}

# Comparisons of an exact int or float. Bounds of the type are part of each, so that a number of 70 bits, an infinity or
# a NaN meets nothing here either. {c} is the name of the constant.
_BOUNDED: Final = {
    "eq": "v == {c}",
    "ne": "{low} <= v <= {high} and v != {c}",
    "in": "v in {c}",
    "not_in": "{low} <= v <= {high} and v not in {c}",
    "lt": "{low} <= v < {c}",
    "lte": "{low} <= v <= {c}",
    "gt": "{c} < v <= {high}",
    "gte": "{c} <= v <= {high}",
}
# Of a value that was read.
_TESTS: Final = {
    "eq": "v == {c}",
    "ne": "v != {c}",
    "in": "v in {c}",
    "not_in": "v not in {c}",
    "lt": "v < {c}",
    "lte": "v <= {c}",
    "gt": "v > {c}",
    "gte": "v >= {c}",
    "contains": "{c} in v",
    "starts_with": "v.startswith({c})",
}
# Versions and times have no quick form: the one is text to be read, the other needs its zone looked at.
_QUICK: Final[Mapping[FilterType, tuple[str, Mapping[str, str]]]] = {
    "integer": ("int", _BOUNDED),
    "number": ("float", _BOUNDED),
    "string": ("str", _TESTS),
}
BOUNDS: Final[Mapping[FilterType, tuple[float, float]]] = {
    "integer": (SMALLEST_INTEGER, LARGEST_INTEGER),
    "number": (SMALLEST_FLOAT, LARGEST_FLOAT),
}


def compile_tree(root: Bracket) -> Matcher:
    """Return a function of (user, environment) that answers as `evaluate` does.

    It may raise what the mappings it is given raise; the caller then asks the reference evaluator, which does not.
    """
    if not root.nodes:
        return _everybody
    constants = Constants()
    test = expression(root, constants, {"user": "user", "environment": "environment"})
    lines = ("if user is None:", f" user = {constants.name(NOBODY)}", f"return {test}")
    return compiled("user, environment", lines, constants, SHARED)


def _everybody(user: Attributes, environment: Attributes) -> bool:  # noqa: ARG001 - the signature of every matcher
    return True


def expression(node: Node, constants: Constants, sources: Mapping[Scope, str]) -> str:
    """Return source that evaluates `node`; it uses the variable `v`.

    Args:
        node: not a root without nodes.
        constants: where the names of filters and the values go.
        sources: the names of the variables that hold the mappings of attributes.
    """
    if isinstance(node, Leaf):
        return _leaf_expression(node, constants, sources[node.filter.scope])
    joint = " and " if node.joint == "AND" else " or "
    return "(" + joint.join(expression(child, constants, sources) for child in node.nodes) + ")"


def _leaf_expression(leaf: Leaf, constants: Constants, source: str) -> str:
    type_ = leaf.filter.type
    name = constants.name(leaf.filter.name)
    if type_ == "boolean":
        # Both truths are single objects: no look at the type is needed. What is missing is read as the other truth.
        wanted = bool(leaf.value) is (leaf.operator == "eq")
        is_other = f"(v := {source}.get({name}, {not wanted})) is {not wanted}"
        return f"(not ({is_other}) and (v is {wanted} or read_boolean(v) is {wanted}))"
    reading = f"v := {source}.get({name})"
    names = {"c": constants.name(leaf.members if leaf.takes_list else leaf.value)}
    test = _TESTS[leaf.operator].format(**names)
    quick = _QUICK.get(type_)
    if quick is None:
        return f"((v := read_{type_}({source}.get({name}))) is not None and {test})"
    plain, tests = quick
    if "{low}" in tests[leaf.operator] or "{high}" in tests[leaf.operator]:
        low, high = BOUNDS[type_]
        names |= {"low": constants.name(low), "high": constants.name(high)}
    slow = f"(v := read_{type_}(v)) is not None and {test}"
    return f"({tests[leaf.operator].format(**names)} if type({reading}) is {plain} else v is not None and {slow})"
