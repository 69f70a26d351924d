"""Checks with their reasons, answers as of then, projections, servers, filters, accounts and tokens, over HTTP."""

from datetime import UTC, datetime

import pytest

from events.database import write_transaction
from projections.laid_out import Report, record
from tests.support.api import SETTINGS, Api
from tests.support.people import PASSWORD

TESTS = "/api/v1/tests"
RUSSIAN = {"user": {"id": 42, "split_group": 7, "attributes": {"country_id": 50}}}


@pytest.fixture
def running(api: Api) -> Api:
    api.draft("big_photo", settings=SETTINGS)
    for step in ("publish", "start"):
        api.done("ann", "POST", f"{TESTS}/big_photo/{step}")
    return api


def owner_of(api: Api, group: int) -> str:
    variants = api.done("ann", "GET", f"{TESTS}/big_photo/settings")["variants"]
    return next(str(each["name"]) for each in variants if group in each["split_groups"])


def test_a_check_answers_with_its_reason(running: Api) -> None:
    answer = running.done("vera", "POST", f"{TESTS}/big_photo/check", json=RUSSIAN)
    assert (answer["variant"], answer["reason"]) == (owner_of(running, 7), "in_variant")
    foreign = {"user": {"id": 42, "split_group": 7, "attributes": {"country_id": 1}}}
    refused = running.done("vera", "POST", f"{TESTS}/big_photo/check", json=foreign)
    assert (refused["variant"], refused["reason"]) == (None, "conditions_not_met")
    assert "country_id" in refused["detail"]
    guest = running.done("vera", "POST", f"{TESTS}/big_photo/check", json={"guest": {"split_group": 7, "id": "g"}})
    assert guest["reason"] == "conditions_not_met"
    later = running.done("vera", "POST", f"{TESTS}/big_photo/check", json={**RUSSIAN, "now": "2099-02-01T00:00:00Z"})
    assert later["reason"] == "ended"


@pytest.mark.parametrize(
    "visit",
    [
        {},
        {"user": {"id": 1}, "guest": {"id": 1}},
        {"user": {"id": 1, "split_group": 2401}},
        {"user": {"id": 1}, "now": "2026-05-01T00:00:00"},
        {"user": {"id": None}},
        {"user": {"id": 1}, "hint": 1},
    ],
)
def test_a_visit_that_is_none_is_refused(running: Api, visit: object) -> None:
    assert running.refused("vera", "POST", f"{TESTS}/big_photo/check", json=visit) == (422, "InvalidRequest")


def test_an_autotest_asks_for_all_tests_at_once(running: Api) -> None:
    running.draft("secret_plan", by="boris", settings=SETTINGS)
    answers = running.done("vera", "POST", "/api/v1/checks", json=RUSSIAN)["answers"]
    assert [(each["key"], each["variant"]) for each in answers] == [("big_photo", owner_of(running, 7))]
    named = running.done("vera", "POST", "/api/v1/checks", json={**RUSSIAN, "keys": ["no_such", "big_photo"]})
    assert [(each["key"], each["reason"]) for each in named["answers"]] == [
        ("big_photo", "in_variant"),
        ("no_such", "unknown_test"),
    ]


def test_what_was_in_force_then_is_told_with_its_changes(running: Api) -> None:
    then = running.done("vera", "GET", f"{TESTS}/big_photo/as-of?position=4")
    assert (then["status"], then["status_by"]["actor"], then["prepared_by"]["actor"]) == ("in_dev", "ann", "preparer")
    assert then["config"]["status"] == "in_dev"
    answer = running.done("vera", "POST", f"{TESTS}/big_photo/check-as-of?position=4", json=RUSSIAN)
    assert answer["reason"] == "not_a_test_user"
    now = datetime.now(UTC).isoformat().replace("+", "%2B")
    assert running.done("vera", "GET", f"{TESTS}/big_photo/as-of?at={now}")["status"] == "running"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", (422, "WhenMissing")),
        ("?position=1&at=2026-05-03T14:05:00Z", (422, "WhenMissing")),
        ("?position=99", (404, "BehindTheLog")),
        ("?position=0", (422, "InvalidRequest")),
        ("?position=99999999999999999999", (422, "InvalidRequest")),
        ("?at=2026-05-03", (422, "InvalidRequest")),
        ("?at=2020-05-03T14:05:00Z", (404, "NothingThen")),
        ("?position=3", (404, "NothingThen")),
        ("?at=0001-01-01T00:00:00%2B14:00", (422, "InvalidRequest")),
        ("?at=9999-12-31T23:59:59-12:00", (422, "InvalidRequest")),
    ],
)
def test_a_question_about_no_time_is_refused(running: Api, query: str, expected: tuple[int, str]) -> None:
    assert running.refused("vera", "GET", f"{TESTS}/big_photo/as-of{query}") == expected


def test_a_test_that_a_server_misses_is_marked(running: Api) -> None:
    report = Report(environment="production", host="web-1", position=1, tests={})
    with write_transaction(running.backbone.engine) as connection:
        record(connection, report, offset=1, at=datetime.now(UTC))
    (listed,) = running.done("vera", "GET", TESTS)["tests"]
    assert (listed["not_laid_out_on"], listed["live_servers"]) == (["production/web-1"], 1)
    (server,) = running.done("vera", "GET", "/api/v1/servers")
    assert (server["host"], server["misses"]) == ("web-1", ["big_photo"])


def test_a_superuser_pauses_resumes_and_rebuilds_projections(api: Api) -> None:
    def states() -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for each in api.done("vera", "GET", "/api/v1/projections"):
            found.setdefault(each["name"], set()).add(each["state"])
        return found

    assert states()["changelog"] == {"live"}
    api.done("root", "POST", "/api/v1/projections/changelog/pause", json={"reason": "to look at it"})
    assert states()["changelog"] == {"paused"}
    again = api.refused("root", "POST", "/api/v1/projections/changelog/pause", json={})
    assert again == (409, "NothingToPause")
    api.done("root", "POST", "/api/v1/projections/changelog/resume")
    assert api.refused("root", "POST", "/api/v1/projections/changelog/resume") == (409, "NothingToResume")
    assert api.refused("root", "POST", "/api/v1/projections/nothing/pause", json={}) == (404, "NoSuchThing")
    for step in ("pause", "resume", "rebuild"):
        path = f"/api/v1/projections/changelog/{step}"
        assert api.refused("ann", "POST", path, json={}) == (403, "NotAllowed")


def test_a_rebuild_runs_in_the_background_one_at_a_time(api: Api) -> None:
    api.draft("big_photo")
    assert api.ask("root", "POST", "/api/v1/projections/changelog/rebuild").status_code == 202
    api.app.state.rebuilds.wait()
    served = [each for each in api.done("vera", "GET", "/api/v1/projections") if each["serves"]]
    assert next(each["generation"] for each in served if each["name"] == "changelog") == 2
    assert api.done("ann", "GET", f"{TESTS}/big_photo/changelog")["entries"]


def test_filters_are_told_with_their_labels(api: Api) -> None:
    filters = {each["name"]: each for each in api.done("vera", "GET", "/api/v1/filters")}
    assert (filters["country_id"]["type"], filters["country_id"]["scope"]) == ("integer", "user")
    assert "in" in filters["country_id"]["operators"]


def test_only_superusers_administer_accounts(api: Api) -> None:
    new = {"name": "Nina", "role": "qa", "password": PASSWORD}
    assert api.refused("ann", "POST", "/api/v1/accounts", json=new) == (403, "NotAllowed")
    assert api.done("root", "POST", "/api/v1/accounts", json=new)["name"] == "nina"
    assert api.refused("root", "POST", "/api/v1/accounts", json=new) == (409, "AccountExists")
    nina = api.signed_in("nina")
    assert api.done("root", "PATCH", "/api/v1/accounts/nina", json={"role": "viewer"})["role"] == "viewer"
    assert nina.get("/api/v1/me").json()["role"] == "viewer"
    api.done("root", "POST", "/api/v1/accounts/nina/password", json={"password": "another sentence"})
    assert nina.get("/api/v1/me").status_code == 401
    assert api.done("root", "PATCH", "/api/v1/accounts/nina", json={"is_active": False})["is_active"] is False
    assert "nina" in [each["name"] for each in api.done("root", "GET", "/api/v1/accounts")["accounts"]]
    assert api.refused("root", "PATCH", "/api/v1/accounts/root", json={"is_active": False}) == (409, "LastSuperuser")
    assert api.refused("root", "PATCH", "/api/v1/accounts/nobody", json={}) == (404, "NoSuchAccount")
    assert api.refused("vera", "GET", "/api/v1/accounts") == (403, "NotAllowed")


def test_everybody_changes_their_own_password(api: Api) -> None:
    ann = api.signed_in("ann")
    wrong = {"current_password": "guessed wrong", "password": "another sentence"}
    assert ann.post("/api/v1/me/password", json=wrong).status_code == 401
    right = {"current_password": PASSWORD, "password": "another sentence"}
    assert ann.post("/api/v1/me/password", json=right).status_code == 204
    assert ann.get("/api/v1/me").status_code == 401
    assert api.desk.sign_in("ann", "another sentence", address="x")[0].name == "ann"


def test_everybody_makes_lists_and_revokes_their_own_tokens(api: Api) -> None:
    vera, ann = api.signed_in("vera"), api.signed_in("ann")
    made = vera.post("/api/v1/tokens", json={"label": "ci", "scopes": ["read"]}).json()
    bearer = {"Authorization": f"Bearer {made['token']}"}
    assert api.client.get("/api/v1/me", headers=bearer).status_code == 403
    assert api.client.get(TESTS, headers=bearer).status_code == 200
    (listed,) = vera.get("/api/v1/tokens").json()["tokens"]
    assert "token" not in listed
    assert (listed["last_used_at"], listed["uses_unknown_before"]) == (None, None)
    api.desk.token_uses.write()
    assert vera.get(f"/api/v1/tokens/{made['token_id']}").json()["last_used_at"] >= made["created_at"]
    assert ann.get("/api/v1/tokens").json() == {"tokens": [], "total": 0, "next": None}
    assert ann.get("/api/v1/tokens?everybody=true").status_code == 403
    assert ann.delete(f"/api/v1/tokens/{made['token_id']}").status_code == 404
    assert vera.delete(f"/api/v1/tokens/{made['token_id']}").status_code == 204
    assert api.refused("", "GET", TESTS, headers=bearer) == (401, "NotSignedIn")
    root = api.signed_in("root")
    assert root.get("/api/v1/tokens?everybody=true").json()["total"] == 1


def test_a_token_makes_no_tokens(api: Api) -> None:
    new = {"label": "ci", "scopes": ["read"]}
    assert api.refused("root", "POST", "/api/v1/tokens", json=new) == (403, "NotByToken")


def test_a_session_changes_nothing_for_a_page_of_somebody_else(api: Api) -> None:
    ann = api.signed_in("ann")
    new = {"key": "big_photo", "name": "x"}
    for headers in ({"Origin": "https://evil.example.com"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        refused = ann.post(TESTS, json=new, headers=headers)
        assert (refused.status_code, refused.json()["error"]) == (403, "CrossSite")
    del ann.headers["Origin"]
    assert ann.post(TESTS, json=new).json()["error"] == "CrossSite"
    assert ann.get(TESTS).json()["total"] == 0
    ann.headers["Origin"] = "http://testserver"
    assert ann.post(TESTS, json=new).status_code == 201


def test_the_openapi_document_describes_every_endpoint(api: Api) -> None:
    document = api.done("", "GET", "/api/openapi.json")
    operations = [each for path in document["paths"].values() for each in path.values()]
    assert len(operations) > 30
    assert all(each.get("summary") for each in operations)
