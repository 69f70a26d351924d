"""Which sessions here began with which one at the identity provider: what its logout tokens end, each once."""

import hashlib
from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, delete, insert, select

from accounts.directory import AccountDirectory
from accounts.errors import WrongLogoutToken
from accounts.openid_logout import Logout
from accounts.revision import Revision
from accounts.tables import provider_sessions_table, used_logout_tokens_table
from accounts.transactions import insert_if_new
from events.database import write_transaction

_TABLES: Final = (provider_sessions_table, used_logout_tokens_table)


class ProviderSessions:
    """The sessions in the database. Safe to share between threads.

    Args:
        engine: the database.
        directory: ends the sessions.
        now: the clock.
        revision: moves when a session is over.
    """

    def __init__(
        self, engine: Engine, directory: AccountDirectory, now: Callable[[], datetime], revision: Revision
    ) -> None:
        self._engine = engine
        self._directory = directory
        self._now = now
        self._revision = revision

    def note(self, session_id: str, *, account: str, issuer: str, session: str, until: datetime) -> None:
        """Note that a session here began with the provider's; its cookie is too old `until` then."""
        row = {
            "session_id": session_id,
            "provider_session": _hash(issuer, session),
            "account": account,
            "until": until,
        }
        with write_transaction(self._engine) as connection:
            for table in _TABLES:
                connection.execute(delete(table).where(table.c.until <= self._now()))
            connection.execute(insert(provider_sessions_table).values(row))

    def end(self, issuer: str, logout: Logout) -> list[str]:
        """End what the provider says is over; return the names of the accounts that had something of it.

        A session that it names ends alone. Where it names none, or one that no session here is known to have begun with
        (it was not told at the sign-in), all of the person's end: one too many rather than one too few.

        Raises:
            WrongLogoutToken: the token was used before; nothing is changed.
        """
        with write_transaction(self._engine) as connection:
            used = {"token": _hash(issuer, logout.token_id), "until": logout.until}
            # In the transaction of what it ends: after a crash the provider's next attempt finds both, or neither.
            if not insert_if_new(connection, used_logout_tokens_table, used):
                raise WrongLogoutToken("it was used before")
            directory = self._directory.within(lambda: nullcontext(connection))
            begun = _begun_with(connection, issuer, logout.session) if logout.session else []
            for row in begun:
                directory.end_session(row.session_id, until=row.until)
            names = sorted({row.account for row in begun})
            if not begun and logout.subject:
                account = directory.with_subject(issuer, logout.subject)
                names = [] if account is None else [account.name]
                for name in names:
                    directory.end_sessions(name)
        self._revision.move()
        return names


def _begun_with(connection: Connection, issuer: str, session: str) -> list[Row[Any]]:
    table = provider_sessions_table
    query = select(table).where(table.c.provider_session == _hash(issuer, session)).order_by(table.c.session_id)
    return list(connection.execute(query))


def _hash(issuer: str, text: str) -> str:
    # Whatever a provider calls its sessions: every database keeps this, and nobody can do anything with it.
    return hashlib.sha256(f"{issuer}\n{text}".encode(errors="replace")).hexdigest()
