"""Conditions → SQL: who meets them, as one boolean expression over the users table, for every database.

A missing attribute meets no leaf, whatever the operator, which is SQL's NULL as it is; and since conditions know no
NOT, NULL never turns into a user who is counted. A filter of the visit without a column is taken to be met:
again because there is no NOT, the answer can then only be too large, never too small.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, or_, true

from audience.errors import FilterWithoutColumn
from audience.operands import TYPES, constant, operand, plain
from audience.users_table import UsersTable
from usersplit.conditions import Conditions, Leaf, Node
from warehouse.users_sql import Among, BeginsWith, Holds

_Operand = ColumnElement[Any]

_COMPARED: Final[Mapping[str, Callable[[_Operand, _Operand], ColumnElement[bool]]]] = {
    "eq": lambda actual, asked: actual == asked,
    "ne": lambda actual, asked: actual != asked,
    "lt": lambda actual, asked: actual < asked,
    "lte": lambda actual, asked: actual <= asked,
    "gt": lambda actual, asked: actual > asked,
    "gte": lambda actual, asked: actual >= asked,
    "contains": Holds,
    "starts_with": BeginsWith,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicate:
    """Who meets conditions.

    Attributes:
        met: the expression; NULL counts as not met.
        assumed: filters of the visit without a column, sorted: taken to be met, so the answer is an upper bound.
    """

    met: ColumnElement[bool]
    assumed: tuple[str, ...]

    @property
    def is_upper_bound(self) -> bool:
        """Whether fewer users than counted may meet the conditions."""
        return bool(self.assumed)


def predicate(conditions: Conditions, users: UsersTable) -> Predicate:
    """Return `conditions` as SQL over `users`.

    Raises:
        FilterWithoutColumn: a filter of the profile has no column.
    """
    return Predicate(met=_node(conditions.root, users), assumed=assumed_filters(conditions, users))


def require_columns(conditions: Conditions, users: UsersTable) -> None:
    """Return if `conditions` can be asked of `users`.

    Raises:
        FilterWithoutColumn: a filter of the profile has no column.
    """
    for used in conditions.filters_used:
        if used.scope == "user" and used.name not in users.columns:
            raise FilterWithoutColumn(used.name)


def assumed_filters(conditions: Conditions, users: UsersTable) -> tuple[str, ...]:
    """Return the filters of the visit that have no column, sorted by name."""
    return tuple(
        used.name for used in conditions.filters_used if used.scope == "environment" and used.name not in users.columns
    )


def _node(node: Node, users: UsersTable) -> ColumnElement[bool]:
    if isinstance(node, Leaf):
        return leaf_sql(node, users)
    parts = [_node(child, users) for child in node.nodes]
    return (or_(*parts) if node.joint == "OR" else and_(*parts)).self_group() if parts else true()


def leaf_sql(leaf: Leaf, users: UsersTable) -> ColumnElement[bool]:
    """Return one leaf as SQL, TRUE where it is assumed.

    Raises:
        FilterWithoutColumn: see `predicate`.
    """
    actual = operand(leaf.filter, users)
    if actual is None:
        return true()
    type_ = leaf.filter.type
    if leaf.takes_list:
        among = Among(actual, [plain(value) for value in leaf.values], TYPES[type_])
        # Said aloud that the attribute is known: one database takes NULL NOT IN (…) to be true in places.
        return among if leaf.operator == "in" else and_(actual.is_not(None), ~among)
    if type_ == "boolean":
        # Databases keep booleans as small numbers too, and 2 is neither true nor false: so "not equal" is "the other".
        return actual == constant(type_, leaf.value if leaf.operator == "eq" else not leaf.value)
    return _COMPARED[leaf.operator](actual, constant(type_, leaf.value))
