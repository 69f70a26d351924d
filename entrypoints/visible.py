"""Texts of people and machines on their way to a terminal: what does not print is shown, so that it does nothing."""

import unicodedata
from typing import Final

_KEPT: Final = frozenset("\n\t")
_UNPRINTED: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Control characters, those that turn the writing direction, halves of surrogate pairs, unusual line breaks."""


def visible(text: str) -> str:
    r"""Return `text` with what does not print spelt out (`\x1b`), but for line breaks and tabs."""
    if text.isprintable():
        return text
    return "".join(character if _prints(character) else _spelt(character) for character in text)


def shortened(text: str, most: int = 1000) -> str:
    """Return `text`, or its beginning and how long it is: conditions may hold 100,000 values."""
    if len(text) <= most:
        return text
    return f"{text[:most].rstrip()}… ({len(text):,} characters; `changelog --json` tells them all)"


def _prints(character: str) -> bool:
    return character in _KEPT or unicodedata.category(character) not in _UNPRINTED


def _spelt(character: str) -> str:
    return character.encode("unicode_escape").decode()
