"""A logout token counts where it is the identity provider's word to us, here and now; anybody else's ends nothing."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Event
from typing import Any, Final

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from sqlalchemy import Engine

from accounts.errors import ProviderUnavailable, WrongLogoutToken
from accounts.openid_logout import LONGEST_WAY
from accounts.openid_provider import CLOCK_SKEW
from tests.support.logout_tokens import EVENT, OTHER_KEY, SECRET, House, signed


@pytest.fixture
def house(sqlite_database: Engine) -> House:
    return House(sqlite_database)


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
        house.openid.sign_out_by_provider(signed(house.claims))
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


def test_strangers_tokens_hold_no_thread_while_the_provider_does_not_answer(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.sign_in("1")
    asking, answered = Event(), Event()
    answer = house.answer

    def hang(request: httpx.Request) -> httpx.Response:
        asking.set()
        assert answered.wait(30)
        return answer(request)

    monkeypatch.setattr(house, "answer", hang)
    forged = jwt.encode({"alg": "ES256", "kid": "two"}, house.logout(), OTHER_KEY)

    def tell() -> None:
        with pytest.raises(WrongLogoutToken):
            house.openid.sign_out_by_provider(forged)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(tell)
        assert asking.wait(30)
        house.clock.seconds += 60
        try:
            pool.submit(tell).result(timeout=30)  # and what the provider did sign counts meanwhile
            assert house.end() == ["person-1"]
            assert not first.done()
        finally:
            answered.set()
        first.result(timeout=30)


def test_a_provider_that_is_down_is_named(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(house, "answer", lambda _: httpx.Response(503))
    with pytest.raises(ProviderUnavailable):
        house.end()
