"""Passwords: kept as argon2id hashes, compared in constant time, never logged."""

import secrets
from functools import cached_property
from threading import BoundedSemaphore
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from accounts.errors import WeakPassword

LEAST_LENGTH: Final = 10
MOST_LENGTH: Final = 200

_AT_ONCE: Final = 2
"""Each takes 64 MiB while it runs: a crowd of guessers must not take all memory."""


class Passwords:
    """Makes and compares hashes. Slow on purpose, about 50 ms: never call it from an event loop."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._turn = BoundedSemaphore(_AT_ONCE)

    def hash(self, password: str) -> str:
        """Return the hash to keep.

        Raises:
            WeakPassword: it is too short or too long, or no text.
        """
        if not LEAST_LENGTH <= len(password) <= MOST_LENGTH or not _is_text(password):
            raise WeakPassword(LEAST_LENGTH, MOST_LENGTH)
        with self._turn:
            return self._hasher.hash(password)

    def is_right(self, password: str, kept_hash: str) -> bool:
        """Return whether `password` is that of `kept_hash`; as slow where there is no hash to compare with."""
        if len(password) > MOST_LENGTH or not _is_text(password):
            return False
        try:
            with self._turn:
                self._hasher.verify(kept_hash or self._nobodys_hash, password)
        except (VerificationError, InvalidHashError):
            return False
        return bool(kept_hash)

    def is_outdated(self, kept_hash: str) -> bool:
        """Return whether a hash was made with weaker parameters than today's."""
        return self._hasher.check_needs_rehash(kept_hash)

    @cached_property
    def _nobodys_hash(self) -> str:
        return self._hasher.hash(secrets.token_hex())


def _is_text(password: str) -> bool:
    try:
        password.encode()
    except UnicodeEncodeError:
        return False
    return True
