"""API tokens that were valid a moment ago, so that not every request of a program asks the database who it is.

What this process changes of accounts and tokens counts at once: `Revision` moves, and everything remembered is asked
anew. What another process changes, a revoked token or a closed account, counts after `TRUST_SECONDS` at most. Only
valid tokens are remembered, by their hash: a guess is never answered from memory, and a dump of it opens nothing.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from accounts.identity import Identity
from accounts.revision import Revision
from accounts.tokens import ApiTokens

TRUST_SECONDS: Final = 5.0
_MOST_REMEMBERED: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Remembered:
    identity: Identity
    revision: int
    until: float


class RememberedTokens:
    """Says whom tokens speak for. Safe to share between threads.

    Args:
        tokens: the API tokens in the database.
        revision: moves when accounts or tokens change here.
        now: the clock by which tokens end.
        monotonic: the clock that never jumps.
    """

    def __init__(
        self, tokens: ApiTokens, revision: Revision, *, now: Callable[[], datetime], monotonic: Callable[[], float]
    ) -> None:
        self._tokens = tokens
        self._revision = revision
        self._now = now
        self._monotonic = monotonic
        self._known: dict[bytes, _Remembered] = {}

    def known(self, text: str) -> Identity | None:
        """Return whom a token speaks for if that was asked a moment ago, else None. Never blocks."""
        found = self._known.get(_hash(text))
        if found is None or found.revision != self._revision.number or found.until < self._monotonic():
            return None
        return found.identity

    def identity_of(self, text: str) -> Identity:
        """Return whom a token speaks for.

        Raises:
            NotSignedIn: see `ApiTokens.identity_of`.
        """
        known = self.known(text)
        if known is not None:
            return known
        # Before the question: a change that it does not see yet moves the revision afterwards.
        revision, asked_at = self._revision.number, self._monotonic()
        valid = self._tokens.valid(text)
        left = TRUST_SECONDS if valid.expires_at is None else (valid.expires_at - self._now()).total_seconds()
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        self._known[_hash(text)] = _Remembered(
            identity=valid.identity, revision=revision, until=asked_at + min(left, TRUST_SECONDS)
        )
        return valid.identity


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="replace")).digest()
