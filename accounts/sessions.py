"""Sessions: who signed in, in a cookie that is signed, so that nothing has to be kept for it.

A session ends with its age, with the account's new password, with its closing (`session_epoch`), or with signing out:
the ids of those that were ended so are kept until their cookies are too old.
"""

import secrets
from dataclasses import dataclass
from typing import Final

from accounts.signing import SigningKeys

COOKIE: Final = "usersplit_session"
"""The cookie's name where browsers may come without https."""

SAFE_COOKIE: Final = f"__Host-{COOKIE}"
"""Its name where they come by https alone: browsers let no other host of the domain set a cookie that is called so."""

_SALT: Final = "usersplit.session.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What a signed cookie says: the account's name, its session epoch, and an id of this one session."""

    name: str
    epoch: int
    session_id: str


def new_session(name: str, epoch: int) -> Session:
    """Return a session that has begun just now."""
    return Session(name=name, epoch=epoch, session_id=secrets.token_urlsafe(9))


class Sessions:
    """Writes and reads session cookies.

    Args:
        keys: sign them; whoever has one can be anybody.
        seconds: how long a session lasts.
        over_https: whether browsers come by https alone.

    Attributes:
        cookie: the cookie's name.
    """

    def __init__(self, keys: SigningKeys, *, seconds: int, over_https: bool = False) -> None:
        self.keys = keys
        self.seconds = seconds
        self.cookie = SAFE_COOKIE if over_https else COOKIE

    def write(self, session: Session) -> str:
        """Return the value of a session's cookie."""
        return self.keys.sign([session.name, session.epoch, session.session_id], salt=_SALT)

    def read(self, cookie: str) -> Session | None:
        """Return what the cookie says, None where it is forged, damaged or too old."""
        match self.keys.read(cookie, salt=_SALT, seconds=self.seconds):
            case [str(name), int(epoch), str(session_id)]:
                return Session(name=name, epoch=epoch, session_id=session_id)
            case _:
                return None
