"""The code of one attribute's value as SQL: which of the points and intervals it is, by a table or by comparisons."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, case, literal_column

from audience.operands import constant
from usersplit.conditions import Filter, Value
from warehouse.users_sql import CodeAt

_FEW_POINTS: Final = 3
_TABLE_NUMBERS: Final = 4096
"""Whole numbers that lie as close as this (countries, ages) are looked up in a table rather than compared."""


def digit_sql(
    definition: Filter, actual: ColumnElement[Any], points: Sequence[Value], merged: NDArray[np.int64]
) -> ColumnElement[int]:
    """Return the code of an attribute's value as SQL.

    Args:
        definition: the filter that reads the attribute.
        actual: its column.
        points: the values that cut it, sorted.
        merged: for "not known", each interval and each point, in the order of `audience.coding.truth_of`, its code.
    """
    if definition.type == "boolean":
        known = {bool(point): int(merged[2 * index + 2]) for index, point in enumerate(points)}
        # With one of the two named, the other is the interval below or above it.
        below, above = int(merged[1]), int(merged[-1])
        whens: list[tuple[Any, Any]] = [
            (actual == constant("boolean", value), literal_column(str(known.get(value, above if value else below))))
            for value in (True, False)
        ]
        return case(*whens, else_=literal_column(str(int(merged[0]))))
    whole = [point for point in points if isinstance(point, int)] if definition.type == "integer" else []
    if len(whole) > _FEW_POINTS and whole[-1] - whole[0] < _TABLE_NUMBERS:
        return _looked_up(actual, whole, merged)
    tree = _tree(definition, actual, points, merged, 0, len(points))
    if isinstance(tree, int):
        tree = literal_column(str(tree))
    return case((actual.is_(None), literal_column(str(int(merged[0])))), else_=tree)


def _looked_up(actual: ColumnElement[Any], points: Sequence[int], merged: NDArray[np.int64]) -> ColumnElement[int]:
    lowest, highest = points[0], points[-1]
    # Counted from the lowest one: the largest number of all has none behind it.
    named = np.array([point - lowest for point in points])
    numbers = np.arange(highest - lowest + 1)
    codes = merged[2 * np.searchsorted(named, numbers) + 1 + np.isin(numbers, named)]
    lowest_point, highest_point = constant("integer", lowest), constant("integer", highest)
    return case(
        (actual.is_(None), literal_column(str(int(merged[0])))),
        (actual < lowest_point, literal_column(str(int(merged[1])))),
        (actual > highest_point, literal_column(str(int(merged[-1])))),
        else_=CodeAt(actual, lowest, codes.tolist()),
    )


def _tree(
    definition: Filter,
    actual: ColumnElement[Any],
    points: Sequence[Value],
    merged: NDArray[np.int64],
    first: int,
    end: int,
) -> ColumnElement[Any] | int:
    if len(set(merged[2 * first + 1 : 2 * end + 2])) == 1:
        return int(merged[2 * first + 1])
    middle = (first + end) // 2
    below = _tree(definition, actual, points, merged, first, middle)
    equal = int(merged[2 * middle + 2])
    above = _tree(definition, actual, points, merged, middle + 1, end)
    point = constant(definition.type, points[middle])
    if equal == above:
        return case((actual < point, _literal(below)), else_=_literal(above))
    if equal == below:
        return case((actual <= point, _literal(below)), else_=_literal(above))
    if below == above:
        return case((actual == point, _literal(equal)), else_=_literal(below))
    return case((actual < point, _literal(below)), (actual == point, _literal(equal)), else_=_literal(above))


def _literal(code_or_tree: ColumnElement[Any] | int) -> ColumnElement[Any]:
    return literal_column(str(code_or_tree)) if isinstance(code_or_tree, int) else code_or_tree
