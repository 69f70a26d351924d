"""Accounts, API tokens and projections are changed as split tests are: by the version that was seen, and once."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from api import first_answers
from api.first_answers import KEPT, first_answers_table
from events.database import open_database
from tests.support.api import PEOPLE, Api, serving
from tests.support.people import PASSWORD, open_desk, sign_up

ACCOUNTS = "/api/v1/accounts"
TOKENS = "/api/v1/tokens"
PROJECTION = "/api/v1/projections/changelog"
NEW_TOKEN = {"label": "ci", "scopes": ["read"]}
REPLAYED = "idempotency-replayed"


@pytest.fixture
def peopled_url(database_url: str) -> str:
    """A database of each kind, with people in it."""
    engine = open_database(database_url)
    sign_up(open_desk(engine), *PEOPLE.items())
    engine.dispose()
    return database_url


@pytest.fixture
def replicas(peopled_url: str) -> Iterator[tuple[Api, Api]]:
    """Two processes on one database."""
    with ExitStack() as stack:
        one, other = (stack.enter_context(serving(peopled_url)) for _ in range(2))
        one.backbone.projector.catch_up()
        for api in (one, other):
            # The framework builds its routes at the first request that passes them; of two threads one would fail.
            assert api.client.get("/api/v1/nowhere").status_code == 404
        yield one, other


def asked(api: Api, key: str, method: str, path: str, **rest: Any) -> httpx.Response:
    """Ask as root with an Idempotency-Key."""
    return api.ask("root", method, path, headers={"Idempotency-Key": key}, **rest)


def changes_of_nina(api: Api) -> list[tuple[str, str, dict[str, Any]]]:
    api.done("root", "POST", ACCOUNTS, json={"name": "nina", "password": PASSWORD})
    return [
        ("PATCH", f"{ACCOUNTS}/nina", {"role": "qa"}),
        ("PATCH", f"{ACCOUNTS}/nina", {"is_active": False}),
        ("PATCH", f"{ACCOUNTS}/nina", {"openid_only": True}),
        ("POST", f"{ACCOUNTS}/nina/password", {"password": "another sentence"}),
    ]


def test_a_superuser_ends_somebody_s_sessions_and_nothing_else(api: Api) -> None:
    ann = api.signed_in("ann")
    made = ann.post(TOKENS, json=NEW_TOKEN).json()
    late = api.refused("root", "DELETE", f"{ACCOUNTS}/ann/sessions", headers={"If-Match": '"7"'})
    assert (late, ann.get("/api/v1/me").status_code) == ((412, "VersionConflict"), 200)
    assert asked(api, "k", "DELETE", f"{ACCOUNTS}/ann/sessions").status_code == 204
    assert ann.get("/api/v1/me").status_code == 401
    again = api.signed_in("ann")
    assert REPLAYED in asked(api, "k", "DELETE", f"{ACCOUNTS}/ann/sessions").headers
    assert again.get("/api/v1/me").status_code == 200
    assert api.desk.identity_of_token(made["token"]).name == "ann"
    assert api.refused("root", "DELETE", f"{ACCOUNTS}/nobody/sessions") == (404, "NoSuchAccount")


def test_every_change_of_an_account_takes_its_version_one_further(api: Api) -> None:
    version = 1
    for method, path, body in changes_of_nina(api):
        seen = api.ask("root", "GET", f"{ACCOUNTS}/nina")
        assert (seen.headers["etag"], seen.json()["version"]) == (f'"{version}"', version)
        changed = api.ask("root", method, path, json=body, headers={"If-Match": seen.headers["etag"]})
        version += 1
        assert (changed.status_code // 100, changed.headers["etag"]) == (2, f'"{version}"'), changed.text
    api.signed_in("ann").delete("/api/v1/session?everywhere=true")
    assert api.done("root", "GET", f"{ACCOUNTS}/ann")["version"] == 1


def test_a_change_of_an_account_that_expects_an_older_version_changes_nothing(api: Api) -> None:
    for method, path, body in changes_of_nina(api):
        before = api.done("root", "PATCH", f"{ACCOUNTS}/nina", json={"role": "developer"})
        api.done("root", "PATCH", f"{ACCOUNTS}/nina", json={"role": "viewer"})
        now = api.done("root", "GET", f"{ACCOUNTS}/nina")
        late = api.ask("root", method, path, json=body, headers={"If-Match": f'"{before["version"]}"'})
        assert (late.status_code, late.json()["error"]) == (412, "VersionConflict"), path
        assert late.json()["version"] == now["version"]
        assert api.done("root", "GET", f"{ACCOUNTS}/nina") == now
        assert api.desk.sign_in("nina", PASSWORD, address="here")[0].name == "nina"
        api.done("root", "PATCH", f"{ACCOUNTS}/nina", json={"role": "qa"}, headers={"If-Match": "*"})


def test_of_two_who_saw_the_same_version_one_changes_the_account(replicas: tuple[Api, Api]) -> None:
    for _ in range(5):
        seen = replicas[0].ask("root", "GET", f"{ACCOUNTS}/vera").headers["etag"]

        def change(pair: tuple[Api, str], seen: str = seen) -> int:
            api, role = pair
            answer = api.ask("root", "PATCH", f"{ACCOUNTS}/vera", json={"role": role}, headers={"If-Match": seen})
            return answer.status_code

        role = replicas[0].done("root", "GET", f"{ACCOUNTS}/vera")["role"]
        wanted = [each for each in ("viewer", "qa", "developer") if each != role]
        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(change, zip(replicas, wanted, strict=True))) == [200, 412]


def test_a_token_is_revoked_by_the_version_that_was_seen(api: Api) -> None:
    browser = api.signed_in("vera")
    made = browser.post(TOKENS, json=NEW_TOKEN)
    path = made.headers["location"]
    assert (made.headers["etag"], browser.get(path).headers["etag"]) == ('"1"', '"1"')
    assert browser.delete(path, headers={"If-Match": '"2"'}).status_code == 412
    assert browser.get(path).json()["revoked_at"] is None
    assert browser.delete(path, headers={"If-Match": '"1"'}).status_code == 204
    assert (browser.get(path).headers["etag"], browser.get(path).json()["version"]) == ('"2"', 2)
    assert browser.delete(path, headers={"If-Match": '"1"'}).status_code == 412
    assert browser.delete(path).status_code == 204


def test_a_token_is_seen_by_its_owner_by_superusers_and_by_itself(api: Api) -> None:
    made = api.signed_in("vera").post(TOKENS, json=NEW_TOKEN)
    path, itself = made.headers["location"], {"Authorization": f"Bearer {made.json()['token']}"}
    assert api.refused("", "GET", path, headers=itself) == (403, "NotAllowed")  # which needs the scope `evaluate`
    evaluating = api.signed_in("vera").post(TOKENS, json={"label": "page", "scopes": ["evaluate"]}).json()
    bearer = {"Authorization": f"Bearer {evaluating['token']}"}
    assert api.done("", "GET", f"{TOKENS}/{evaluating['token_id']}", headers=bearer)["label"] == "page"
    assert api.refused("", "GET", path, headers=bearer) == (403, "NotByToken")
    assert api.signed_in("ann").get(path).status_code == 404
    assert api.signed_in("ann").delete(path, headers={"If-Match": '"7"'}).status_code == 404
    seen = api.done("root", "GET", path)
    assert (seen["account"], "token" in seen) == ("vera", False)


def test_a_projection_is_steered_by_the_state_that_was_seen(api: Api) -> None:
    live = api.ask("vera", "GET", PROJECTION).headers["etag"]
    api.draft("big_photo")
    assert api.ask("vera", "GET", PROJECTION).headers["etag"] == live  # it only moved on
    paused = api.ask("root", "POST", f"{PROJECTION}/pause", json={"reason": "x"}, headers={"If-Match": live})
    assert paused.headers["etag"] == api.ask("vera", "GET", PROJECTION).headers["etag"] != live
    for step in ("resume", "rebuild"):
        late = api.ask("root", "POST", f"{PROJECTION}/{step}", headers={"If-Match": live})
        assert (late.status_code, late.json()["error"]) == (412, "VersionConflict")
    seen = api.done("vera", "GET", PROJECTION)
    assert [(each["state"], each["reason"]) for each in seen["generations"]] == [("paused", "x")]
    again = api.ask("root", "POST", f"{PROJECTION}/resume", headers={"If-Match": paused.headers["etag"]})
    assert (again.status_code, again.headers["etag"]) == (204, live)
    assert api.ask("root", "POST", f"{PROJECTION}/rebuild", headers={"If-Match": live}).status_code == 202
    api.app.state.rebuilds.wait()
    assert api.ask("vera", "GET", PROJECTION).headers["etag"] != live
    assert api.refused("vera", "GET", "/api/v1/projections/nothing") == (404, "NoSuchThing")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", f"{ACCOUNTS}/vera", {"role": "qa"}),
        ("POST", f"{ACCOUNTS}/vera/password", {"password": "another sentence"}),
        ("DELETE", f"{TOKENS}/x", None),
        ("POST", f"{PROJECTION}/pause", {}),
        ("POST", f"{PROJECTION}/resume", None),
        ("POST", f"{PROJECTION}/rebuild", None),
    ],
)
def test_headers_that_cannot_be_read_are_refused_rather_than_passed_over(
    api: Api, method: str, path: str, body: object
) -> None:
    for headers, error in (
        ({"If-Match": 'W/"1"'}, "WrongIfMatch"),
        ({"If-Match": '"1", "2"'}, "WrongIfMatch"),
        ({"Idempotency-Key": "x" * 201}, "WrongIdempotencyKey"),
        ({"Idempotency-Key": ""}, "WrongIdempotencyKey"),
    ):
        assert api.refused("root", method, path, json=body, headers=headers) == (400, error)


def test_the_same_key_gets_the_first_answer_from_every_process_whatever_happened_since(
    replicas: tuple[Api, Api], caplog: pytest.LogCaptureFixture
) -> None:
    here, there = replicas
    new = {"name": "nina", "role": "qa", "password": PASSWORD}
    with caplog.at_level(logging.INFO, logger="usersplit.audit"):
        first = asked(here, "k-1", "POST", ACCOUNTS, json=new)
        asked(here, "k-2", "PATCH", f"{ACCOUNTS}/nina", json={"role": "viewer"})
        again = asked(there, "k-1", "POST", ACCOUNTS, json=new)
    assert (first.status_code, REPLAYED in first.headers) == (201, False)
    assert (again.status_code, again.json(), again.headers[REPLAYED]) == (201, first.json(), "true")
    assert {name: again.headers[name] for name in ("etag", "location")} == {
        name: first.headers[name] for name in ("etag", "location")
    }
    assert len([each for each in caplog.records if "account nina made as qa" in each.getMessage()]) == 1
    stale = {"Idempotency-Key": "k-2", "If-Match": '"1"'}
    late = there.ask("root", "PATCH", f"{ACCOUNTS}/nina", json={"role": "viewer"}, headers=stale)
    assert (late.status_code, late.json()["version"]) == (200, 2)


def test_another_change_under_the_same_key_is_refused(api: Api) -> None:
    new = {"name": "nina", "role": "qa", "password": PASSWORD}
    asked(api, "k", "POST", ACCOUNTS, json=new)
    for method, path, body in (
        ("POST", ACCOUNTS, {**new, "role": "viewer"}),
        ("POST", ACCOUNTS, {**new, "name": "nora"}),
        ("POST", ACCOUNTS, {**new, "password": "another sentence"}),
        ("POST", ACCOUNTS, {"name": "nina", "role": "qa"}),
        ("PATCH", f"{ACCOUNTS}/nina", {"role": "qa"}),
        ("POST", f"{ACCOUNTS}/nina/password", {"password": PASSWORD}),
        ("POST", f"{PROJECTION}/pause", {}),
    ):
        answer = asked(api, "k", method, path, json=body)
        assert (answer.status_code, answer.json()["error"]) == (422, "CommandIdReused"), (path, body)
    assert api.done("root", "GET", ACCOUNTS)["total"] == len(PEOPLE) + 1


def test_a_key_of_somebody_else_is_another_one(api: Api) -> None:
    answers = [
        api.signed_in(name).post(TOKENS, json=NEW_TOKEN, headers={"Idempotency-Key": "k"}) for name in ("ann", "vera")
    ]
    assert [answer.json()["account"] for answer in answers] == ["ann", "vera"]
    assert all(REPLAYED not in answer.headers for answer in answers)


def test_a_token_is_made_once_and_its_secret_told_once(api: Api) -> None:
    browser, key = api.signed_in("vera"), {"Idempotency-Key": "k"}
    first = browser.post(TOKENS, json=NEW_TOKEN, headers=key)
    again = browser.post(TOKENS, json=NEW_TOKEN, headers=key)
    assert api.desk.identity_of_token(first.json()["token"]).name == "vera"
    assert again.json() == {**first.json(), "token": None}
    assert (again.status_code, again.headers[REPLAYED]) == (201, "true")
    assert browser.get(TOKENS).json()["total"] == 1


def test_what_is_kept_of_an_answer_opens_nothing(api: Api) -> None:
    secret = api.signed_in("root").post(TOKENS, json=NEW_TOKEN, headers={"Idempotency-Key": "a"}).json()["token"]
    asked(api, "b", "POST", ACCOUNTS, json={"name": "nina", "password": PASSWORD})
    asked(api, "c", "POST", f"{ACCOUNTS}/nina/password", json={"password": PASSWORD})
    with api.backbone.engine.connect() as connection:
        rows = connection.execute(select(first_answers_table)).all()
    kept = " ".join(str(value) for row in rows for value in row)
    assert len(rows) == 3
    assert secret.rsplit("_", 1)[1] not in kept
    assert PASSWORD not in kept
    # Two fingerprints of one password have nothing in common, and each takes as long to guess by as a hash does.
    told = {api.desk.passwords.fingerprint(PASSWORD, salt=f"root {key}") for key in ("b", "c")}
    assert len(told) == 2


def test_projections_are_steered_once(api: Api) -> None:
    for step, body in (("pause", {"reason": "x"}), ("resume", None), ("rebuild", None)):
        first = asked(api, step, "POST", f"{PROJECTION}/{step}", json=body)
        api.app.state.rebuilds.wait()
        again = asked(api, step, "POST", f"{PROJECTION}/{step}", json=body)
        assert (first.status_code, REPLAYED in first.headers) == (202 if step == "rebuild" else 204, False)
        assert (again.status_code, again.headers[REPLAYED]) == (first.status_code, "true")
    api.app.state.rebuilds.wait()
    assert [each["generation"] for each in api.done("vera", "GET", PROJECTION)["generations"]] == [2]


def test_a_refusal_is_not_kept(api: Api) -> None:
    new = {"name": "ann", "password": PASSWORD}
    assert asked(api, "k", "POST", ACCOUNTS, json=new).json()["error"] == "AccountExists"
    assert asked(api, "k", "POST", ACCOUNTS, json={**new, "name": "nina"}).status_code == 201


def test_the_same_request_at_the_same_moment_is_done_once(replicas: tuple[Api, Api]) -> None:
    for number in range(5):
        new = {"name": f"nina{number}", "password": PASSWORD}

        def make(api: Api, number: int = number, new: dict[str, str] = new) -> httpx.Response:
            return asked(api, f"k-{number}", "POST", ACCOUNTS, json=new)

        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(make, replicas * 2))
        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.text for answer in answers}) == 1
        assert sorted(REPLAYED in answer.headers for answer in answers) == [False, True, True, True]


def test_a_change_whose_answer_cannot_be_kept_is_not_made(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    keep: Callable[..., None] = first_answers._keep

    def fails(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(first_answers, "_keep", fails)
    new = {"name": "nina", "password": PASSWORD}
    assert asked(api, "k", "POST", ACCOUNTS, json=new).status_code == 500
    assert api.desk.directory.find("nina") is None
    monkeypatch.setattr(first_answers, "_keep", keep)
    answer = asked(api, "k", "POST", ACCOUNTS, json=new)
    assert (answer.status_code, REPLAYED in answer.headers) == (201, False)


def test_answers_are_forgotten_after_a_day_so_that_they_do_not_pile_up(api: Api) -> None:
    moment = datetime(2026, 5, 1, tzinfo=UTC)
    api.app.state.now = lambda: moment

    def change(key: str, role: str) -> bool:
        """Return whether it was answered before."""
        answer = asked(api, key, "PATCH", f"{ACCOUNTS}/vera", json={"role": role})
        assert answer.status_code == 200, answer.text
        return REPLAYED in answer.headers

    assert [change(key, "qa") for key in ("a", "b", "c")] == [False] * 3
    moment += KEPT - timedelta(seconds=1)
    assert change("a", "qa")
    moment += timedelta(seconds=1)
    assert not change("a", "developer")
    with api.backbone.engine.connect() as connection:
        assert list(connection.execute(select(first_answers_table.c.idempotency_key)).scalars()) == ["a"]


def pages(ask: Callable[[str], httpx.Response], path: str, what: str) -> list[list[dict[str, Any]]]:
    """Walk through a list two by two."""
    found, after = [], ""
    while True:
        page = ask(f"{path}limit=2{after}").json()
        found.append(page[what])
        if page["next"] is None:
            assert sum(len(each) for each in found) == page["total"]
            return found
        after = f"&after={page['next']}"


def test_accounts_are_listed_in_pages_by_name(api: Api) -> None:
    names = [
        [each["name"] for each in page]
        for page in pages(lambda path: api.ask("root", "GET", path), f"{ACCOUNTS}?", "accounts")
    ]
    assert names == [["ann", "boris"], ["dora", "quentin"], ["root", "vera"]]


def test_tokens_are_listed_in_pages_the_newest_first_also_those_of_one_moment(api: Api) -> None:
    browser, clock = api.signed_in("vera"), api.desk.tokens._now
    made = []
    for number in range(5):
        moment = clock() + timedelta(seconds=number // 2)
        api.desk.tokens._now = lambda moment=moment: moment  # type: ignore[misc]
        token, _ = api.desk.tokens.create("vera", label=str(number), scopes=["read"])
        made.append((-(number // 2), token.token_id))
    api.desk.tokens.create("ann", label="of somebody else", scopes=["read"])
    found = pages(browser.get, f"{TOKENS}?", "tokens")
    assert [len(page) for page in found] == [2, 2, 1]
    assert [each["token_id"] for page in found for each in page] == [token_id for _, token_id in sorted(made)]
    everybody = pages(api.signed_in("root").get, f"{TOKENS}?everybody=true&", "tokens")
    assert sum(len(page) for page in everybody) == 6


@pytest.mark.parametrize("path", [f"{ACCOUNTS}?", f"{TOKENS}?"])
def test_a_cursor_of_another_list_and_a_size_that_is_none_are_refused(api: Api, path: str) -> None:
    other = api.done("root", "GET", f"{ACCOUNTS if path.startswith(TOKENS) else TOKENS}?limit=1&everybody=true")
    for key in ("a", "b"):
        api.draft(key, by="root")
    cursors = [other["next"], api.done("root", "GET", "/api/v1/tests?limit=1")["next"], "eA==", "%00", "x" * 3000]
    for cursor in [each for each in cursors if each]:
        status, error = api.refused("root", "GET", f"{path}after={cursor}")
        assert (status, error) in {(400, "WrongCursor"), (422, "InvalidRequest")}, cursor
    for limit in ("0", "-1", "201", "1e9", "9" * 40):
        assert api.refused("root", "GET", f"{path}limit={limit}") == (422, "InvalidRequest")
