"""What an identity provider says is believed only where it cannot be anybody else's word."""

import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey

from accounts.errors import ProviderUnavailable, SignInDenied, SignInFailed, WrongIdToken
from accounts.openid_provider import CLOCK_SKEW, OpenIdProvider

ISSUER = "https://id.example.com/company"
BACK = "https://split.example.com/back"
NOW = datetime(2026, 5, 1, 9, tzinfo=UTC)
KEY, OTHER_KEY = (ECKey.generate_key("P-256", {"kid": kid, "alg": "ES256"}) for kid in ("one", "two"))
SECRET = "the client's secret, known to both sides"  # noqa: S105 - made up


class FakeProvider:
    """A provider in this process, which can be told to lie."""

    def __init__(self) -> None:
        self.keys = [KEY]
        self.asked: list[httpx.Request] = []
        self.metadata: dict[str, Any] = {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/authorize?tenant=1",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/keys",
            "userinfo_endpoint": f"{ISSUER}/me",
            "end_session_endpoint": f"{ISSUER}/out",
            "id_token_signing_alg_values_supported": ["ES256", "HS256", "none"],
        }
        self.claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": "usersplit",
            "sub": "4711",
            "nonce": "the nonce",
            "iat": int(NOW.timestamp()),
            "exp": int((NOW + timedelta(minutes=5)).timestamp()),
        }
        self.told: Any = {"sub": "4711", "preferred_username": "ann", "groups": ["pm"]}
        self.answers: dict[str, httpx.Response] = {}
        self.sign: Callable[[Mapping[str, Any]], str] = lambda claims: jwt.encode(
            {"alg": "ES256", "kid": "one"}, dict(claims), KEY
        )

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        path = request.url.path.removeprefix("/company")
        if path in self.answers:
            return self.answers[path]
        documents: dict[str, Callable[[], Any]] = {
            "/.well-known/openid-configuration": lambda: self.metadata,
            "/keys": lambda: KeySet([*self.keys]).as_dict(private=False),
            "/token": lambda: {
                "access_token": "opaque",
                "token_type": "Bearer",
                "id_token": self.sign({name: said for name, said in self.claims.items() if said is not None}),
            },
            "/me": lambda: self.told,
        }
        return httpx.Response(200, json=documents[path]())

    def asked_for(self, path: str) -> list[httpx.Request]:
        return [request for request in self.asked if request.url.path.endswith(path)]


class Clock:
    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def fake() -> FakeProvider:
    return FakeProvider()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def provider(fake: FakeProvider, clock: Clock) -> OpenIdProvider:
    return made(fake, clock)


def made(fake: FakeProvider, clock: Clock, *, secret: str = SECRET) -> OpenIdProvider:
    return OpenIdProvider(
        issuer=ISSUER,
        client_id="usersplit",
        client_secret=secret,
        scopes=("openid", "profile"),
        now=lambda: NOW,
        monotonic=clock.monotonic,
        open_http=lambda: httpx.Client(transport=httpx.MockTransport(fake.answer)),
    )


def come_back(provider: OpenIdProvider) -> Mapping[str, Any]:
    return provider.claims_of("a code", redirect_uri=BACK, nonce="the nonce", verifier="v" * 64)


def test_a_person_is_sent_with_state_nonce_and_a_challenge(provider: OpenIdProvider) -> None:
    url = provider.sign_in_url(redirect_uri=BACK, state="the state", nonce="the nonce", verifier="v" * 64)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    challenge = asked.pop("code_challenge")
    assert asked == {
        "tenant": "1",
        "response_type": "code",
        "client_id": "usersplit",
        "redirect_uri": BACK,
        "scope": "openid profile",
        "state": "the state",
        "nonce": "the nonce",
        "code_challenge_method": "S256",
    }
    assert len(challenge) == 43
    assert "v" * 64 not in url


def test_who_comes_back_is_whom_the_token_and_the_userinfo_name(provider: OpenIdProvider, fake: FakeProvider) -> None:
    claims = come_back(provider)
    assert (claims["sub"], claims["preferred_username"], claims["groups"]) == ("4711", "ann", ["pm"])
    sent = dict(parse_qsl(fake.asked_for("/token")[0].content.decode()))
    assert sent == {
        "grant_type": "authorization_code",
        "code": "a code",
        "redirect_uri": BACK,
        "code_verifier": "v" * 64,
    }
    assert fake.asked_for("/token")[0].headers["authorization"].startswith("Basic ")


@pytest.mark.parametrize(
    ("methods", "secret", "fields"),
    [
        (["client_secret_post"], SECRET, {"client_id": "usersplit", "client_secret": SECRET}),
        (["none", "client_secret_basic"], "", {"client_id": "usersplit"}),
    ],
)
def test_we_prove_who_we_are_as_the_provider_takes_it(
    fake: FakeProvider, clock: Clock, methods: list[str], secret: str, fields: dict[str, str]
) -> None:
    fake.metadata["token_endpoint_auth_methods_supported"] = methods
    come_back(made(fake, clock, secret=secret))
    (asked,) = fake.asked_for("/token")
    sent = dict(parse_qsl(asked.content.decode()))
    assert {name: sent[name] for name in sent if name.startswith("client_")} == fields
    assert "authorization" not in asked.headers


LATER = int((NOW + CLOCK_SKEW).timestamp())
EARLIER = int((NOW - CLOCK_SKEW).timestamp())


@pytest.mark.parametrize(
    "lie",
    [
        {"iss": "https://id.example.com/other"},
        {"iss": None},
        {"aud": "another service"},
        {"aud": ["another service"]},
        {"aud": "another service", "azp": "usersplit"},
        {"aud": ["usersplit", "another service"]},
        {"aud": ["usersplit"], "azp": "another service"},
        {"aud": None},
        {"sub": None},
        {"sub": ""},
        {"sub": 4711},
        {"nonce": "of another sign-in"},
        {"nonce": None},
        {"exp": EARLIER},
        {"exp": None},
        {"exp": "soon"},
        {"iat": LATER + 1},
        {"nbf": LATER + 1},
        {"at_hash": "of another token"},
    ],
    ids=json.dumps,
)
def test_a_token_that_is_not_for_us_here_and_now_is_refused(
    provider: OpenIdProvider, fake: FakeProvider, lie: dict[str, Any]
) -> None:
    fake.claims |= lie
    with pytest.raises(WrongIdToken):
        come_back(provider)


@pytest.mark.parametrize("truth", [{"exp": EARLIER + 1}, {"iat": LATER}, {"aud": ["usersplit"]}], ids=json.dumps)
def test_clocks_may_differ_by_a_minute_and_an_audience_may_be_a_list(
    provider: OpenIdProvider, fake: FakeProvider, truth: dict[str, Any]
) -> None:
    fake.claims |= truth
    assert come_back(provider)["sub"] == "4711"


def unsigned(claims: Mapping[str, Any]) -> str:
    return f"{encoded({'alg': 'none'})}.{encoded(claims)}."


def signed_with_its_public_key(claims: Mapping[str, Any]) -> str:
    signed = f"{encoded({'alg': 'HS256', 'kid': 'one'})}.{encoded(claims)}"
    signature = hmac.digest(KEY.as_pem(private=False), signed.encode(), "sha256")
    return f"{signed}.{urlsafe_b64encode(signature).decode().rstrip('=')}"


def encoded(document: Mapping[str, Any]) -> str:
    return urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


def tampered(claims: Mapping[str, Any]) -> str:
    mine = jwt.encode({"alg": "ES256", "kid": "one"}, dict(claims), KEY).split(".")
    theirs = jwt.encode({"alg": "ES256", "kid": "one"}, {**claims, "sub": "1"}, KEY).split(".")
    return ".".join((mine[0], theirs[1], mine[2]))


@pytest.mark.parametrize(
    "sign",
    [
        unsigned,
        tampered,
        lambda claims: jwt.encode({"alg": "HS256"}, dict(claims), OctKey.import_key(SECRET)),
        signed_with_its_public_key,
        lambda claims: jwt.encode({"alg": "ES256", "kid": "one"}, dict(claims), OTHER_KEY),
        lambda claims: jwt.encode({"alg": "ES256", "kid": "two"}, dict(claims), OTHER_KEY),
        lambda _: "no token",
        lambda _: "",
    ],
    ids=["none", "tampered", "our secret", "its public key", "another key", "unknown key", "no token", "empty"],
)
def test_a_token_that_the_provider_did_not_sign_is_refused(
    provider: OpenIdProvider, fake: FakeProvider, sign: Callable[[Mapping[str, Any]], str]
) -> None:
    fake.sign = sign
    with pytest.raises(WrongIdToken):
        come_back(provider)


def test_a_provider_may_change_its_keys_at_any_time(provider: OpenIdProvider, fake: FakeProvider) -> None:
    come_back(provider)
    fake.keys = [OTHER_KEY]
    fake.sign = lambda claims: jwt.encode({"alg": "ES256", "kid": "two"}, dict(claims), OTHER_KEY)
    assert come_back(provider)["sub"] == "4711"
    fake.sign = lambda claims: jwt.encode({"alg": "ES256", "kid": "one"}, dict(claims), KEY)
    with pytest.raises(WrongIdToken):
        come_back(provider)


def test_userinfo_about_somebody_else_is_refused(provider: OpenIdProvider, fake: FakeProvider) -> None:
    fake.told = {"sub": "1", "preferred_username": "root"}
    with pytest.raises(WrongIdToken, match="somebody else"):
        come_back(provider)


def test_what_is_signed_counts_more_than_what_is_told(provider: OpenIdProvider, fake: FakeProvider) -> None:
    fake.claims["preferred_username"] = "signed"
    assert come_back(provider)["preferred_username"] == "signed"


def test_a_code_that_was_used_is_denied_and_tells_no_stranger_s_text(
    provider: OpenIdProvider, fake: FakeProvider
) -> None:
    fake.answers["/token"] = httpx.Response(400, json={"error": "invalid_grant", "error_description": "<b>"})
    with pytest.raises(SignInDenied, match="invalid_grant") as refused:
        come_back(provider)
    assert "<b>" not in str(refused.value)
    fake.answers["/token"] = httpx.Response(400, json={"error": "<script>"})
    with pytest.raises(SignInDenied) as refused:
        come_back(provider)
    assert "<script>" not in str(refused.value)


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/token", "/keys", "/me"])
@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500),
        httpx.Response(429, text="slow down"),
        httpx.Response(302, headers={"Location": "https://evil.example.com/"}),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json=[]),
        httpx.Response(200, content=b"\xff\xfe"),
    ],
    ids=["500", "429", "302", "html", "list", "bytes"],
)
def test_whatever_a_broken_provider_answers_is_a_named_refusal(
    provider: OpenIdProvider, fake: FakeProvider, path: str, answer: httpx.Response
) -> None:
    fake.answers[path] = answer
    with pytest.raises(SignInFailed):
        come_back(provider)
    assert all(request.url.host == "id.example.com" for request in fake.asked)


@pytest.mark.parametrize("issuer", ["https://evil.example.com", ISSUER + "/", None])
def test_whoever_answers_in_the_provider_s_place_does_not_become_it(
    provider: OpenIdProvider, fake: FakeProvider, issuer: str | None
) -> None:
    fake.metadata["issuer"] = issuer
    with pytest.raises(ProviderUnavailable, match="calls itself"):
        come_back(provider)


@pytest.mark.parametrize("endpoint", [None, "", "http://id.example.com/token", "javascript:alert(1)", 5, "https://["])
def test_an_endpoint_to_which_no_secret_can_be_sent_is_refused(
    provider: OpenIdProvider, fake: FakeProvider, endpoint: object
) -> None:
    fake.metadata["token_endpoint"] = endpoint
    with pytest.raises(ProviderUnavailable, match="token_endpoint"):
        come_back(provider)
    assert fake.asked_for("/token") == []


def test_documents_are_asked_for_once_an_hour(provider: OpenIdProvider, fake: FakeProvider, clock: Clock) -> None:
    come_back(provider)
    come_back(provider)
    assert [len(fake.asked_for(path)) for path in ("configuration", "/keys")] == [1, 1]
    clock.seconds += 3600
    come_back(provider)
    assert [len(fake.asked_for(path)) for path in ("configuration", "/keys")] == [2, 2]


def test_a_provider_that_is_down_is_not_asked_by_everybody_at_once(
    provider: OpenIdProvider, fake: FakeProvider, clock: Clock
) -> None:
    fake.answers["/.well-known/openid-configuration"] = httpx.Response(503)
    for _ in range(10):
        with pytest.raises(ProviderUnavailable):
            come_back(provider)
    assert len(fake.asked) == 1
    del fake.answers["/.well-known/openid-configuration"]
    clock.seconds += 3
    assert come_back(provider)["sub"] == "4711"


def test_people_sign_out_there_if_it_has_a_place_for_it(
    provider: OpenIdProvider, fake: FakeProvider, clock: Clock
) -> None:
    url = provider.sign_out_url(back_to=BACK)
    assert url is not None
    assert dict(parse_qsl(urlsplit(url).query)) == {"client_id": "usersplit", "post_logout_redirect_uri": BACK}
    fake.metadata.pop("end_session_endpoint")
    clock.seconds += 3600
    assert provider.sign_out_url(back_to=BACK) is None
