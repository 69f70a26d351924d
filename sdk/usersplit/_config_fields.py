"""The fields that config documents of several kinds have in common, read with one named error."""

from collections.abc import Mapping
from typing import Any, Final

from usersplit._errors import MalformedConfig
from usersplit.conditions import Catalog, Conditions, ConditionsError, parse

_MOST: Final = {"settings_group": 2**31 - 1}
"""What hits have room for: their schema keeps it in 32 bits."""


def whole_number(document: Mapping[str, Any], field: str, key: str) -> int:
    """Return a field that holds a whole number, zero or more, and not too large for a hit to carry.

    Raises:
        MalformedConfig: it holds something else.
    """
    value = document.get(field)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise MalformedConfig(f"The config of {key} needs a whole number as its {field}, not {shown(value)}.")
    if value > _MOST.get(field, value):
        raise MalformedConfig(f"The config of {key} has a {field} of {shown(value)}, at most is {_MOST[field]}.")
    return value


def conditions_in(document: Mapping[str, Any], key: str) -> Conditions:
    """Return the conditions, read with the filters that the document brings along.

    Raises:
        MalformedConfig: there are none, or none that this SDK can read.
    """
    try:
        return parse(document["conditions"], Catalog.from_document(document.get("filters", {})))
    except ConditionsError as error:
        raise MalformedConfig(f"The conditions of {key} cannot be read: {error}") from error
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise MalformedConfig(f"The config of {key} has no readable conditions: {error!r}.") from error


def shown(value: object) -> str:
    """Return a foreign value for a sentence: short, whatever it is. A number of 5,000 digits has no text at all."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - its type says enough
        return f"a {type(value).__name__}"
    return text if len(text) <= 100 else f"{text[:99]}…"  # noqa: PLR2004 - any bound will do
