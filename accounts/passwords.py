"""Passwords: kept as argon2id hashes, compared in constant time, never logged."""

import hashlib
import secrets
from functools import cached_property
from threading import BoundedSemaphore
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import hash_secret_raw

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
        if not _is_allowed(password):
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

    def fingerprint(self, password: str, *, salt: str) -> str:
        """Return what tells this password from another one beside the same `salt`; as slow to guess by as a hash.

        Raises:
            WeakPassword: see `hash`.
        """
        if not _is_allowed(password):
            raise WeakPassword(LEAST_LENGTH, MOST_LENGTH)
        hasher = self._hasher
        with self._turn:
            return hash_secret_raw(
                password.encode(),
                hashlib.sha256(salt.encode()).digest(),
                time_cost=hasher.time_cost,
                memory_cost=hasher.memory_cost,
                parallelism=hasher.parallelism,
                hash_len=hasher.hash_len,
                type=hasher.type,
            ).hex()

    @cached_property
    def _nobodys_hash(self) -> str:
        return self._hasher.hash(secrets.token_hex())


def _is_allowed(password: str) -> bool:
    return LEAST_LENGTH <= len(password) <= MOST_LENGTH and _is_text(password)


def _is_text(password: str) -> bool:
    try:
        password.encode()
    except UnicodeEncodeError:
        return False
    return True
