"""Sessions: who signed in, in a cookie that is signed, so that nothing has to be kept for it.

A session ends with its age, with the account's new password, or with its closing (`session_epoch`).
"""

import secrets
from dataclasses import dataclass
from typing import Final

from itsdangerous import BadData, URLSafeTimedSerializer
from sqlalchemy import Engine, insert, select
from sqlalchemy.exc import IntegrityError

from accounts.tables import secrets_table
from events.database import write_transaction

COOKIE: Final = "usersplit_session"
"""The cookie's name."""

_SALT: Final = "usersplit.session.1"
_LONGEST_COOKIE: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What a signed cookie says: the account's name, its session epoch, and an id of this one session."""

    name: str
    epoch: int
    session_id: str


class Sessions:
    """Writes and reads session cookies.

    Args:
        secret: the key that signs them; whoever has it can be anybody.
        seconds: how long a session lasts.
    """

    def __init__(self, secret: str, *, seconds: int) -> None:
        self._serializer = URLSafeTimedSerializer(secret, salt=_SALT)
        self.secret = secret
        self.seconds = seconds

    def write(self, name: str, epoch: int) -> str:
        """Return the value of the cookie of a new session."""
        return str(self._serializer.dumps([name, epoch, secrets.token_urlsafe(9)]))

    def read(self, cookie: str) -> Session | None:
        """Return what the cookie says, None where it is forged, damaged or too old."""
        if len(cookie) > _LONGEST_COOKIE:
            return None
        try:
            document = self._serializer.loads(cookie, max_age=self.seconds)
        except BadData:
            return None
        match document:
            case [str(name), int(epoch), str(session_id)]:
                return Session(name=name, epoch=epoch, session_id=session_id)
            case _:
                return None


def secret_of(engine: Engine) -> str:
    """Return the secret of this database's sessions, made at the first call; the same for all processes."""
    query = select(secrets_table.c.value).where(secrets_table.c.name == "sessions")
    with engine.connect() as connection:
        found = connection.execute(query).scalar_one_or_none()
    if found is not None:
        return str(found)
    try:
        with write_transaction(engine) as connection:
            connection.execute(insert(secrets_table).values(name="sessions", value=secrets.token_urlsafe(48)))
    except IntegrityError:
        pass  # another process was faster, and its secret counts
    with engine.connect() as connection:
        return str(connection.execute(query).scalar_one())
