"""Expired tokens, over-long bodies, SQL and HTML wherever a text goes: refused or kept as text, and nothing changed."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

import pytest

from tests.support.api import SETTINGS, Api

HOSTILE: Final = "<script>alert(1)</script>'; DROP TABLE events; --"
TESTS: Final = "/api/v1/tests"
GROUPS: Final = "/api/v1/user-groups"
OVERRIDES: Final = "/api/v1/overrides"


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
    assert [record.getMessage().split(" from ")[1].split(": ")[1][:15] for record in caplog.records] == [
        "413 BodyTooLong"
    ] * len(asked)
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
    assert [record.getMessage().split(" from ")[0] for record in caplog.records] == [
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
    (line,) = [record.getMessage() for record in caplog.records]
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
