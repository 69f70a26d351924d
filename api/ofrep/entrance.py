"""Which API token may evaluate: asked of the database once, remembered for a while.

A token that another process revokes is let in for at most `TRUST_SECONDS` more, one that this process revokes no more
at all. When that time is over, one request asks anew while the others go on under the old answer, for `GRACE_SECONDS`
at most: a crowd must not wait for one question.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from itsdangerous import BadSignature, Signer

from accounts.errors import AccountsError, NotSignedIn
from accounts.identity import Identity
from accounts.remembered import TRUST_SECONDS
from accounts.revision import Revision
from accounts.tokens import ApiTokens

GRACE_SECONDS: Final = 10.0
_MOST_REMEMBERED: Final = 10_000


@dataclass(slots=True)
class Guest:
    """A token that was let in.

    Attributes:
        identity: whom it speaks for.
        tail: the end of every bulk answer for it: where it hears of changes.
        revision: of accounts and tokens, when it was asked; with another one the answer is old.
        until: by the monotonic clock, how long the answer counts.
        is_asked: whether somebody asks anew.
    """

    identity: Identity
    tail: bytes
    revision: int
    until: float
    is_asked: bool = False


class Entrance:
    """Lets tokens in that have the scope `evaluate`.

    Args:
        tokens: the API tokens.
        revision: moves when this process changes accounts or tokens.
        secrets: sign tickets to the event stream, which browsers cannot send a token to; the last one does.
        events_path: where that stream is.
        monotonic: the clock that never jumps.
    """

    def __init__(
        self,
        tokens: ApiTokens,
        revision: Revision,
        *,
        secrets: Sequence[str],
        events_path: str,
        monotonic: Callable[[], float],
    ) -> None:
        self._tokens = tokens
        self._revision = revision
        self._signer = Signer(list(secrets), salt="usersplit.ofrep.events.1")
        self._events_path = events_path
        self._monotonic = monotonic
        self._known: dict[bytes, Guest] = {}

    def known(self, token: bytes) -> Guest | None:
        """Return a token that is remembered, None if it must be asked for: see `let_in`. Never blocks."""
        guest = self._known.get(token)
        if guest is None or guest.revision != self._revision.number:
            return None
        late = self._monotonic() - guest.until
        if late <= 0:
            return guest
        if guest.is_asked and late <= GRACE_SECONDS:
            return guest
        guest.is_asked = True
        return None

    async def let_in(self, token: bytes) -> Guest:
        """Ask the database.

        Raises:
            NotSignedIn: it is no valid token.
            NotAllowed: it lacks the scope `evaluate`.
        """
        revision = self._revision.number  # before the question: a change that it does not see moves it afterwards
        try:
            identity = await asyncio.to_thread(self._identity, token)
        except AccountsError:
            self._known.pop(token, None)
            raise
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        until = self._monotonic() + TRUST_SECONDS
        guest = Guest(identity=identity, tail=self._tail(identity), revision=revision, until=until)
        self._known[token] = guest
        return guest

    async def let_listen(self, ticket: str) -> None:
        """Return if whoever shows this ticket was handed it for a token that may still evaluate. Asks the database.

        Raises:
            NotSignedIn: it is no ticket of ours, or its token is over.
            NotAllowed: the token lacks the scope `evaluate` by now.
        """
        try:
            token_id = self._signer.unsign(ticket).decode()
        except BadSignature as error:
            raise NotSignedIn("the ticket is not valid; take the address that a bulk evaluation gave") from error
        valid = await asyncio.to_thread(self._tokens.with_id, token_id)
        valid.identity.require("evaluate")

    def _identity(self, token: bytes) -> Identity:
        identity = self._tokens.identity_of(token.decode("latin-1"))
        identity.require("evaluate")
        return identity

    def _tail(self, identity: Identity) -> bytes:
        ticket = self._signer.sign(identity.token_id).decode()
        return b',"eventStreams":[{"type":"sse","endpoint":{"requestUri":"%s?ticket=%s"}}]}' % (
            self._events_path.encode(),
            ticket.encode(),
        )
