"""What the identity provider says when somebody's session there is over, by OpenID Connect Back-Channel Logout 1.0.

Rules only (2.4 and 2.6 there): no wire, no database. That the provider signed the token is found out before.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from joserfc.jwt import JWTClaimsRegistry

from accounts.errors import WrongLogoutToken

LONGEST_WAY: Final = timedelta(minutes=10)
"""How old a token may be, whatever end it gives itself: so long its id is remembered, so that it counts once."""

_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
# Providers of before the specification was final write "JWT", or nothing. Any other type is a token for something else.
_TYPES: Final = frozenset({"", "jwt", "logout+jwt", "application/logout+jwt"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Logout:
    """Whose session is over.

    Attributes:
        token_id: names this word of the provider, which counts once.
        subject: the person; empty where only the session is named.
        session: the session at the provider; empty: all of the person's.
        until: when the token is too old anyway.
    """

    token_id: str
    subject: str
    session: str
    until: datetime


def logout_in(
    header: Mapping[str, Any],
    claims: Mapping[str, Any],
    *,
    issuer: str,
    client_id: str,
    now: datetime,
    skew: timedelta,
) -> Logout:
    """Return what a token says whose signature is the provider's; its clock may be `skew` away from `now`.

    Raises:
        WrongLogoutToken: it is no logout token, or not for us here and now.
        joserfc.errors.JoseError: so is a claim that every token has.
    """
    if str(header.get("typ", "")).lower() not in _TYPES:
        raise WrongLogoutToken("its type is another one")
    # An id_token that somebody got hold of must not sign its person out; it has a nonce, and no such event.
    if "nonce" in claims:
        raise WrongLogoutToken("it has a nonce, as an id_token has")
    events = claims.get("events")
    if not isinstance(events, Mapping) or not isinstance(events.get(_EVENT), Mapping):
        raise WrongLogoutToken("it tells of no logout")
    registry = JWTClaimsRegistry(
        now=int(now.timestamp()),
        leeway=int(skew.total_seconds()),
        iss={"essential": True, "value": issuer},
        aud={"essential": True},
        iat={"essential": True},
        jti={"essential": True},
    )
    registry.validate(dict(claims))
    if claims["aud"] not in (client_id, [client_id]):
        raise WrongLogoutToken("it is for somebody else, or for others as well")
    # `exp` is in the specification since it is final; not every provider sends it, so the age counts as well.
    left = claims["iat"] + int((LONGEST_WAY + skew).total_seconds()) - int(now.timestamp())
    if left <= 0:
        raise WrongLogoutToken("it is too old")
    subject, session = _text(claims, "sub"), _text(claims, "sid")
    if not subject and not session:
        raise WrongLogoutToken("it names neither a person nor a session")
    return Logout(token_id=claims["jti"], subject=subject, session=session, until=now + timedelta(seconds=left))


def _text(claims: Mapping[str, Any], name: str) -> str:
    said = claims.get(name, "")
    # No database is asked for what it cannot hold.
    if not isinstance(said, str) or not said.isprintable() or (name in claims and not said):
        raise WrongLogoutToken(f"its {name} is no text")
    return said
