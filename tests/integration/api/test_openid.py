"""Signing in with a certified OpenID Connect provider: it opens what it should, and nothing else."""

import json
import logging
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from accounts.openid import BEGUN_COOKIE
from accounts.openid_people import PeopleRules
from accounts.sessions import COOKIE
from api.openid import CALLBACK, PLACE
from entrypoints.clock import now
from tests.support.api import Api
from tests.support.identity_provider import IdentityProvider, begun, identity_provider, openid_desk
from tests.support.ports import free_port

BY_GROUPS = PeopleRules(role_claim="groups", roles={"pm": "manager", "admins": "superuser", "all": "viewer"})


@pytest.fixture(scope="module")
def provider(node: str) -> Iterator[IdentityProvider]:
    with identity_provider(node) as running:
        yield running


@pytest.fixture
def company(api: Api, provider: IdentityProvider) -> Api:
    """The API of a company whose roles come from its provider's groups."""
    api.app.state.openid = openid_desk(api.desk, provider.issuer, BY_GROUPS)
    return api


def browser(api: Api) -> Any:
    ours = api.browser()
    ours.follow_redirects = False
    return ours


def signed_in(api: Api, provider: IdentityProvider, name: str, **params: str) -> tuple[Any, httpx.Response]:
    ours = browser(api)
    answer: httpx.Response = ours.get(provider.answer_to(begun(ours, params), name=name))
    return ours, answer


def refusal(answer: httpx.Response) -> tuple[int, str]:
    assert COOKIE not in answer.cookies
    return answer.status_code, answer.json()["error"]


def test_a_person_gets_an_account_and_the_role_that_the_provider_says_at_each_sign_in(
    company: Api, provider: IdentityProvider, caplog: pytest.LogCaptureFixture
) -> None:
    provider.knows("u1", preferred_username="Nina", groups=["all", "pm", "elsewhere"])
    with caplog.at_level(logging.INFO, logger="usersplit.audit"):
        ours, answer = signed_in(company, provider, "u1", next="/tests/green?tab=2")
    assert (answer.status_code, answer.headers["location"]) == (303, "/tests/green?tab=2")
    cookie = next(each.lower() for each in answer.headers.get_list("set-cookie") if each.startswith(COOKIE))
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert ours.get("/api/v1/me").json()["name"] == "nina"
    assert ours.get("/api/v1/me").json()["role"] == "manager"
    assert "signed in: 'nina' by the identity provider" in caplog.text
    provider.knows("u1", preferred_username="another-name", groups=["all"])
    assert signed_in(company, provider, "u1")[1].status_code == 303
    assert ours.get("/api/v1/me").json()["role"] == "viewer"
    account = company.desk.directory.get("nina")
    assert (account.role, account.signs_in_by) == ("viewer", ("openid",))
    assert company.desk.directory.find("another-name") is None


def test_who_says_no_at_the_provider_is_not_signed_in(company: Api, provider: IdentityProvider) -> None:
    ours = browser(company)
    answer = ours.get(provider.answer_to(begun(ours), name="u1", consents=False))
    assert refusal(answer) == (403, "SignInDenied")
    assert "access_denied" in answer.json()["detail"]


def test_an_answer_that_this_browser_did_not_ask_for_opens_nothing(company: Api, provider: IdentityProvider) -> None:
    provider.knows("u2", preferred_username="mallory", groups=["pm"])
    theirs, victim = browser(company), browser(company)
    answer = provider.answer_to(begun(theirs), name="u2")
    assert refusal(victim.get(answer)) == (400, "SignInNotBegun")
    begun(victim)
    assert refusal(victim.get(answer)) == (400, "SignInNotBegun")
    begun(theirs)
    assert refusal(theirs.get(answer)) == (400, "SignInNotBegun")
    assert refusal(victim.get(CALLBACK)) == (400, "SignInNotBegun")
    assert company.desk.directory.find("mallory") is None


def test_an_answer_counts_once(company: Api, provider: IdentityProvider) -> None:
    provider.knows("u3", preferred_username="olga", groups=["pm"])
    ours = browser(company)
    answer = provider.answer_to(begun(ours), name="u3")
    kept = ours.cookies[BEGUN_COOKIE]
    assert ours.get(answer).status_code == 303
    assert refusal(ours.get(answer)) == (400, "SignInNotBegun")
    thief = browser(company)
    thief.cookies.set(BEGUN_COOKIE, kept, path=CALLBACK)
    assert refusal(thief.get(answer)) == (403, "SignInDenied")


def test_another_provider_s_answer_is_refused(company: Api, provider: IdentityProvider) -> None:
    ours = browser(company)
    answer = provider.answer_to(begun(ours), name="u1")
    assert parse_qs(urlsplit(answer).query)["iss"] == [provider.issuer]
    other = answer.replace("iss=http", "iss=https")
    assert refusal(ours.get(other)) == (400, "SignInNotBegun")


def changing(change: Callable[[dict[str, Any]], None]) -> Callable[[], httpx.Client]:
    """HTTP on whose way somebody changes the payload of each id_token."""

    class Tampering(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            answer = super().handle_request(request)
            answer.read()
            if not request.url.path.endswith("/token"):
                return answer
            document = answer.json()
            head, payload, signature = document["id_token"].split(".")
            claims = json.loads(urlsafe_b64decode(payload + "=="))
            change(claims)
            changed = urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
            document["id_token"] = f"{head}.{changed}.{signature}"
            return httpx.Response(200, json=document)

    return lambda: httpx.Client(transport=Tampering())


def test_a_token_that_somebody_changed_on_its_way_is_refused(api: Api, provider: IdentityProvider) -> None:
    provider.knows("u4", preferred_username="peter", groups=["pm"])
    api.app.state.openid = openid_desk(
        api.desk, provider.issuer, BY_GROUPS, open_http=changing(lambda claims: claims.update(sub="root"))
    )
    assert refusal(signed_in(api, provider, "u4")[1]) == (401, "WrongIdToken")


@pytest.mark.parametrize("hours", [2, -2])
def test_a_token_of_another_time_is_refused(api: Api, provider: IdentityProvider, hours: int) -> None:
    provider.knows("u4", preferred_username="peter", groups=["pm"])
    api.app.state.openid = openid_desk(
        api.desk, provider.issuer, BY_GROUPS, clock=lambda: now() + timedelta(hours=hours)
    )
    assert refusal(signed_in(api, provider, "u4")[1]) == (401, "WrongIdToken")
    assert api.desk.directory.find("peter") is None


def test_a_provider_that_is_down_is_said_and_everything_else_works(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    api.app.state.openid = openid_desk(api.desk, f"http://127.0.0.1:{free_port()}", BY_GROUPS)
    with caplog.at_level(logging.WARNING, logger="usersplit.audit"):
        assert refusal(browser(api).get(PLACE)) == (503, "ProviderUnavailable")
    assert "503 ProviderUnavailable" in caplog.text
    assert api.signed_in("ann").get("/api/v1/me").status_code == 200


def test_a_person_without_a_role_gets_no_account_and_an_audit_line(
    company: Api, provider: IdentityProvider, caplog: pytest.LogCaptureFixture
) -> None:
    provider.knows("u5", preferred_username="rita", groups=["elsewhere"])
    with caplog.at_level(logging.WARNING, logger="usersplit.audit"):
        assert refusal(signed_in(company, provider, "u5")[1]) == (403, "NoRoleGiven")
    assert company.desk.directory.find("rita") is None
    assert f"refused: GET '{CALLBACK}' by nobody from testclient: 403 NoRoleGiven" in caplog.text


def test_an_account_that_was_switched_off_stays_out(company: Api, provider: IdentityProvider) -> None:
    provider.knows("u6", preferred_username="sam", groups=["all"])
    ours, _ = signed_in(company, provider, "u6")
    company.done("root", "PATCH", "/api/v1/accounts/sam", json={"is_active": False})
    provider.knows("u6", preferred_username="sam", groups=["admins"])
    assert refusal(signed_in(company, provider, "u6")[1]) == (403, "AccountClosed")
    assert ours.get("/api/v1/me").status_code == 401
    account = company.desk.directory.get("sam")
    assert (account.is_active, account.role) == (False, "viewer")


def test_an_account_is_not_given_away_by_its_name(company: Api, provider: IdentityProvider) -> None:
    provider.knows("u7", preferred_username="root", groups=["all"])
    assert refusal(signed_in(company, provider, "u7")[1]) == (409, "NameTaken")
    assert company.desk.directory.get("root").signs_in_by == ("password",)


def test_people_who_need_an_invitation_come_in_once_an_account_waits_for_them(
    api: Api, provider: IdentityProvider
) -> None:
    api.app.state.openid = openid_desk(api.desk, provider.issuer, PeopleRules(makes_accounts=False))
    provider.knows("u8", preferred_username="Tina")
    provider.knows("u9", preferred_username="tina")
    assert refusal(signed_in(api, provider, "u8")[1]) == (403, "NotInvited")
    api.done("root", "POST", "/api/v1/accounts", json={"name": "tina", "role": "qa"})
    ours, _ = signed_in(api, provider, "u8")
    assert ours.get("/api/v1/me").json()["role"] == "qa"
    assert refusal(signed_in(api, provider, "u9")[1]) == (403, "NotInvited")
    assert signed_in(api, provider, "u8")[1].status_code == 303


def test_the_last_superuser_is_not_taken_away_by_the_provider(company: Api, provider: IdentityProvider) -> None:
    provider.knows("u10", preferred_username="uma", groups=["admins"])
    signed_in(company, provider, "u10")
    company.desk.directory.change("root", role="viewer")
    provider.knows("u10", preferred_username="uma", groups=["all"])
    assert refusal(signed_in(company, provider, "u10")[1]) == (409, "LastSuperuser")
    assert company.desk.directory.get("uma").role == "superuser"


def test_nobody_is_led_on_to_another_site(company: Api, provider: IdentityProvider) -> None:
    provider.knows("u1", preferred_username="nina", groups=["pm"])
    assert signed_in(company, provider, "u1", next="//evil.example")[1].headers["location"] == "/"


def test_signing_out_leads_on_to_the_provider_where_that_is_wanted(api: Api, provider: IdentityProvider) -> None:
    api.app.state.openid = openid_desk(api.desk, provider.issuer, BY_GROUPS, signs_out=True)
    provider.knows("u1", preferred_username="nina", groups=["pm"])
    ours, _ = signed_in(api, provider, "u1")
    out = ours.delete("/api/v1/session", headers={"Origin": "http://testserver"})
    assert out.status_code == 200
    there = ours.get(out.json()["continue_at"]).headers["location"]
    assert there.startswith(provider.issuer)
    assert httpx.get(there).status_code == 200
    assert ours.get("/api/v1/me").status_code == 401
    by_password = api.signed_in("ann")
    assert by_password.delete("/api/v1/session").status_code == 204
