"""A company whose identity provider signs whatever logout token a test wants, without a wire."""

from collections.abc import Mapping
from typing import Any, Final

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from sqlalchemy import Engine

from accounts.desk import Desk
from accounts.openid import Answer, OpenIdDesk
from accounts.openid_people import PeopleRules
from accounts.openid_provider import OpenIdProvider
from tests.support.people import MovedClock, open_desk

ISSUER: Final = "https://id.example.com"
EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
KEY, OTHER_KEY = (ECKey.generate_key("P-256", {"kid": kid, "alg": "ES256"}) for kid in ("one", "two"))
SECRET: Final = "the client's secret, known to both sides"  # noqa: S105 - made up


class House:
    """The desk of a company, whose provider signs whatever a test wants."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.clock = MovedClock()
        self.desk = open_desk(engine, self.clock)
        self.keys = [KEY]
        self.asked: list[str] = []
        self.provider = OpenIdProvider(
            issuer=ISSUER,
            client_id="usersplit",
            client_secret=SECRET,
            scopes=("openid",),
            now=self.clock.now,
            monotonic=self.clock.monotonic,
            open_http=lambda: httpx.Client(transport=httpx.MockTransport(self.answer)),
        )
        self.openid = self._opened(self.desk)
        self.elsewhere = self._opened(open_desk(engine, self.clock))
        self.claims: Mapping[str, Any] = {}

    def _opened(self, desk: Desk) -> OpenIdDesk:
        people = PeopleRules(default_role="viewer")
        return OpenIdDesk(desk, self.provider, people, public_url="https://split.example.com", callback="/back")

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        if request.url.path == "/keys":
            return httpx.Response(200, json=KeySet([*self.keys]).as_dict(private=False))
        if request.url.path == "/token":
            return httpx.Response(200, json={"token_type": "Bearer", "id_token": signed(self.claims)})
        metadata = {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/authorize",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/keys",
            "id_token_signing_alg_values_supported": ["ES256", "HS256", "none"],
        }
        return httpx.Response(200, json=metadata)

    @property
    def moment(self) -> int:
        return int(self.clock.moment.timestamp())

    def sign_in(self, subject: str, **claims: Any) -> str:
        """Sign in by the provider; return the session's cookie."""
        begun = self.openid.begin("/")
        asked = httpx.URL(begun.url).params
        standing = {"iss": ISSUER, "aud": "usersplit", "iat": self.moment, "exp": self.moment + 300}
        self.claims = {
            **standing,
            "sub": subject,
            "preferred_username": f"person-{subject}",
            "nonce": asked["nonce"],
            **claims,
        }
        return self.openid.finish(begun.cookie, Answer(state=asked["state"], code="a code")).cookie

    def logout(self, **claims: Any) -> dict[str, Any]:
        """Return the claims of a logout token that is right, but for `claims`; None leaves one out."""
        right = {
            "iss": ISSUER,
            "aud": "usersplit",
            "iat": self.moment,
            "exp": self.moment + 120,
            "jti": "the first",
            "events": {EVENT: {}},
            "sub": "1",
        }
        return {name: said for name, said in {**right, **claims}.items() if said is not None}

    def end(self, **claims: Any) -> list[str]:
        return self.openid.sign_out_by_provider(signed(self.logout(**claims)))

    def is_open(self, cookie: str) -> bool:
        return self.desk.identity_of_session(cookie) is not None


def signed(claims: Mapping[str, Any], **header: Any) -> str:
    return jwt.encode({"alg": "ES256", "kid": "one", **header}, dict(claims), KEY)
