"""The tree of conditions: what the document says, checked and typed."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from usersplit.conditions._catalog import Filter
from usersplit.conditions._types import LIST_OPERATORS, Value

Joint: TypeAlias = Literal["AND", "OR"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One question: filter, operator, value.

    Attributes:
        filter: the catalog's word on the filter.
        operator: one of the filter's operators.
        values: the typed values: exactly one, or for `in` and `not_in` one or more, in the order given.
        spelled: the same values as the document spells them.
        path: the place in the document, such as `conditions[2][0]`.
    """

    filter: Filter
    operator: str
    values: tuple[Value, ...]
    spelled: tuple[object, ...]
    path: str
    members: frozenset[Value] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "members", frozenset(self.values))

    @property
    def value(self) -> Value:
        """The one value of an operator that takes one; the first of a list."""
        return self.values[0]

    @property
    def takes_list(self) -> bool:
        """Whether the operator asks about a list of values."""
        return self.operator in LIST_OPERATORS


@dataclass(frozen=True, slots=True, kw_only=True)
class Bracket:
    """Nodes joined by one operator. Only the root can be without nodes, and is then met by everybody.

    Attributes:
        joint: AND or OR; AND where there is nothing to join.
        nodes: leaves and brackets, in the order in which they are asked.
    """

    joint: Joint
    nodes: tuple["Node", ...]


Node: TypeAlias = Leaf | Bracket
