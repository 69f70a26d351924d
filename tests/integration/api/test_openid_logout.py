"""The identity provider's word that somebody signed out there, over HTTP. What it says is tested with its rules."""

import logging
from datetime import timedelta
from typing import Any

import httpx
import pytest

from accounts.errors import ProviderUnavailable, WrongLogoutToken
from accounts.openid import OpenIdDesk
from accounts.openid_logout import Logout
from accounts.openid_people import PeopleRules
from accounts.openid_provider import OpenIdProvider
from api.openid import LOGOUT
from entrypoints.clock import now
from tests.support.api import Api


class Provider(OpenIdProvider):
    """Takes the texts that a test lists for its word, without a wire."""

    def __init__(self, **words: Logout) -> None:
        self.issuer = "https://id.example.com"
        self.is_down = False
        self._words = words

    def logout_of(self, logout_token: str) -> Logout:
        if self.is_down:
            raise ProviderUnavailable("does not answer")
        if logout_token not in self._words:
            raise WrongLogoutToken("bad_signature")
        return self._words[logout_token]


@pytest.fixture
def provider(api: Api) -> Provider:
    until = now() + timedelta(minutes=5)
    made = Provider(right=Logout(token_id="1", subject="of nina", session="", until=until))  # noqa: S106 - an id
    people = PeopleRules(default_role="viewer")
    api.app.state.openid = OpenIdDesk(
        api.desk, made, people, public_url="http://testserver", callback="/api/v1/session/openid/callback"
    )
    api.desk.directory.create_for_subject("nina", "viewer", issuer=made.issuer, subject="of nina")
    return made


def tell(api: Api, token: str, **rest: Any) -> httpx.Response:
    answer: httpx.Response = api.client.post(LOGOUT, data={"logout_token": token}, **rest)
    return answer


def test_a_session_that_is_over_there_is_over_here_and_noted(
    api: Api, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    assert provider.issuer
    ours = api.browser()
    ours.cookies.set(api.desk.sessions.cookie, api.desk.open_session(api.desk.directory.get("nina"))[1])
    assert ours.get("/api/v1/me").json()["name"] == "nina"
    with caplog.at_level(logging.INFO, logger="usersplit.audit"):
        answer = tell(api, "right")
    assert (answer.status_code, answer.content, answer.headers["cache-control"]) == (200, b"", "no-store")
    assert ours.get("/api/v1/me").status_code == 401
    assert "changed: 'sessions of nina ended by the identity provider' by nobody from testclient" in caplog.text
    again = tell(api, "right")
    assert (again.status_code, again.json()["error"]) == (400, "WrongLogoutToken")


@pytest.mark.parametrize(
    "sent",
    [
        {"data": {"logout_token": "forged"}},
        {"data": {"logout_token": ""}},
        {"data": {"another": "right"}},
        {"json": {"logout_token": "right"}},
        {"params": {"logout_token": "right"}},
        {"content": b"logout_token=right"},
        {"content": b"\xff\0", "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
        {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}},
        {},
    ],
    ids=str,
)
def test_anything_else_is_refused_with_400_and_an_audit_line(
    api: Api, provider: Provider, caplog: pytest.LogCaptureFixture, sent: dict[str, Any]
) -> None:
    assert provider.issuer
    _, cookie = api.desk.open_session(api.desk.directory.get("nina"))
    with caplog.at_level(logging.WARNING, logger="usersplit.audit"):
        answer = api.client.post(LOGOUT, **sent)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert f"refused: POST '{LOGOUT}' by nobody from testclient: 400" in caplog.text
    assert api.desk.identity_of_session(cookie) is not None


def test_a_provider_whose_keys_cannot_be_asked_for_is_told_in_the_only_way_that_it_knows(
    api: Api, provider: Provider
) -> None:
    provider.is_down = True
    answer = tell(api, "right")
    assert (answer.status_code, answer.json()["error"]) == (400, "ProviderUnavailable")
    provider.is_down = False
    assert tell(api, "right").status_code == 200


def test_a_token_that_is_longer_than_any_is_refused_before_it_is_read(api: Api, provider: Provider) -> None:
    assert provider.issuer
    assert tell(api, "x" * 20_001).status_code == 400
    assert tell(api, "x" * 3_000_000).status_code == 413


def test_without_an_identity_provider_there_is_nothing_to_tell(api: Api) -> None:
    answer = tell(api, "right")
    assert (answer.status_code, answer.json()["error"]) == (404, "NoIdentityProvider")
