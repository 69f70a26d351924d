"""The expressions of many trees in one function: each attribute is read once, and every leaf is a bare comparison.

An attribute is first brought to the plain value of its filter's type, or to None where it has none; so a leaf needs no
look at types. Reading an attribute that short-circuiting would have passed over must not be seen from outside: this
form is for plain dictionaries only.
"""

from collections.abc import Mapping
from typing import Final

from usersplit.conditions._compile import BOUNDS
from usersplit.conditions._source import Constants
from usersplit.conditions._tree import Leaf, Node
from usersplit.conditions._types import FilterType, Scope

_PLAIN: Final[Mapping[FilterType, str]] = {"integer": "int", "number": "float", "string": "str"}
# None is no value of a set and equals no value, but has no order and no text.
_TESTS: Final[Mapping[str, str]] = {
    "eq": "{a} == {c}",
    "ne": "({a} is not None and {a} != {c})",
    "in": "{a} in {c}",
    "not_in": "({a} is not None and {a} not in {c})",
    "lt": "({a} is not None and {a} < {c})",
    "lte": "({a} is not None and {a} <= {c})",
    "gt": "({a} is not None and {a} > {c})",
    "gte": "({a} is not None and {a} >= {c})",
    "contains": "({a} is not None and {c} in {a})",
    "starts_with": "({a} is not None and {a}.startswith({c}))",
}


class FusedExpressions:
    """Collects the attributes that several expressions read."""

    def __init__(self, constants: Constants, sources: Mapping[Scope, str]) -> None:
        self._constants = constants
        self._sources = sources
        self._variables: dict[tuple[Scope, str, FilterType], str] = {}
        self._bounded: set[str] = set()

    def expression(self, node: Node) -> str:
        """Return source that evaluates `node`, which is no root without nodes."""
        if isinstance(node, Leaf):
            return self._leaf(node)
        joint = " and " if node.joint == "AND" else " or "
        return "(" + joint.join(self.expression(child) for child in node.nodes) + ")"

    def reading(self) -> list[str]:
        """Return lines of source that bring every attribute into a variable of its own; they come first."""
        lines: list[str] = []
        for (scope, name, type_), variable in self._variables.items():
            lines.append(f"{variable} = {self._sources[scope]}.get({self._constants.name(name)})")
            lines.append(f"if {self._is_no_plain_value(variable, type_)}:")
            lines.append(f" {variable} = read_{type_}({variable})")
        return lines

    def _leaf(self, leaf: Leaf) -> str:
        used = leaf.filter
        variable = self._variables.setdefault((used.scope, used.name, used.type), f"a{len(self._variables)}")
        if used.type == "boolean":
            return variable if bool(leaf.value) is (leaf.operator == "eq") else f"{variable} is False"
        if leaf.operator not in ("eq", "in"):  # what equals a value of the type is within its bounds
            self._bounded.add(variable)
        constant = self._constants.name(leaf.members if leaf.takes_list else leaf.value)
        return _TESTS[leaf.operator].format(a=variable, c=constant)

    def _is_no_plain_value(self, variable: str, type_: FilterType) -> str:
        """Return source that is true of what has to be read. None, which is read as None, is not worth the call."""
        if type_ == "boolean":  # both truths are single objects
            return f"{variable} is not True and {variable} is not False and {variable} is not None"
        plain = _PLAIN.get(type_)
        if plain is None:
            return f"{variable} is not None"
        test = f"type({variable}) is not {plain}"
        if variable in self._bounded and type_ in BOUNDS:
            low, high = (self._constants.name(bound) for bound in BOUNDS[type_])
            test = f"({test} or not {low} <= {variable} <= {high})"
        return f"{test} and {variable} is not None"
