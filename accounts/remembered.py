"""Who was known a moment ago, so that not every request of a program or a browser asks the database who it is.

What this process changes of accounts, tokens and sessions counts at once: `Revision` moves, and everything remembered
is asked anew. What another process changes, a revoked token, a closed account or a session that was ended, counts after
`TRUST_SECONDS` at most. Only what was valid is remembered, by a hash: a guess is never answered from memory, and a dump
of it opens nothing.
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


class _Memory:
    """Identities by the texts that prove them, each for a while and under one revision."""

    def __init__(self, revision: Revision, monotonic: Callable[[], float]) -> None:
        self._revision = revision
        self._monotonic = monotonic
        self._known: dict[bytes, _Remembered] = {}

    def known(self, text: str) -> Identity | None:
        found = self._known.get(_hash(text))
        if found is None or found.revision != self._revision.number or found.until < self._monotonic():
            return None
        return found.identity

    def asking(self) -> Callable[[str, Identity, float], None]:
        """Return what keeps the answer to a question that is asked now, for so many seconds."""
        # Before the question: a change that it does not see yet moves the revision afterwards.
        revision, asked_at = self._revision.number, self._monotonic()

        def keep(text: str, identity: Identity, seconds: float) -> None:
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            self._known[_hash(text)] = _Remembered(identity=identity, revision=revision, until=asked_at + seconds)

        return keep


class RememberedTokens:
    """Says whom tokens speak for. Safe to share between threads.

    Args:
        tokens: the API tokens in the database.
        revision: moves when accounts or tokens change here.
        used: is told the id of each token that the database was asked for and that is valid; it must not block.
        now: the clock by which tokens end.
        monotonic: the clock that never jumps.
    """

    def __init__(
        self,
        tokens: ApiTokens,
        revision: Revision,
        *,
        used: Callable[[str], None],
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._tokens = tokens
        self._used = used
        self._now = now
        self._memory = _Memory(revision, monotonic)

    def known(self, text: str) -> Identity | None:
        """Return whom a token speaks for if that was asked a moment ago, else None. Never blocks."""
        return self._memory.known(text)

    def identity_of(self, text: str) -> Identity:
        """Return whom a token speaks for.

        Raises:
            NotSignedIn: see `ApiTokens.identity_of`.
        """
        known = self.known(text)
        if known is not None:
            return known
        keep = self._memory.asking()
        valid = self._tokens.valid(text)
        # What is answered from memory for the next seconds is no news: uses are known to the hour.
        self._used(valid.identity.token_id)
        left = TRUST_SECONDS if valid.expires_at is None else (valid.expires_at - self._now()).total_seconds()
        keep(text, valid.identity, min(left, TRUST_SECONDS))
        return valid.identity


class RememberedSessions:
    """Says who signed in with a session's cookie. Safe to share between threads.

    Args:
        ask: asks the database: who it is, None where the cookie is forged or its session over.
        revision: moves when accounts or sessions change here.
        monotonic: the clock that never jumps.
    """

    def __init__(
        self, ask: Callable[[str], Identity | None], revision: Revision, *, monotonic: Callable[[], float]
    ) -> None:
        self._ask = ask
        self._memory = _Memory(revision, monotonic)

    def known(self, cookie: str) -> Identity | None:
        """Return whose session it is if that was asked a moment ago, else None. Never blocks."""
        return self._memory.known(cookie)

    def identity_of(self, cookie: str) -> Identity | None:
        """Return whose session it is, None where it is forged or over."""
        known = self.known(cookie)
        if known is not None:
            return known
        keep = self._memory.asking()
        identity = self._ask(cookie)
        if identity is not None:
            keep(cookie, identity, TRUST_SECONDS)
        return identity


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="replace")).digest()
