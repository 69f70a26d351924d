"""Conditions as facts carry them: JSON text of the very tree that was given, and the catalog's word on its filters."""

import json

from domain.settings_errors import ConditionsTooLong
from events.facts import FilterUsed
from usersplit.conditions import Conditions

MAXIMUM_CONDITIONS_BYTES = 1024 * 1024
"""Room for as many conditions and values as `usersplit.conditions` takes.

Every server gets every test's conditions in one message of at most 8 MiB, where each character may be escaped."""


def text_of(tree: object) -> str:
    """Return a tree of conditions, decoded JSON, as the text that is kept of it."""
    return json.dumps(tree, ensure_ascii=False)


def check_length(text: str) -> None:
    """Refuse what is more than can be sent to every server.

    Raises:
        ConditionsTooLong: it has more than `MAXIMUM_CONDITIONS_BYTES`.
    """
    size = len(text.encode(errors="surrogatepass"))
    if size > MAXIMUM_CONDITIONS_BYTES:
        raise ConditionsTooLong(size, MAXIMUM_CONDITIONS_BYTES)


def same_conditions(one: str, other: str) -> bool:
    """Return whether two texts hold the same tree."""
    # Compared as text, because to Python 1 and true are equal and to a string filter they are not.
    return _canonical(one) == _canonical(other)


def filters_in(conditions: Conditions) -> tuple[FilterUsed, ...]:
    """Return the catalog's word on every filter in use, sorted by name."""
    return tuple(FilterUsed(name=used.name, type=used.type, scope=used.scope) for used in conditions.filters_used)


def _canonical(text: str) -> str:
    return json.dumps(json.loads(text), sort_keys=True)
