"""The words that code, files and reports are made of: keys of tests, names of variants, types."""

import re

from domain.errors import NameMissing, WrongKey, WrongText, WrongType

MAX_KEY_LENGTH = 100
"""Leaves room for `.json` and a temporary suffix in the 255 bytes that file systems give a name."""

_WORD = re.compile(r"[A-Za-z0-9._-]+")
_TYPE = re.compile(r"[a-z][a-z0-9_-]{0,39}")


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
    """
    trimmed = name.strip()
    if not trimmed or not trimmed.isprintable():
        raise NameMissing
    return trimmed


def checked_text(text: str, field: str) -> str:
    """Return a free text, trimmed.

    Raises:
        WrongText: a database could not store it.
    """
    # PostgreSQL stores no zero character. A fact that a read model cannot store would stop that model for everybody.
    if "\0" in text or not _is_unicode(text):
        raise WrongText(field)
    return text.strip()


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


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
