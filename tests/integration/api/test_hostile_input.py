"""Expired tokens, over-long bodies, SQL and HTML wherever a text goes: refused or kept as text, and nothing changed."""

import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote

import pytest

from tests.support.api import SETTINGS, Api, audit_lines

HOSTILE: Final = "<script>alert(1)</script>'; DROP TABLE events; --"
TESTS: Final = "/api/v1/tests"
GROUPS: Final = "/api/v1/user-groups"
OVERRIDES: Final = "/api/v1/overrides"


def dumps(document: object) -> bytes:
    """Return JSON in ASCII, whatever stands in it; httpx would refuse to send half a surrogate pair."""
    return json.dumps(document, ensure_ascii=True).encode()


@pytest.fixture
def running(api: Api) -> Api:
    api.draft("big_photo", settings=SETTINGS)
    for step in ("publish", "start"):
        api.done("ann", "POST", f"{TESTS}/big_photo/{step}")
    return api


def operations(api: Api) -> Iterator[tuple[str, str]]:
    """Every operation that takes a body: its method, and its address with something in every place."""
    for path, item in api.app.openapi()["paths"].items():
        for method, operation in item.items():
            if "requestBody" in operation:
                yield method.upper(), path.replace("{key}", "big_photo").replace("{name}", "config")


def test_an_over_long_body_is_refused_everywhere_before_it_is_read(
    running: Api, caplog: pytest.LogCaptureFixture
) -> None:
    head = running.backbone.store.head()
    body = b'{"name": "' + b"x" * (2 * 1024 * 1024) + b'"}'
    asked = list(operations(running))
    assert len(asked) > 25
    with caplog.at_level(logging.WARNING, logger="usersplit.audit"):
        for method, path in asked:
            headers = {"Content-Type": "application/json"}
            assert running.refused("root", method, path, content=body, headers=headers) == (413, "BodyTooLong"), path
    assert [line.split(" from ")[1].split(": ")[1][:15] for line in audit_lines(caplog)] == ["413 BodyTooLong"] * len(
        asked
    )
    assert running.backbone.store.head() == head


def test_a_token_that_has_ended_changes_nothing_and_is_noted(running: Api, caplog: pytest.LogCaptureFixture) -> None:
    now = running.desk.tokens._now()
    _, text = running.desk.tokens.create(
        "ann", label="short", scopes=["read", "steer"], expires_at=now + timedelta(minutes=1)
    )
    headers = {"Authorization": f"Bearer {text}"}
    assert running.ask("", "GET", f"{TESTS}/big_photo", headers=headers).status_code == 200
    later = now + timedelta(minutes=2)
    running.desk.tokens._now = lambda: later
    running.desk.revision.move()
    head = running.backbone.store.head()
    with caplog.at_level(logging.WARNING, logger="usersplit.audit"):
        for method, path in (("GET", f"{TESTS}/big_photo"), ("POST", f"{TESTS}/big_photo/pause")):
            answer = running.ask("", method, path, headers=headers)
            assert (answer.status_code, answer.json()["error"]) == (401, "NotSignedIn")
            assert "expired" in answer.json()["detail"]
    assert [line.split(" from ")[0] for line in audit_lines(caplog)] == [
        f"refused: GET '{TESTS}/big_photo' by nobody",
        f"refused: POST '{TESTS}/big_photo/pause' by nobody",
    ]
    assert running.backbone.store.head() == head


def stored(api: Api) -> None:
    """Whatever was sent, the log is there and goes on."""
    before = api.backbone.store.head()
    api.done("ann", "PATCH", f"{TESTS}/big_photo", json={"description": str(before)})
    assert api.backbone.store.head() == before + 1


def test_hostile_texts_of_user_groups_and_overrides_are_kept_as_texts(running: Api) -> None:
    new = {"key": "premium", "name": HOSTILE, "description": HOSTILE}
    running.done("ann", "POST", GROUPS, json=new)
    seen = running.ask("ann", "GET", f"{GROUPS}/premium")
    assert seen.headers["content-type"] == "application/json"
    assert (seen.json()["name"], seen.json()["description"]) == (HOSTILE, HOSTILE)
    conditions = [{"filter": "platform", "operator": "eq", "value": HOSTILE}]
    running.done("ann", "POST", f"{GROUPS}/premium/conditions", json=conditions)
    assert running.done("ann", "GET", f"{GROUPS}/premium")["conditions"] == conditions
    assert running.done("ann", "GET", f"{GROUPS}?search=%3Cscript%3E")["total"] == 1
    forced = {"unit": f"user:{HOSTILE}", "key": "big_photo", "variant": "green"}
    running.done("quentin", "POST", f"{OVERRIDES}/force", json=forced)
    (unit,) = running.done("vera", "GET", OVERRIDES, params={"unit": f"user:{HOSTILE}"})["units"]
    assert unit["unit"] == f"user:{HOSTILE}"
    visit = {"user": {"id": HOSTILE, "attributes": {HOSTILE: HOSTILE}}, "environment_name": "devel"}
    assert running.done("vera", "POST", f"{TESTS}/big_photo/check", json=visit)["variant"] == "green"
    stored(running)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", TESTS, {"key": HOSTILE, "name": "x"}),
        ("POST", TESTS, {"key": "x", "name": "x", "type": HOSTILE}),
        ("POST", GROUPS, {"key": HOSTILE, "name": "x"}),
        ("POST", f"{TESTS}/big_photo/finish", {"resulting_variant": HOSTILE}),
        ("POST", f"{TESTS}/big_photo/finish", {"resulting_variant": "green", "scope": HOSTILE}),
        ("POST", f"{TESTS}/big_photo/settings", {HOSTILE: HOSTILE}),
        ("POST", f"{TESTS}/big_photo/settings", {**SETTINGS, "starts_at": HOSTILE}),
        ("POST", f"{OVERRIDES}/force", {"unit": HOSTILE, "key": "big_photo", "variant": "green"}),
        ("POST", f"{OVERRIDES}/force", {"unit": "user:1", "key": HOSTILE, "variant": "green"}),
        ("POST", f"{OVERRIDES}/force", {"unit": "user:1", "key": "big_photo", "variant": HOSTILE}),
        ("POST", f"{OVERRIDES}/force", {"unit": "user:1", "key": "big_photo", "variant": "green", "until": HOSTILE}),
        ("POST", f"{OVERRIDES}/disable-tests", {"unit": "user:1", "environment": HOSTILE}),
        ("POST", "/api/v1/accounts", {"name": HOSTILE, "role": "viewer"}),
        ("POST", "/api/v1/accounts", {"name": "eve", "role": HOSTILE}),
        ("POST", f"/api/v1/projections/{HOSTILE}/pause", {"reason": "x"}),
        ("PATCH", f"{TESTS}/{HOSTILE}", {"name": "x"}),
        ("PATCH", f"{GROUPS}/{HOSTILE}", {"name": "x"}),
        ("PATCH", f"/api/v1/accounts/{HOSTILE}", {"role": "viewer"}),
    ],
)
def test_a_hostile_text_that_cannot_be_one_is_refused_and_nothing_changes(
    running: Api, method: str, path: str, body: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    head = running.backbone.store.head()
    with caplog.at_level(logging.WARNING, logger="usersplit.audit"):
        status, _ = running.refused("root", method, path, json=body)
    assert status in {404, 422}
    assert running.backbone.store.head() == head
    (line,) = audit_lines(caplog)
    assert line.startswith(f"refused: {method} ")
    assert "\n" not in line


@pytest.mark.parametrize(
    "path",
    [
        f"{TESTS}?search={HOSTILE}",
        f"{TESTS}?type={HOSTILE}",
        f"{GROUPS}?search={HOSTILE}",
        f"{OVERRIDES}?key={HOSTILE}",
        f"{TESTS}/big_photo/changelog?after=1;DROP",
        f"{TESTS}/big_photo/as-of?at={HOSTILE}",
        f"/api/v1/configs/{HOSTILE}",
    ],
)
def test_hostile_questions_find_nothing_or_are_refused(running: Api, path: str) -> None:
    answer = running.ask("vera", "GET", path)
    assert answer.status_code in {200, 404, 422}
    assert answer.headers["content-type"] in {"application/json", "application/problem+json"}
    assert answer.headers["x-content-type-options"] == "nosniff"
    stored(running)


def test_labels_of_tokens_and_reasons_of_pauses_are_texts(api: Api) -> None:
    browser = api.signed_in("ann")
    made = browser.post("/api/v1/tokens", json={"label": HOSTILE, "scopes": ["read"]})
    assert (made.status_code, made.json()["label"]) == (201, HOSTILE)
    api.done("root", "POST", "/api/v1/projections/changelog/pause", json={"reason": HOSTILE})
    (standing,) = [each for each in api.done("vera", "GET", "/api/v1/projections") if each["name"] == "changelog"]
    assert (standing["state"], standing["reason"]) == ("paused", HOSTILE)
    api.done("root", "POST", "/api/v1/projections/changelog/resume")


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "x",
        None,
    ],
)
def test_a_body_that_does_not_say_it_is_json_is_refused_with_what_to_say(api: Api, content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    for path in (TESTS, GROUPS, f"{OVERRIDES}/forget", "/api/v1/accounts"):
        answer = api.ask("root", "POST", path, content=b'{"key": "a", "name": "a"}', headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (415, "WrongContentType"), path
        assert "Content-Type: application/json" in answer.json()["detail"]
    assert api.done("root", "GET", TESTS)["total"] == 0


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=utf-8", "application/x+json"])
def test_json_by_any_name_is_read_and_wrong_fields_are_named(api: Api, content_type: str) -> None:
    headers = {"Content-Type": content_type}
    assert api.refused("ann", "POST", TESTS, content=b"[]", headers=headers) == (422, "InvalidRequest")
    # As in every reader of JSON that most people use.
    twice = b'{"key": "first", "key": "second", "name": "n"}'
    assert api.done("ann", "POST", TESTS, content=twice, headers=headers)["key"] == "second"


JSON: Final = {"Content-Type": "application/json"}
NO_TEXTS: Final = ("a\0b", "\ud800", "x\udfff")
LOOK_ALIKES: Final = ("\u0430nn", "\u212aate", "ann\u200b", "\uff41nn", "a\u0308nn", "ann\u202e", "a\nb")


@pytest.mark.parametrize("text", [*NO_TEXTS, *LOOK_ALIKES], ids=ascii)
def test_what_looks_like_a_key_or_a_name_and_is_none_is_refused(api: Api, text: str) -> None:
    for path, body in (
        (TESTS, {"key": text, "name": "n"}),
        (GROUPS, {"key": text, "name": "n"}),
        ("/api/v1/accounts", {"name": text}),
    ):
        status, error = api.refused("root", "POST", path, content=dumps(body), headers=JSON)
        assert (status, error != "InvalidRequest") == (422, True), path
    for method, path in (
        ("GET", f"{TESTS}/"),
        ("GET", f"{GROUPS}/"),
        ("GET", "/api/v1/accounts/"),
        ("GET", "/api/v1/tokens/"),
    ):
        assert api.refused("root", method, path + quote(text.encode(errors="surrogatepass"), safe=""))[0] in {404, 422}


@pytest.mark.parametrize("text", NO_TEXTS, ids=ascii)
@pytest.mark.parametrize("key", ["", "k"])
def test_a_text_that_no_database_keeps_is_refused_wherever_one_goes(running: Api, text: str, key: str) -> None:
    browser = running.signed_in("root")
    head = running.backbone.store.head()
    for method, path, body in (
        ("POST", TESTS, {"key": "a", "name": text}),
        ("PATCH", f"{TESTS}/big_photo", {"description": text}),
        ("POST", f"{TESTS}/big_photo/managers", {"add": [text]}),
        ("POST", f"{TESTS}/big_photo/finish", {"resulting_variant": text}),
        ("POST", GROUPS, {"key": "a", "name": text}),
        ("POST", f"{OVERRIDES}/disable-tests", {"unit": f"user:{text}"}),
        ("POST", "/api/v1/tokens", {"label": text, "scopes": ["read"]}),
        ("POST", "/api/v1/projections/changelog/pause", {"reason": text}),
    ):
        headers = {**JSON, "Idempotency-Key": key} if key else JSON
        answer = browser.request(method, path, content=dumps(body), headers=headers)
        assert answer.status_code == 422, (path, answer.text)
    assert running.backbone.store.head() == head


@pytest.mark.parametrize("key", ["", "k"])
def test_a_password_that_is_no_text_is_refused(api: Api, key: str) -> None:
    headers = {**JSON, "Idempotency-Key": key} if key else JSON
    for path in ("/api/v1/accounts", "/api/v1/accounts/ann/password"):
        body = {"password": "long enough \ud800"} | ({"name": "nina"} if path.endswith("accounts") else {})
        answer = api.ask("root", "POST", path, content=dumps(body), headers=headers)
        assert (answer.status_code, "password" in answer.json()["detail"]) == (422, True)


@pytest.mark.parametrize("number", ["9" * 5000, "-" + "9" * 400, "1e999", "NaN", "-Infinity", "0.1"])
def test_a_number_that_is_none_is_refused_or_kept_out(running: Api, number: str) -> None:
    settings = dumps({**SETTINGS, "variants": [{"name": "control", "percent": "?", "control": True}]}).decode()
    condition = dumps({**SETTINGS, "conditions": [{"filter": "country_id", "operator": "eq", "value": "?"}]}).decode()
    headers = {"Content-Type": "application/json"}
    for document in (settings, condition):
        content = document.replace('"?"', number)
        answer = running.ask("root", "POST", f"{TESTS}/big_photo/settings", content=content, headers=headers)
        assert answer.status_code in {400, 422}, answer.text
    visit = f'{{"user": {{"id": {number}, "attributes": {{"country_id": {number}}}}}}}'
    answer = running.ask("root", "POST", f"{TESTS}/big_photo/check", content=visit, headers=headers)
    assert answer.status_code in {200, 400, 422}
    assert answer.status_code != 200 or answer.json()["variant"] is None


@pytest.mark.parametrize("header", ["Cookie", "Authorization", "X-API-Key", "Origin", "Host", "Accept", "If-Match"])
def test_bytes_that_are_no_text_in_a_header_break_nothing(running: Api, header: str) -> None:
    for value in (
        b"\xff\xfe",
        b'usersplit_session="\\303\\251\\000"',
        b"usersplit_session=\xed\xa0\x80",
        b";=,;",
        b"Bearer \xc3\xa9",
    ):
        for method, path in (("GET", TESTS), ("PATCH", f"{TESTS}/big_photo"), ("DELETE", "/api/v1/tokens/x")):
            headers = {**running.headers("root"), header: value}
            answer = running.client.request(method, path, headers=headers)
            assert answer.status_code < 500, (method, value, answer.text)
