"""The free attributes of a hit: the text of a JSON object that every database of BI can read.

JSON as Python writes it is not that yet. NaN and Infinity are no JSON at all; PostgreSQL's jsonb takes neither the
character U+0000 nor half of a surrogate pair. One such hit in a table, and every query that looks into the attributes
fails.
"""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final, NoReturn

NO_ATTRIBUTES: Final = "{}"


def attributes_text(attributes: Mapping[str, object] | None) -> str:
    """Return attributes as their text. What is no JSON becomes a text; a number that is none, null, as in JavaScript.

    Raises:
        ValueError, RecursionError: they hold themselves.
    """
    if not attributes:
        return NO_ATTRIBUTES
    given = dict(attributes)
    try:
        text = _dumped(given)
    except ValueError:
        text = ""
    if not text or "\\u0000" in text:
        text = _dumped(_readable(given))
    return text


def attributes_fault(text: str) -> str:
    """Return what keeps `text` from being the attributes of a hit, a sentence; "" if nothing does."""
    try:
        value = _READER.decode(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        return "attributes is not the text of a JSON object"
    # Only written as escapes can they be there: as such, they are no text that travels.
    if "\\u" in text and any("\0" in part or not _is_text(part) for part in _texts(value)):
        return "attributes holds the character U+0000 or half of a surrogate pair, as an escape"
    return ""


def _dumped(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str, allow_nan=False)


def _readable(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            _readable(name) if isinstance(name, str) else str(name): _readable(item) for name, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_readable(item) for item in value]
    if isinstance(value, str):
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _is_text(part: str) -> bool:
    try:
        part.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


# Python's own reader takes NaN and Infinity.
_READER: Final = json.JSONDecoder(parse_constant=_refuse)
