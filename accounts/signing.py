"""What signs the texts that browsers keep for us: the newest key signs, and the ones before it are still believed.

So a key can be replaced while people are signed in: give the new one, and name the old one beside it until what it
signed is too old. A process that meets a signature it does not know looks whether there is a newer key meanwhile.
"""

import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from itsdangerous import BadData, BadSignature, SignatureExpired, URLSafeTimedSerializer
from sqlalchemy import Connection, Engine, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from accounts.tables import secrets_table
from events.database import write_transaction

_NEWEST: Final = "sessions"
_BEFORE: Final = "sessions.before"
_LOOK_AGAIN_SECONDS: Final = 5.0
_LONGEST: Final = 4096


class SigningKeys:
    """Signs texts and reads what was signed. Safe to share between threads.

    Args:
        read: gives the keys, the newest first; asked again, rarely, where a signature is of none of them.
        monotonic: the clock that never jumps.
    """

    def __init__(self, read: Callable[[], Sequence[str]], monotonic: Callable[[], float]) -> None:
        self._read = read
        self._monotonic = monotonic
        self._keys = tuple(read())
        self._looked_at = monotonic()

    @property
    def oldest_first(self) -> list[str]:
        """The keys as itsdangerous wants them."""
        return list(reversed(self._keys))

    def sign(self, document: Any, *, salt: str) -> str:
        """Return a document of JSON with its signature and the moment. `salt` says what it is for."""
        return str(self._serializer(salt).dumps(document))

    def read(self, text: str, *, salt: str, seconds: int) -> Any | None:
        """Return the document, None where it was not signed by us for this, or is older than `seconds`."""
        if len(text) > _LONGEST or not text.isascii():
            return None
        with suppress(BadData):
            try:
                return self._serializer(salt).loads(text, max_age=seconds)
            except SignatureExpired:
                raise
            except BadSignature:
                if self._looked_again():
                    return self._serializer(salt).loads(text, max_age=seconds)
        return None

    def _serializer(self, salt: str) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(self.oldest_first, salt=salt)

    def _looked_again(self) -> bool:
        """Look for newer keys, at most every few seconds: forged texts must not cost a question each."""
        moment = self._monotonic()
        if moment - self._looked_at < _LOOK_AGAIN_SECONDS:
            return False
        self._looked_at = moment
        known, self._keys = self._keys, tuple(self._read())
        return known != self._keys


def kept_keys(engine: Engine) -> list[str]:
    """Return the keys that the database keeps, the newest first; one is made at the first call."""
    with engine.connect() as connection:
        found = _kept(connection)
    if found:
        return found
    try:
        with write_transaction(engine) as connection:
            connection.execute(insert(secrets_table).values(name=_NEWEST, value=_new_key()))
    except IntegrityError:
        pass  # another process was faster, and its key counts
    with engine.connect() as connection:
        return _kept(connection)


def replace_kept_key(engine: Engine, *, forget_old: bool) -> None:
    """Make a new key. What the old one signed is believed until the next time, or not at all with `forget_old`."""
    old = kept_keys(engine)[0]
    with write_transaction(engine) as connection:
        connection.execute(delete(secrets_table).where(secrets_table.c.name == _BEFORE))
        connection.execute(update(secrets_table).where(secrets_table.c.name == _NEWEST).values(value=_new_key()))
        if not forget_old:
            connection.execute(insert(secrets_table).values(name=_BEFORE, value=old))


def _kept(connection: Connection) -> list[str]:
    found = {name: str(value) for name, value in connection.execute(select(secrets_table))}
    return [found[name] for name in (_NEWEST, _BEFORE) if name in found]


def _new_key() -> str:
    return secrets.token_urlsafe(48)
