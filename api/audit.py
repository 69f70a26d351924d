"""The audit log: a line for everything that was refused, and for every sign-in.

Lines go to the logger `usersplit.audit`, so that they can be sent where a company keeps such lines. Each text that came
from outside is quoted, so that no name or path can pretend to be a line of its own.
"""

import logging
from typing import Final

from starlette.requests import HTTPConnection

from accounts import audit
from accounts.audit import quoted
from accounts.identity import Identity

_log: Final = logging.getLogger("usersplit.audit")


def note_identity(connection: HTTPConnection, identity: Identity) -> None:
    """Remember who asks, for the lines of this request."""
    connection.state.identity = identity


def is_identified(connection: HTTPConnection) -> bool:
    """Return whether it is known who asks."""
    return getattr(connection.state, "identity", None) is not None


def note_refusal(connection: HTTPConnection, status: int, error: str, detail: str) -> None:
    """Log that a request was refused, by which rule."""
    _log.warning(
        "refused: %s %s by %s from %s: %d %s %s",
        connection.scope.get("method", "WEBSOCKET"),
        quoted(connection.scope.get("path", "")),
        _who(connection),
        address_of(connection),
        status,
        error,
        quoted(detail),
    )


def note_sign_in(connection: HTTPConnection, name: str, way: str) -> None:
    """Log that somebody signed in, by password or by the identity provider."""
    _log.info("signed in: %s by %s from %s", quoted(name), way, address_of(connection))


def note_change(connection: HTTPConnection, what: str) -> None:
    """Log a change of accounts or tokens, which no changelog of a test tells."""
    audit.note_change(what, who=_who(connection), address=address_of(connection))


def address_of(connection: HTTPConnection) -> str:
    """Return the address that asks; behind a proxy that is trusted, the one that the proxy tells."""
    return connection.client.host if connection.client else "unknown"


def _who(connection: HTTPConnection) -> str:
    identity: Identity | None = getattr(connection.state, "identity", None)
    if identity is None:
        return "nobody"
    return f"{identity.name} (token {identity.token_id})" if identity.token_id else identity.name
