"""The closed lists of the language of conditions: types, scopes, and the operators each type has."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

FilterType: TypeAlias = Literal["boolean", "integer", "number", "string", "version", "time"]
Scope: TypeAlias = Literal["user", "environment"]

# What a value is once it has been read: a version is its numbers without trailing zeros, a time is aware and in UTC.
Value: TypeAlias = bool | int | float | str | tuple[int, ...] | datetime

FILTER_TYPES: Final[tuple[FilterType, ...]] = ("boolean", "integer", "number", "string", "version", "time")
SCOPES: Final[tuple[Scope, ...]] = ("user", "environment")

_ORDERED: Final = ("eq", "ne", "in", "not_in", "lt", "lte", "gt", "gte")
OPERATORS: Final[Mapping[FilterType, tuple[str, ...]]] = MappingProxyType(
    {
        "boolean": ("eq", "ne"),
        "integer": _ORDERED,
        "number": _ORDERED,
        # No order on strings: databases order text by collation, and the estimate has to agree with the check.
        "string": ("eq", "ne", "in", "not_in", "contains", "starts_with"),
        "version": _ORDERED,
        "time": _ORDERED,
    }
)
ALL_OPERATORS: Final[tuple[str, ...]] = (*_ORDERED, "contains", "starts_with")
LIST_OPERATORS: Final[frozenset[str]] = frozenset({"in", "not_in"})
