"""What ties a sign-in at the identity provider to the browser that began it, and to an account."""

from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import Engine

from accounts.directory import AccountDirectory
from accounts.errors import (
    AccountClosed,
    NameTaken,
    NoNameGiven,
    NotInvited,
    ProviderUnavailable,
    SignInDenied,
    SignInNotBegun,
)
from accounts.openid import Answer, Finished, OpenIdDesk
from accounts.openid_people import PeopleRules
from accounts.openid_provider import OpenIdProvider
from tests.support.people import MovedClock, open_desk, sign_up

ISSUER = "https://id.example.com"


class Provider(OpenIdProvider):
    """Says whatever a test wants, without a wire."""

    def __init__(self) -> None:
        self.issuer = ISSUER
        self.claims: dict[str, Any] = {"sub": "1", "preferred_username": "nina"}
        self.began: list[Mapping[str, str]] = []
        self.asked: list[Mapping[str, str]] = []
        self.is_down = False

    def sign_in_url(self, **given: str) -> str:
        self.began.append(given)
        return "https://id.example.com/authorize"

    def claims_of(self, code: str, **given: str) -> Mapping[str, Any]:
        self.asked.append({"code": code, **given})
        return self.claims

    def sign_out_url(self, *, back_to: str) -> str | None:
        if self.is_down:
            raise ProviderUnavailable("does not answer")
        return f"https://id.example.com/out?to={back_to}"


@pytest.fixture
def engine(sqlite_database: Engine) -> Engine:
    return sqlite_database


@pytest.fixture
def provider() -> Provider:
    return Provider()


def openid(engine: Engine, provider: Provider, **rules: Any) -> OpenIdDesk:
    people = PeopleRules(**({"default_role": "viewer"} | rules))
    desk = open_desk(engine, MovedClock())
    return OpenIdDesk(desk, provider, people, public_url="https://split.example.com", callback="/back")


def come_back(desk: OpenIdDesk, provider: Provider, target: str = "/") -> Finished:
    begun = desk.begin(target)
    return desk.finish(begun.cookie, Answer(state=provider.began[-1]["state"], code="c", issuer=ISSUER))


def test_the_same_secrets_that_were_sent_are_asked_for_and_none_is_used_twice(
    engine: Engine, provider: Provider
) -> None:
    desk = openid(engine, provider)
    assert come_back(desk, provider, "/tests/a").target == "/tests/a"
    come_back(desk, provider)
    for began, asked in zip(provider.began, provider.asked, strict=True):
        assert (asked["nonce"], asked["verifier"]) == (began["nonce"], began["verifier"])
        assert asked["redirect_uri"] == began["redirect_uri"] == "https://split.example.com/back"
        assert len({began["state"], began["nonce"], began["verifier"]}) == 3
    assert {*provider.began[0].values()} & {*provider.began[1].values()} == {"https://split.example.com/back"}


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"state": ""},
        {"state": "another"},
        {"state": "\udcff"},
        {"issuer": "https://other.example.com"},
    ],
)
def test_an_answer_of_another_sign_in_is_refused_before_the_provider_is_asked(
    engine: Engine, provider: Provider, answer: dict[str, str]
) -> None:
    desk = openid(engine, provider)
    cookie = desk.begin("/").cookie
    given = {"state": provider.began[0]["state"], "code": "c"} | answer
    for kept in ("", "forged", cookie if answer else ""):
        with pytest.raises(SignInNotBegun):
            desk.finish(kept, Answer(**given))
    assert provider.asked == []


def test_a_session_s_cookie_is_no_begun_sign_in_and_the_other_way_round(engine: Engine, provider: Provider) -> None:
    desk = openid(engine, provider)
    begun = desk.begin("/")
    finished = come_back(desk, provider)
    people = open_desk(engine)
    assert people.identity_of_session(finished.cookie) == finished.identity
    assert people.identity_of_session(begun.cookie) is None
    with pytest.raises(SignInNotBegun):
        desk.finish(finished.cookie, Answer(state="x", code="c"))


@pytest.mark.parametrize("answer", [{"error": "access_denied"}, {"error": "<script>"}, {"error": "", "code": ""}])
def test_a_no_is_a_no_whatever_else_it_says(engine: Engine, provider: Provider, answer: dict[str, str]) -> None:
    desk = openid(engine, provider)
    cookie = desk.begin("/").cookie
    given = {"state": provider.began[0]["state"], "code": "c"} | answer
    with pytest.raises(SignInDenied) as refused:
        desk.finish(cookie, Answer(**given))
    assert "<" not in str(refused.value)
    assert provider.asked == []


def test_the_same_person_in_two_tabs_at_once_gets_one_account(
    engine: Engine, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = openid(engine, provider)
    come_back(desk, provider)
    known = AccountDirectory.with_subject
    answers = iter([None])

    def late(self: AccountDirectory, issuer: str, subject: str) -> Any:
        return next(answers, known(self, issuer, subject))

    monkeypatch.setattr(AccountDirectory, "with_subject", late)
    assert come_back(desk, provider).identity.name == "nina"
    assert len(open_desk(engine).directory.all()) == 1


def test_a_name_that_is_taken_or_cannot_be_one_lets_nobody_in(engine: Engine, provider: Provider) -> None:
    desk = openid(engine, provider)
    sign_up(open_desk(engine), ("nina", "superuser"))
    with pytest.raises(NameTaken):
        come_back(desk, provider)
    provider.claims["preferred_username"] = "Nina Q. Public"
    with pytest.raises(NoNameGiven):
        come_back(desk, provider)
    del provider.claims["preferred_username"]
    with pytest.raises(NoNameGiven):
        come_back(desk, provider)


def test_without_a_role_for_new_people_only_the_invited_come_in(engine: Engine, provider: Provider) -> None:
    desk = openid(engine, provider, default_role=None)
    with pytest.raises(NotInvited):
        come_back(desk, provider)
    open_desk(engine).directory.create("nina", "qa", password=None)
    assert come_back(desk, provider).identity.role == "qa"
    open_desk(engine).directory.change("nina", is_active=False)
    with pytest.raises(AccountClosed):
        come_back(desk, provider)


def test_signing_out_leads_back_to_the_sign_in_where_the_provider_is_down(engine: Engine, provider: Provider) -> None:
    desk = openid(engine, provider)
    assert desk.sign_out_url().startswith("https://id.example.com/out")
    provider.is_down = True
    assert desk.sign_out_url() == "https://split.example.com/login"
