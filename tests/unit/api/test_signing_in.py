"""Signing in over HTTP: cookies, tokens, other sites, and a line in the audit log for every refusal."""

import logging

import pytest

from accounts.sessions import COOKIE, Sessions
from tests.support.api import Api, audit_lines
from tests.support.people import PASSWORD

ORIGIN = {"Origin": "http://testserver"}
ANN = {"name": "ann", "password": PASSWORD}


def test_a_person_signs_in_looks_and_signs_out(api: Api) -> None:
    signed = api.ask("", "POST", "/api/v1/session", json=ANN, headers=ORIGIN)
    assert signed.status_code == 200
    cookie = signed.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "secure" not in cookie
    assert api.done("", "GET", "/api/v1/me") == {
        "name": "ann",
        "role": "manager",
        "permissions": ["create", "evaluate", "override", "read", "steer"],
    }
    assert api.ask("", "DELETE", "/api/v1/session", headers=ORIGIN).status_code == 204
    assert api.refused("", "GET", "/api/v1/me") == (401, "NotSignedIn")


def test_where_browsers_come_by_https_the_cookie_is_safe_from_eavesdroppers_and_from_other_hosts(api: Api) -> None:
    api.app.state.public_url = "https://split.example.com"
    api.desk.sessions = Sessions(api.desk.sessions.keys, seconds=3600, over_https=True)
    origin = {"Origin": "https://split.example.com"}
    signed = api.ask("", "POST", "/api/v1/session", json=ANN, headers=origin).headers["set-cookie"].lower()
    assert signed.startswith("__host-usersplit_session=")
    assert {"secure", "path=/"} <= {part.strip() for part in signed.split(";")}
    assert "domain" not in signed
    ours = api.ask("", "POST", "/api/v1/session", json=ANN, headers=origin).headers["set-cookie"].split(";")[0]
    assert api.done("", "GET", "/api/v1/me", headers={"Cookie": ours})["name"] == "ann"
    tossed = {"Cookie": ours.removeprefix("__Host-")}
    api.client.cookies.clear()
    assert api.refused("", "GET", "/api/v1/me", headers=tossed) == (401, "NotSignedIn")
    out = api.ask("", "DELETE", "/api/v1/session", headers={"Cookie": ours, **origin}).headers["set-cookie"].lower()
    assert out.startswith("__host-usersplit_session=")
    assert {"secure", "max-age=0"} <= {part.strip() for part in out.split(";")}


def test_a_cookie_that_was_kept_opens_nothing_after_signing_out(api: Api) -> None:
    api.done("", "POST", "/api/v1/session", json=ANN)
    kept = api.client.cookies[COOKIE]
    api.done("", "DELETE", "/api/v1/session")
    api.client.cookies.set(COOKIE, kept)
    assert api.refused("", "GET", "/api/v1/me") == (401, "NotSignedIn")


def test_signing_out_everywhere_ends_other_browsers_sessions(api: Api) -> None:
    api.done("", "POST", "/api/v1/session", json=ANN)
    other = api.client.cookies[COOKIE]
    api.done("", "POST", "/api/v1/session", json=ANN)
    api.done("", "DELETE", "/api/v1/session?everywhere=true")
    api.client.cookies.set(COOKIE, other)
    assert api.refused("", "GET", "/api/v1/me") == (401, "NotSignedIn")


def test_a_wrong_password_is_refused_and_too_many_have_to_wait(api: Api) -> None:
    wrong = {"name": "ann", "password": "guessed wrong"}
    for _ in range(5):
        assert api.refused("", "POST", "/api/v1/session", json=wrong) == (401, "WrongPassword")
    waits = api.ask("", "POST", "/api/v1/session", json=ANN)
    assert waits.status_code == 429
    assert int(waits.headers["retry-after"]) >= 1


def test_another_site_can_neither_sign_somebody_in_nor_out(api: Api) -> None:
    evil = {"Origin": "https://evil.example.com"}
    assert api.refused("", "POST", "/api/v1/session", json=ANN, headers=evil) == (403, "CrossSite")
    assert api.refused("", "DELETE", "/api/v1/session", headers=evil) == (403, "CrossSite")


def test_every_refusal_is_a_line_in_the_audit_log(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="usersplit.audit"):
        api.refused("", "GET", "/api/v1/me", headers={"Authorization": "Bearer forged"})
        api.refused("", "POST", "/api/v1/session", json={"name": "ann\nsigned in: root", "password": "wrong"})
        api.done("", "POST", "/api/v1/session", json=ANN)
    assert [line.split(" from ")[0] for line in audit_lines(caplog)] == [
        "refused: GET '/api/v1/me' by nobody",
        "refused: POST '/api/v1/session' by nobody",
        "signed in: 'ann' by password",
    ]
    assert all("\n" not in line for line in audit_lines(caplog))


def test_what_is_no_sign_in_is_refused_with_its_fields(api: Api) -> None:
    answer = api.ask("", "POST", "/api/v1/session", json={"name": 5, "hint": "x"})
    assert answer.status_code == 422
    assert {each["field"] for each in answer.json()["errors"]} == {"name", "password", "hint"}
    for body in (b"{", b"[" * 100_000, b'{"name": "\xff"}', b"9" * 5000):
        status, _ = api.refused(
            "", "POST", "/api/v1/session", content=body, headers={"Content-Type": "application/json"}
        )
        assert status in {400, 422}


def test_a_body_that_is_too_long_is_refused_whether_it_says_its_length_or_not(api: Api) -> None:
    body = b'{"name": "' + b"x" * (3 * 1024 * 1024) + b'"}'
    assert api.refused("", "POST", "/api/v1/session", content=body) == (413, "BodyTooLong")
    chunks = (body[start : start + 65536] for start in range(0, len(body), 65536))
    assert api.refused("", "POST", "/api/v1/session", content=chunks) == (413, "BodyTooLong")


def test_what_is_not_there_and_what_cannot_be_done_are_problems_as_well(api: Api) -> None:
    assert api.refused("", "GET", "/api/v1/nothing") == (404, "NotFound")
    assert api.refused("", "PUT", "/health") == (405, "MethodNotAllowed")


def test_a_bug_is_logged_and_tells_the_caller_nothing(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    @api.app.get("/broken")
    def broken() -> None:
        raise ZeroDivisionError("the secret is 42")

    answer = api.ask("", "GET", "/broken")
    assert answer.status_code == 500
    assert "42" not in answer.text
    assert "the secret is 42" in caplog.text


def test_health_readiness_and_metrics(api: Api) -> None:
    assert api.done("", "GET", "/health") == {"status": "alive"}
    assert api.done("", "GET", "/ready") == {"status": "ready"}
    assert api.refused("", "GET", "/metrics") == (401, "NotSignedIn")
    assert api.ask("vera", "GET", "/metrics").status_code == 200
    api.backbone.engine.dispose()
    with api.backbone.engine.connect() as connection:
        connection.exec_driver_sql("DELETE FROM projections WHERE name = 'config'")
        connection.commit()
    assert api.refused("", "GET", "/ready") == (503, "NotReady")


def test_answers_carry_safe_headers(api: Api) -> None:
    headers = api.ask("", "GET", "/health").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"


def test_without_an_identity_provider_there_is_no_such_way_in(api: Api) -> None:
    for path in ("", "/callback?state=x&code=y", "/sign-out"):
        assert api.refused("", "GET", f"/api/v1/session/openid{path}") == (404, "NoIdentityProvider")
