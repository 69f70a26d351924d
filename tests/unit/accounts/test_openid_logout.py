"""What the identity provider says of ended sessions ends those, once; anybody else's word ends nothing."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey
from sqlalchemy import Engine, event, select

from accounts.desk import Desk
from accounts.errors import ProviderUnavailable, WrongLogoutToken
from accounts.openid import Answer, OpenIdDesk
from accounts.openid_logout import LONGEST_WAY
from accounts.openid_people import PeopleRules
from accounts.openid_provider import CLOCK_SKEW, OpenIdProvider
from accounts.tables import provider_sessions_table, used_logout_tokens_table
from events.database import open_database
from tests.support.people import MovedClock, make_tables, open_desk

ISSUER: Final = "https://id.example.com"
EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
KEY, OTHER_KEY = (ECKey.generate_key("P-256", {"kid": kid, "alg": "ES256"}) for kid in ("one", "two"))
SECRET: Final = "the client's secret, known to both sides"  # noqa: S105 - made up


class House:
    """The desk of a company, whose provider signs whatever a test wants."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.clock = MovedClock()
        self.clock.moment = datetime(2026, 5, 1, 9, tzinfo=UTC)
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
            open_http=lambda: httpx.Client(transport=httpx.MockTransport(self._answer)),
        )
        self.openid = self._opened(self.desk)
        self.elsewhere = self._opened(open_desk(engine, self.clock))
        self._claims: Mapping[str, Any] = {}

    def _opened(self, desk: Desk) -> OpenIdDesk:
        people = PeopleRules(default_role="viewer")
        return OpenIdDesk(desk, self.provider, people, public_url="https://split.example.com", callback="/back")

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        if request.url.path == "/keys":
            return httpx.Response(200, json=KeySet([*self.keys]).as_dict(private=False))
        if request.url.path == "/token":
            return httpx.Response(200, json={"token_type": "Bearer", "id_token": signed(self._claims)})
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
        self._claims = {
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


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    engine = open_database(f"sqlite:///{tmp_path / 'accounts.db'}")
    make_tables(engine)
    yield House(engine)
    engine.dispose()


def test_the_session_that_the_provider_names_ends_and_no_other(house: House) -> None:
    laptop, phone = house.sign_in("1", sid="laptop"), house.sign_in("1", sid="phone")
    other = house.sign_in("2", sid="theirs")
    assert house.end(sid="laptop") == ["person-1"]
    assert [house.is_open(cookie) for cookie in (laptop, phone, other)] == [False, True, True]
    assert house.end(jti="the second", sid="phone", sub=None) == ["person-1"]
    assert [house.is_open(cookie) for cookie in (laptop, phone, other)] == [False, False, True]


def test_all_sessions_of_a_person_end_where_the_provider_names_none(house: House) -> None:
    mine = [house.sign_in("1", sid="laptop"), house.sign_in("1")]
    other = house.sign_in("2")
    assert house.end() == ["person-1"]
    assert [house.is_open(cookie) for cookie in (*mine, other)] == [False, False, True]


def test_all_end_as_well_where_the_session_that_it_names_was_never_told_of(house: House) -> None:
    before = house.sign_in("1")
    assert house.end(sid="laptop") == ["person-1"]
    assert not house.is_open(before)


def test_nobody_here_is_meant_and_nothing_is_wrong_with_it(house: House) -> None:
    mine = house.sign_in("1", sid="laptop")
    assert house.end(sub="unknown") == []
    assert house.end(jti="the second", sub=None, sid="unknown") == []
    assert house.is_open(mine)


def test_who_signs_in_again_stays_although_the_provider_names_the_new_session_as_the_old_one(house: House) -> None:
    house.sign_in("1", sid="of this browser")
    house.end(sid="of this browser")
    again = house.sign_in("1", sid="of this browser")
    assert house.is_open(again)


def test_a_token_counts_once_in_every_process(house: House) -> None:
    house.sign_in("1")
    token = signed(house.logout())
    house.openid.sign_out_by_provider(token)
    again = house.sign_in("1")
    for desk in (house.openid, house.elsewhere):
        with pytest.raises(WrongLogoutToken, match="used before"):
            desk.sign_out_by_provider(token)
    assert house.is_open(again)


def test_its_id_is_remembered_until_it_is_too_old_to_count(house: House) -> None:
    house.sign_in("1")
    token = signed(house.logout(exp=None))
    house.openid.sign_out_by_provider(token)
    house.clock.moment += LONGEST_WAY + CLOCK_SKEW - timedelta(seconds=1)
    house.sign_in("1", sid="x")  # which is when old ones are forgotten
    with pytest.raises(WrongLogoutToken, match="used before"):
        house.openid.sign_out_by_provider(token)
    house.clock.moment += timedelta(seconds=1)
    house.sign_in("1", sid="y")
    with pytest.raises(WrongLogoutToken, match="too old"):
        house.openid.sign_out_by_provider(token)
    with house.engine.connect() as connection:
        assert connection.execute(select(used_logout_tokens_table)).all() == []


def test_the_link_to_the_provider_s_session_is_forgotten_with_the_session(house: House) -> None:
    house.sign_in("1", sid="laptop")
    house.clock.moment += timedelta(seconds=3600)
    house.sign_in("2", sid="another")
    with house.engine.connect() as connection:
        assert connection.execute(select(provider_sessions_table.c.account)).scalars().all() == ["person-2"]


def test_where_ending_fails_the_token_may_come_once_more(house: House) -> None:
    mine = house.sign_in("1", sid="laptop")
    token = signed(house.logout(sid="laptop"))

    def fail(*given: Any) -> None:
        if "ended_sessions" in given[2]:
            raise RuntimeError("the machine is switched off")

    event.listen(house.engine, "before_cursor_execute", fail)
    with pytest.raises(RuntimeError):
        house.openid.sign_out_by_provider(token)
    event.remove(house.engine, "before_cursor_execute", fail)
    assert house.is_open(mine)
    assert house.openid.sign_out_by_provider(token) == ["person-1"]
    assert not house.is_open(mine)


MINUTE: Final = int(CLOCK_SKEW.total_seconds())
AGE: Final = int(LONGEST_WAY.total_seconds())
NOW: Final = int(datetime(2026, 5, 1, 9, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    "lie",
    [
        {"iss": "https://id.example.org"},
        {"iss": None},
        {"aud": "another service"},
        {"aud": ["another service"]},
        {"aud": ["usersplit", "another service"]},
        {"aud": None},
        {"iat": NOW + MINUTE + 1},
        {"iat": NOW - AGE - MINUTE},
        {"iat": NOW - AGE - MINUTE, "exp": NOW + 10**9},
        {"iat": -(10**400)},
        {"iat": "now"},
        {"iat": True},
        {"iat": None},
        {"exp": NOW - MINUTE},
        {"exp": "soon"},
        {"nbf": NOW + MINUTE + 1},
        {"jti": None},
        {"jti": ""},
        {"jti": 1},
        {"events": None},
        {"events": {}},
        {"events": {"http://schemas.openid.net/event/another": {}}},
        {"events": {EVENT: True}},
        {"events": {EVENT: []}},
        {"events": [EVENT]},
        {"events": EVENT},
        {"nonce": "of a sign-in"},
        {"nonce": ""},
        {"sub": None},
        {"sub": ""},
        {"sub": 1},
        {"sub": None, "sid": ""},
        {"sid": ""},
        {"sid": 1},
        {"sub": "1\0"},
        {"sid": ["laptop"]},
    ],
    ids=lambda lie: json.dumps(lie)[:60],
)
def test_a_token_that_tells_us_of_no_logout_here_and_now_ends_nothing(house: House, lie: dict[str, Any]) -> None:
    mine = house.sign_in("1", sid="laptop")
    with pytest.raises(WrongLogoutToken):
        house.end(**lie)
    assert house.is_open(mine)
    assert house.end() == ["person-1"]  # nor is it taken for used


def test_a_nonce_that_is_null_is_one(house: House) -> None:
    with pytest.raises(WrongLogoutToken, match="nonce"):
        house.openid.sign_out_by_provider(signed(house.logout() | {"nonce": None}))


@pytest.mark.parametrize(
    "truth",
    [
        {"iat": NOW + MINUTE},
        {"iat": NOW - AGE - MINUTE + 1, "exp": None},
        {"exp": NOW - MINUTE + 1},
        {"exp": None},
        {"aud": ["usersplit"]},
        {"events": {EVENT: {"more": 1}, "http://schemas.openid.net/event/another": {}}},
        {"jti": "\0ü"},
    ],
    ids=json.dumps,
)
def test_clocks_may_differ_by_a_minute_and_not_every_provider_gives_an_end(house: House, truth: dict[str, Any]) -> None:
    mine = house.sign_in("1")
    assert house.end(**truth) == ["person-1"]
    assert not house.is_open(mine)


@pytest.mark.parametrize("kind", ["JWT", "logout+jwt", "application/logout+jwt", "Logout+JWT"])
def test_its_type_may_be_said(house: House, kind: str) -> None:
    house.sign_in("1")
    assert house.openid.sign_out_by_provider(signed(house.logout(), typ=kind)) == ["person-1"]


@pytest.mark.parametrize("kind", ["at+jwt", "id_token", "secevent+jwt"])
def test_a_token_for_something_else_is_refused_by_its_type(house: House, kind: str) -> None:
    with pytest.raises(WrongLogoutToken, match="type"):
        house.openid.sign_out_by_provider(signed(house.logout(), typ=kind))


def unsigned(claims: Mapping[str, Any]) -> str:
    parts = (urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({"alg": "none"}, claims))
    return ".".join((*parts, ""))


def tampered(claims: Mapping[str, Any]) -> str:
    mine, theirs = signed(claims).split("."), signed({**claims, "jti": "another"}).split(".")
    return ".".join((mine[0], theirs[1], mine[2]))


@pytest.mark.parametrize(
    "sign",
    [
        unsigned,
        tampered,
        lambda claims: jwt.encode({"alg": "HS256"}, dict(claims), OctKey.import_key(SECRET)),
        lambda claims: jwt.encode({"alg": "ES256", "kid": "one"}, dict(claims), OTHER_KEY),
        lambda claims: jwt.encode({"alg": "ES256", "kid": "two"}, dict(claims), OTHER_KEY),
        lambda _: "no token",
        lambda _: "",
        lambda _: "a.b.c",
        lambda claims: signed({**claims, "more": "x" * 1_000_000}),
        lambda _: "\ud800",
        lambda _: f"{urlsafe_b64encode(b'[' * 7_000 + b']' * 7_000).decode().rstrip('=')}.e30.e30",
    ],
    ids=[
        "none",
        "tampered",
        "secret",
        "another key",
        "unknown key",
        "no token",
        "empty",
        "dots",
        "long",
        "no text",
        "deep",
    ],
)
def test_a_token_that_the_provider_did_not_sign_ends_nothing(
    house: House, sign: Callable[[Mapping[str, Any]], str]
) -> None:
    mine = house.sign_in("1")
    with pytest.raises(WrongLogoutToken):
        house.openid.sign_out_by_provider(sign(house.logout()))
    assert house.is_open(mine)


def test_an_id_token_signs_nobody_out(house: House) -> None:
    mine = house.sign_in("1", sid="laptop", jti="an id", events={EVENT: {}})
    with pytest.raises(WrongLogoutToken, match="nonce"):
        house.openid.sign_out_by_provider(signed(house._claims))
    assert house.is_open(mine)


def test_strangers_tokens_do_not_make_us_ask_the_provider_again_and_again(house: House) -> None:
    forged = jwt.encode({"alg": "ES256", "kid": "two"}, house.logout(), OTHER_KEY)
    for _ in range(10):
        with pytest.raises(WrongLogoutToken):
            house.openid.sign_out_by_provider(forged)
    assert house.asked.count("/keys") == 2
    house.keys = [OTHER_KEY]  # it is the provider's own new key, as turns out
    house.clock.seconds += 5
    assert house.openid.sign_out_by_provider(forged) == []


def test_a_provider_that_is_down_is_named(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(house, "_answer", lambda _: httpx.Response(503))
    with pytest.raises(ProviderUnavailable):
        house.end()
