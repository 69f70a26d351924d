"""The words that code, files and reports are made of: keys of tests, names of variants, types."""

import re
import unicodedata

from domain.errors import NameMissing, NotOneLine, TextTooLong, WrongKey, WrongText, WrongType

MAX_KEY_LENGTH = 100
"""Leaves room for `.json` and a temporary suffix in the 255 bytes that file systems give a name."""

MAX_NAME_LENGTH = 200
"""Of a test's name, a manager's name, and every other text of one line."""

MAX_DESCRIPTION_LENGTH = 10_000
"""About four pages; what is longer belongs into the issue."""

_WORD = re.compile(r"[A-Za-z0-9._-]+")
_TYPE = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_LINE_BREAKS_AND_TABS = str.maketrans("", "", "\n\t")


def is_word(text: str) -> bool:
    """Return whether `text` is made of ASCII letters, digits, dots, underscores and dashes, at most 100 of them."""
    return len(text) <= MAX_KEY_LENGTH and _WORD.fullmatch(text) is not None


def check_key(key: str) -> None:
    """Refuse what cannot be a key.

    Raises:
        WrongKey: it is empty, too long, has a character that is not allowed, or starts with a dot.
    """
    if not key:
        raise WrongKey(key, "it is empty; use letters, digits, dots, underscores and dashes")
    if len(key) > MAX_KEY_LENGTH:
        raise WrongKey(key, f"it has {len(key)} characters; use at most {MAX_KEY_LENGTH}")
    if not is_word(key):
        raise WrongKey(key, "use only letters A-Z and a-z, digits, dots, underscores and dashes")
    if key.startswith("."):
        # Its config file would be a hidden one, and "." and ".." would not be files at all.
        raise WrongKey(key, "it starts with a dot; start it with a letter or a digit")


def checked_name(name: str) -> str:
    """Return a test's name, trimmed.

    Raises:
        NameMissing: nothing is left, or it has a line break or another character that does not print.
        TextTooLong: it is longer than `MAX_NAME_LENGTH`.
    """
    trimmed = name.strip()
    if not trimmed or not trimmed.isprintable():
        raise NameMissing
    return _within(trimmed, "the name", MAX_NAME_LENGTH)


def checked_line(text: str, field: str) -> str:
    """Return a free text of one line, or of none, trimmed.

    Raises:
        NotOneLine: it has a line break or another character that does not print.
        TextTooLong: it is longer than `MAX_NAME_LENGTH`.
    """
    trimmed = text.strip()
    if not trimmed.isprintable():
        raise NotOneLine(field)
    return _within(trimmed, field, MAX_NAME_LENGTH)


def checked_text(text: str, field: str) -> str:
    """Return a free text of any number of lines, trimmed; its line breaks are those of Unix.

    Raises:
        WrongText: it has control characters other than line breaks and tabs, or halves of surrogate pairs.
        TextTooLong: it is longer than `MAX_DESCRIPTION_LENGTH`.
    """
    trimmed = text.strip().replace("\r\n", "\n")
    # PostgreSQL stores no zero character: a fact that a read model cannot store would stop that model for everybody.
    # An escape character would give orders to the terminal of whoever reads the text.
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in trimmed.translate(_LINE_BREAKS_AND_TABS)):
        raise WrongText(field)
    return _within(trimmed, field, MAX_DESCRIPTION_LENGTH)


def printable(text: str) -> str:
    """Return `text` without the characters that do not print, for texts that no person can be asked to correct."""
    return "".join(character for character in text if character.isprintable())


def checked_type(value: str) -> str:
    """Return a test's type, trimmed.

    Raises:
        WrongType: it is not one lower-case word.
    """
    trimmed = value.strip()
    if _TYPE.fullmatch(trimmed) is None:
        raise WrongType(value)
    return trimmed


def _within(text: str, field: str, most: int) -> str:
    if len(text) > most:
        raise TextTooLong(field, len(text), most)
    return text
