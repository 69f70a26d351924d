"""Reads values: one set of rules for the values in conditions and for the attributes that a service passes.

Every reader is total: it answers None for what is no value of its type, and raises nothing, whatever object comes in.
So types are told apart by `type()` and `issubclass`, never by `isinstance`, equality or hashing, which an object can
answer itself; a subclass is turned into the plain value by the methods of the built-in type, not by its own. Only what
is a number by its class, as numpy's are, is asked for its value.
"""

import math
import operator
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from numbers import Integral, Real
from types import MappingProxyType
from typing import Final

from usersplit.conditions._types import FilterType, Value

# What every database calls a big integer; a number beyond could be checked here but not counted there.
SMALLEST_INTEGER: Final = -(2**63)
LARGEST_INTEGER: Final = 2**63 - 1

_BOOLEAN_WORDS: Final = {"yes": True, "no": False, "true": True, "false": False, "1": True, "0": False}
_NUMPY_BOOLEANS: Final = ("bool", "bool_")  # the one scalar that no abstract class names
_LONGEST_BOOLEAN: Final = max(map(len, _BOOLEAN_WORDS))
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,19}")
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,400}(?:\.[0-9]{1,400})?(?:[eE][+-]?[0-9]{1,4})?")
# Nine digits a part and eight parts: what fits an array of integers in every database.
_VERSION: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9}){0,7}")
_LONGEST_VERSION: Final = 79
_TIME: Final = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ](?P<clock>[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.(?P<fraction>[0-9]{1,9}))?"
    r"(?:[Zz]|(?P<sign>[+-])(?P<hours>[01][0-9]|2[0-3]):(?P<minutes>[0-5][0-9])))?"
)

EXPECTED: Final[Mapping[FilterType, str]] = MappingProxyType(
    {
        "boolean": 'Yes or No (also true, false, "1", "0")',
        "integer": 'a whole number of at most 64 bits, such as 50 or "50"',
        "number": 'a finite number, such as 1.5 or "1.5"',
        "string": "a text in quotes",
        "version": 'dotted numbers in quotes, such as "1.10.2"',
        "time": 'a date or a time with its zone, such as "2026-05-01" or "2026-05-01T10:00:00Z"',
    }
)


def plain(raw: object) -> object:
    """Turn a scalar of another class (an IntEnum, a Decimal, a numpy.int64 …) into the str, int or float it is."""
    kind = type(raw)
    if kind is str or kind is int or kind is bool or kind is float:
        return raw
    if issubclass(kind, str):
        return str.__str__(raw)
    if issubclass(kind, int):
        return int.__int__(raw)  # type: ignore[arg-type] # the type is known by issubclass
    if issubclass(kind, float):
        return float.__float__(raw)  # type: ignore[arg-type] # as above
    return raw if raw is None else _plain_number(raw, kind)


def _plain_number(raw: object, kind: type) -> object:
    """Turn what is a number by its class, though none of Python's own, into one; return anything else as it is."""
    try:
        if issubclass(kind, Integral):
            return operator.index(raw)  # type: ignore[arg-type] # as above
        if issubclass(kind, (Real, Decimal)):
            return float(raw)  # type: ignore[arg-type] # as above
        if kind.__module__ == "numpy" and kind.__name__ in _NUMPY_BOOLEANS:
            return bool(raw)
    except Exception:  # noqa: BLE001, S110 - foreign code; whatever it raises, the value is not known
        pass
    return raw


def read_boolean(raw: object) -> bool | None:
    """Read true, false, 1, 0 and the words yes, no, true, false, 1, 0 in any case."""
    raw = plain(raw)
    if type(raw) is bool:
        return raw
    if type(raw) is str and len(raw) <= _LONGEST_BOOLEAN:
        return _BOOLEAN_WORDS.get(raw.lower())
    if type(raw) is int and (raw in {0, 1}):
        return raw == 1
    return None


def read_integer(raw: object) -> int | None:
    """Read an int of at most 64 bits, or its decimal digits; no bool, no float, not even 50.0."""
    raw = plain(raw)
    if type(raw) is str and _INTEGER.fullmatch(raw):
        raw = int(raw)
    if type(raw) is int and SMALLEST_INTEGER <= raw <= LARGEST_INTEGER:
        return raw
    return None


def read_number(raw: object) -> float | None:
    """Read a finite float, an int, or either as decimal text. Numbers are doubles, as in databases."""
    raw = plain(raw)
    if type(raw) is str and not _NUMBER.fullmatch(raw):
        return None
    if type(raw) is float or type(raw) is int or type(raw) is str:
        try:
            number = float(raw)
        except OverflowError:  # an int that no double can hold
            return None
        return number if math.isfinite(number) else None
    return None


def read_string(raw: object) -> str | None:
    """Read a text as it is: no trimming, no folding of case, no Unicode normalisation. A number is not a text."""
    raw = plain(raw)
    return raw if type(raw) is str else None


def read_version(raw: object) -> tuple[int, ...] | None:
    """Read dotted numbers into a tuple without trailing zeros, so that 1.0 equals 1.0.0 and 1.9 is below 1.10.

    Only text: the float 1.10 has already become 1.1.
    """
    raw = plain(raw)
    if type(raw) is not str or len(raw) > _LONGEST_VERSION:
        return None
    return _read_version_text(raw)


@lru_cache(maxsize=1024)
def _read_version_text(text: str) -> tuple[int, ...] | None:
    # A service sees few versions very often. Both the number and the length of remembered texts are bounded.
    if not _VERSION.fullmatch(text):
        return None
    parts = [int(part) for part in text.split(".")]
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def read_time(raw: object) -> datetime | None:
    """Read an aware datetime, a date (its first moment in UTC), or RFC 3339 text or an ISO date; the answer is in UTC.

    A datetime without a zone names no moment, so it is no value.
    """
    raw = plain(raw)
    if type(raw) is str:
        return _read_time_text(raw)
    try:
        if issubclass(type(raw), datetime):
            # Through the methods of datetime itself, into a plain one: a subclass may answer anything.
            offset = datetime.utcoffset(raw)  # type: ignore[arg-type] # known by issubclass
            if offset is None:
                return None
            local = datetime.combine(datetime.date(raw), datetime.time(raw), UTC)  # type: ignore[arg-type] # as above
            return local - offset
        if issubclass(type(raw), date):
            return datetime.fromordinal(date.toordinal(raw)).replace(tzinfo=UTC)  # type: ignore[arg-type] # as above
    except Exception:  # noqa: BLE001 - a tzinfo is foreign code; whatever it raises, the moment is not known
        return None
    return None


def _read_time_text(text: str) -> datetime | None:
    parts = _TIME.fullmatch(text)
    if parts is None:
        return None
    try:
        moment = datetime.fromisoformat(f"{parts['date']}T{parts['clock'] or '00:00:00'}").replace(
            microsecond=int((parts["fraction"] or "0").ljust(6, "0")[:6]), tzinfo=UTC
        )
        if parts["sign"]:
            offset = timedelta(hours=int(parts["hours"]), minutes=int(parts["minutes"]))
            moment = moment - offset if parts["sign"] == "+" else moment + offset
    except (ValueError, OverflowError):  # 30 February; the last hours of the year 9999 west of Greenwich
        return None
    return moment


READERS: Final[Mapping[FilterType, Callable[[object], Value | None]]] = MappingProxyType(
    {
        "boolean": read_boolean,
        "integer": read_integer,
        "number": read_number,
        "string": read_string,
        "version": read_version,
        "time": read_time,
    }
)
