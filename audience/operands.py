"""Columns and values as conditions see them: one form a type, in which every database compares as the SDK does.

| type | column | value |
|---|---|---|
| boolean | as it is | bool |
| integer | as it is | int |
| number | double; NULL where it is infinite or no number | float |
| string | text, byte by byte, whatever the collation | str |
| version | a text of eight parts of nine digits; NULL where it is no version | str |
| time | microseconds since 1970, UTC | int |
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, ColumnElement, Double, Text, bindparam, case, type_coerce
from sqlalchemy.types import TypeEngine

from audience.errors import FilterWithoutColumn
from audience.users_table import UsersTable
from usersplit.conditions import Filter, FilterType, Value
from warehouse.users_sql import AsDouble, AsText, Microseconds, VersionKey, version_key

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST: Final = 1.7976931348623157e308
TYPES: Final[Mapping[FilterType, TypeEngine[Any]]] = {
    "boolean": Boolean(),
    "integer": BigInteger(),
    "number": Double(),
    "string": Text(),
    "version": Text(),
    "time": BigInteger(),
}


def operand(definition: Filter, users: UsersTable) -> ColumnElement[Any] | None:
    """Return the filter's column in its form; None: a filter of the visit without a column.

    Raises:
        FilterWithoutColumn: a filter of the profile without one.
    """
    mapped = users.columns.get(definition.name)
    if mapped is None:
        if definition.scope == "user":
            raise FilterWithoutColumn(definition.name)
        return None
    raw = mapped.sql()
    match definition.type:
        case "number":
            # NaN is above everything to some databases and below nothing to others; to the SDK it is not known.
            double = AsDouble(raw)
            bounds = (constant("number", -_LARGEST), constant("number", _LARGEST))
            return case((double.between(*bounds), double))
        case "string":
            return AsText(raw)
        case "version":
            return VersionKey(raw)
        case "time":
            return Microseconds(raw)
        case _:
            return type_coerce(raw, TYPES[definition.type])


def plain(value: Value) -> bool | int | float | str:
    """Return a value of conditions in its form."""
    if isinstance(value, tuple):
        return version_key(value)
    if isinstance(value, datetime):
        return (value - _EPOCH) // timedelta(microseconds=1)
    return value + 0.0 if isinstance(value, float) else value  # -0.0 becomes 0.0, see `AsDouble`


def constant(type_: FilterType, value: Value) -> ColumnElement[Any]:
    """Return a value of conditions as a parameter in its form."""
    return bindparam(None, plain(value), type_=TYPES[type_], unique=True)
