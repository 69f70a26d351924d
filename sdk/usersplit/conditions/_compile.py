"""Turns a tree into one Python function, compiled once per document: a check must cost less than a microsecond.

The source consists of generated names and Python's own words only. Names of filters and values never become source
text: they are handed over as constants of the function's namespace, so that no document can inject code.

Each leaf asks first whether the attribute has exactly the type that services usually pass, and compares at once; any
other value goes to the reference evaluator's readers.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from usersplit.conditions._evaluate import Attributes, holds
from usersplit.conditions._tree import Bracket, Leaf, Node
from usersplit.conditions._types import FilterType
from usersplit.conditions._values import LARGEST_INTEGER, READERS, SMALLEST_INTEGER

Matcher: TypeAlias = Callable[[Any, Any], bool]

_LARGEST_FLOAT: Final = 1.7976931348623157e308
_NOBODY: Final[Mapping[str, object]] = MappingProxyType({})

# Comparisons of an exact int or float. Bounds of the type are part of each, so that a number of 70 bits, an infinity or
# a NaN meets nothing here either. {c} is the name of the constant.
_BOUNDED: Final = {
    "eq": "v == {c}",
    "ne": "low <= v <= high and v != {c}",
    "in": "v in {c}",
    "not_in": "low <= v <= high and v not in {c}",
    "lt": "low <= v < {c}",
    "lte": "low <= v <= {c}",
    "gt": "{c} < v <= high",
    "gte": "{c} <= v <= high",
}
_TEXT: Final = {
    "eq": "v == {c}",
    "ne": "v != {c}",
    "in": "v in {c}",
    "not_in": "v not in {c}",
    "contains": "{c} in v",
    "starts_with": "v.startswith({c})",
}
_TRUTH: Final = {"eq": "v is {c}", "ne": "v is not {c}"}
# Versions and times have no quick form: the one is text to be read, the other needs its zone looked at.
_QUICK: Final[Mapping[FilterType, tuple[str, Mapping[str, str]]]] = {
    "boolean": ("bool", _TRUTH),
    "integer": (
        "int",
        {op: test.replace("low", "low_int").replace("high", "high_int") for op, test in _BOUNDED.items()},
    ),
    "number": (
        "float",
        {op: test.replace("low", "low_float").replace("high", "high_float") for op, test in _BOUNDED.items()},
    ),
    "string": ("str", _TEXT),
}


def compile_tree(root: Bracket) -> Matcher:
    """Return a function of (user, environment) that answers as `evaluate` does.

    It may raise what the mappings it is given raise; the caller then asks the reference evaluator, which does not.
    """
    if not root.nodes:
        return _everybody
    namespace: dict[str, object] = {
        "low_int": SMALLEST_INTEGER,
        "high_int": LARGEST_INTEGER,
        "low_float": -_LARGEST_FLOAT,
        "high_float": _LARGEST_FLOAT,
        "nobody": _NOBODY,
    }
    source = (
        "def matcher(user, environment):\n"
        "    if user is None:\n"
        "        user = nobody\n"
        f"    return {_expression(root, namespace)}\n"
    )
    exec(compile(source, "<conditions>", "exec"), namespace)  # noqa: S102 - no text of the document is in the source
    matcher: Matcher = namespace["matcher"]  # type: ignore[assignment] # the source above defines it
    return matcher


def _everybody(user: Attributes, environment: Attributes) -> bool:  # noqa: ARG001 - the signature of every matcher
    return True


def _expression(node: Node, namespace: dict[str, object]) -> str:
    if isinstance(node, Leaf):
        return _leaf_expression(node, namespace)
    joint = " and " if node.joint == "AND" else " or "
    return "(" + joint.join(_expression(child, namespace) for child in node.nodes) + ")"


def _leaf_expression(leaf: Leaf, namespace: dict[str, object]) -> str:
    number = len(namespace)
    name, constant, slow = f"n{number}", f"c{number}", f"s{number}"
    namespace[name] = leaf.filter.name
    namespace[slow] = _slow_test(leaf)
    scope = "user" if leaf.filter.scope == "user" else "environment"
    reading = f"v := {scope}.get({name})"
    quick = _QUICK.get(leaf.filter.type)
    if quick is None:
        return f"(({reading}) is not None and {slow}(v))"
    type_, tests = quick
    namespace[constant] = leaf.members if leaf.takes_list else leaf.value
    test = tests[leaf.operator].format(c=constant)
    return f"({test} if type({reading}) is {type_} else v is not None and {slow}(v))"


def _slow_test(leaf: Leaf) -> Callable[[object], bool]:
    reader = READERS[leaf.filter.type]

    def test(raw: object) -> bool:
        value = reader(raw)
        return value is not None and holds(leaf, value)

    return test
