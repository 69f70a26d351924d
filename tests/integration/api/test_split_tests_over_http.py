"""What managers do over HTTP: create, propose, steer, look; with preconditions, idempotency, and everybody's rights."""

from typing import Any

import pytest

from tests.support.api import PEOPLE, SETTINGS, Api

TESTS = "/api/v1/tests"


def test_a_manager_takes_a_test_through_its_life(api: Api) -> None:
    made = api.ask("ann", "POST", TESTS, json={"key": "green_button", "name": "Green button", "managers": ["boris"]})
    assert (made.status_code, made.headers["location"], made.headers["etag"]) == (201, f"{TESTS}/green_button", '"1"')
    proposed = api.ask("boris", "POST", f"{TESTS}/green_button/settings", json=SETTINGS)
    assert proposed.status_code == 202
    waiting = api.done("ann", "GET", f"{TESTS}/green_button/settings")
    assert (waiting["pending_group"], waiting["pending_state"], waiting["variants"]) == (1, "proposed", [])
    assert api.backbone.preparer.prepare("green_button")
    for step, status, possible in (
        ("publish", "in_dev", ["start", "unpublish"]),
        ("start", "running", ["pause", "finish", "reject"]),
        ("pause", "paused", ["resume", "finish", "reject"]),
        ("resume", "running", ["pause", "finish", "reject"]),
    ):
        api.done("ann", "POST", f"{TESTS}/green_button/{step}")
        seen = api.done("ann", "GET", f"{TESTS}/green_button")
        assert (seen["status"], sorted(seen["possible_actions"])) == (status, sorted(possible))
    api.done("ann", "POST", f"{TESTS}/green_button/finish", json={"resulting_variant": "green"})
    assert api.refused("ann", "POST", f"{TESTS}/green_button/reject") == (409, "TransitionNotAllowed")
    settings = api.done("vera", "GET", f"{TESTS}/green_button/settings")
    assert [(each["name"], each["percent"], len(each["split_groups"])) for each in settings["variants"]] == [
        ("control", 50.0, 1200),
        ("green", 50.0, 1200),
    ]
    assert settings["conditions"] == SETTINGS["conditions"]
    assert "country_id" in settings["conditions_text"]
    entries = api.done("vera", "GET", f"{TESTS}/green_button/changelog")["entries"]
    assert [each["actor"] for each in entries] == ["ann", "boris", "preparer", "ann", "ann", "ann", "ann", "ann"]


def test_the_checklist_says_what_to_look_at_before_a_start_and_its_etag_holds_it(api: Api) -> None:
    api.draft("green_button", settings=SETTINGS)
    api.done("ann", "POST", f"{TESTS}/green_button/publish")
    answer = api.ask("vera", "GET", f"{TESTS}/green_button/checklist")
    found = {each["about"]: each for each in answer.json()["findings"]}
    assert {about: each["mark"] for about, each in found.items()} == {
        "code": "bad",
        "dates": "ok",
        "servers": "ok",
        "overlaps": "ok",
        "power": "warn",
    }
    assert "No hit from production yet" in found["code"]["found"]
    assert found["dates"]["found"] == "From 2026-01-01 00:00 UTC to 2099-01-01 00:00 UTC."
    assert "As of 2" in found["overlaps"]["why"]
    api.done("ann", "POST", f"{TESTS}/green_button/settings", json={**SETTINGS, "ends_at": "2098-01-01"})
    looked = {"If-Match": answer.headers["etag"]}
    assert api.refused("ann", "POST", f"{TESTS}/green_button/start", headers=looked) == (412, "VersionConflict")
    anew = api.ask("vera", "GET", f"{TESTS}/green_button/checklist")
    assert anew.json()["findings"][1]["about"] == "waiting"
    api.done("ann", "POST", f"{TESTS}/green_button/start", headers={"If-Match": anew.headers["etag"]})


def test_a_checklist_names_no_draft_of_others(api: Api) -> None:
    everybody = {**SETTINGS, "conditions": []}
    api.draft("secret_plan", by="boris", settings=everybody)
    api.done("boris", "POST", f"{TESTS}/secret_plan/publish")
    api.draft("green_button", settings=everybody)
    told = api.ask("ann", "GET", f"{TESTS}/green_button/checklist").text
    api.done("boris", "POST", f"{TESTS}/secret_plan/unpublish")
    hidden = api.ask("ann", "GET", f"{TESTS}/green_button/checklist").text
    assert "tests of the same type: secret_plan, 2400 split groups" in told
    assert "secret_plan" not in hidden
    assert "tests of the same type: a test that is still a Draft, 2400 split groups" in hidden


def test_a_draft_may_be_unpublished_and_discarded(api: Api) -> None:
    api.draft("big_photo", settings=SETTINGS)
    api.done("ann", "POST", f"{TESTS}/big_photo/publish")
    api.done("ann", "POST", f"{TESTS}/big_photo/unpublish")
    api.done("ann", "POST", f"{TESTS}/big_photo/discard")
    assert api.refused("ann", "GET", f"{TESTS}/big_photo") == (404, "SplitTestNotFound")


def test_a_running_test_may_be_rejected(api: Api) -> None:
    api.draft("big_photo", settings=SETTINGS)
    for step in ("publish", "start", "reject"):
        api.done("ann", "POST", f"{TESTS}/big_photo/{step}")
    assert api.done("ann", "GET", f"{TESTS}/big_photo")["status"] == "rejected"


def test_properties_and_managers_are_edited(api: Api) -> None:
    api.draft("big_photo")
    api.done("ann", "PATCH", f"{TESTS}/big_photo", json={"name": "Bigger", "issue_key": "WEB-7", "description": "Why"})
    api.done("ann", "POST", f"{TESTS}/big_photo/managers", json={"add": ["boris"], "remove": ["ann"]})
    seen = api.done("boris", "GET", f"{TESTS}/big_photo")
    assert (seen["name"], seen["issue_key"], seen["managers"], seen["i_manage"]) == ("Bigger", "WEB-7", ["boris"], True)
    assert api.refused("boris", "PATCH", f"{TESTS}/big_photo", json={"key": "x"}) == (422, "InvalidRequest")


def test_a_change_that_expects_an_older_version_is_refused_and_changes_nothing(api: Api) -> None:
    api.draft("big_photo")
    seen = api.ask("ann", "GET", f"{TESTS}/big_photo").headers["etag"]
    first = api.ask("ann", "PATCH", f"{TESTS}/big_photo", json={"name": "One"}, headers={"If-Match": seen})
    assert first.headers["etag"] == '"2"'
    late = api.ask("ann", "PATCH", f"{TESTS}/big_photo", json={"name": "Two"}, headers={"If-Match": seen})
    assert (late.status_code, late.json()["error"], late.json()["version"]) == (412, "VersionConflict", 2)
    assert api.done("ann", "GET", f"{TESTS}/big_photo")["name"] == "One"
    api.done("ann", "PATCH", f"{TESTS}/big_photo", json={"name": "Three"}, headers={"If-Match": "*"})


@pytest.mark.parametrize("if_match", ["", "1", 'W/"1"', '"x"', '"1", "2"', '"-1"', '"9999999999"'])
def test_a_precondition_that_cannot_be_read_is_refused_rather_than_passed_over(api: Api, if_match: str) -> None:
    api.draft("big_photo")
    change = api.refused("ann", "PATCH", f"{TESTS}/big_photo", json={"name": "x"}, headers={"If-Match": if_match})
    assert change == (400, "WrongIfMatch")


def test_the_same_idempotency_key_gets_the_first_answer_again(api: Api) -> None:
    key = {"Idempotency-Key": "a-1"}
    body = {"key": "big_photo", "name": "Big photo"}
    first = api.done("ann", "POST", TESTS, json=body, headers=key)
    again = api.done("ann", "POST", TESTS, json=body, headers=key)
    assert again == first | {"replayed": True}
    api.done("ann", "PATCH", f"{TESTS}/big_photo", json={"name": "x"}, headers={"Idempotency-Key": "a-2"})
    stale = {"Idempotency-Key": "a-2", "If-Match": '"1"'}
    assert api.done("ann", "PATCH", f"{TESTS}/big_photo", json={"name": "x"}, headers=stale)["version"] == 2
    other = {"key": "another", "name": "Another"}
    assert api.refused("ann", "POST", TESTS, json=other, headers=key) == (422, "CommandIdReused")
    assert api.refused("boris", "POST", TESTS, json=body, headers=key) == (422, "CommandIdReused")
    long = {"Idempotency-Key": "x" * 201}
    assert api.refused("ann", "POST", TESTS, json=other, headers=long) == (400, "WrongIdempotencyKey")


@pytest.mark.parametrize("name", ["boris", "dora", "quentin", "vera"])
def test_a_draft_of_others_looks_like_no_test_at_all(api: Api, name: str) -> None:
    api.draft("secret_plan", settings=SETTINGS)
    steers = PEOPLE[name] in {"manager", "superuser"}
    for method, path, body in (
        ("GET", "secret_plan", None),
        ("GET", "secret_plan/settings", None),
        ("GET", "secret_plan/checklist", None),
        ("GET", "secret_plan/changelog", None),
        ("GET", "secret_plan/as-of?position=1", None),
        ("POST", "secret_plan/check", {"user": {"id": 1}}),
        ("POST", "secret_plan/check-as-of?position=1", {"user": {"id": 1}}),
        ("POST", "secret_plan/publish", None),
        ("PATCH", "secret_plan", {"name": "x"}),
    ):
        there = api.ask(name, method, f"{TESTS}/{path}", json=body)
        nowhere = api.ask(name, method, f"{TESTS}/{path}".replace("secret_plan", "no_such_key"), json=body)
        if method == "GET" or "check" in path or steers:
            assert there.status_code == 404
        else:
            assert there.status_code == 403
        assert there.text == nowhere.text.replace("no_such_key", "secret_plan")
    stale = api.ask(name, "PATCH", f"{TESTS}/secret_plan", json={"name": "x"}, headers={"If-Match": '"77"'})
    assert stale.status_code == (404 if steers else 403)
    listed = api.done(name, "GET", TESTS)
    assert (listed["tests"], listed["total"]) == ([], 0)
    assert api.done(name, "POST", "/api/v1/checks", json={"user": {"id": 1}})["answers"] == []
    (answer,) = api.done(name, "POST", "/api/v1/checks", json={"user": {"id": 1}, "keys": ["secret_plan"]})["answers"]
    assert (answer["reason"], answer["status"]) == ("unknown_test", None)


def test_a_superuser_and_its_managers_see_a_draft(api: Api) -> None:
    api.draft("secret_plan")
    for name in ("root", "ann"):
        assert api.done(name, "GET", f"{TESTS}/secret_plan")["status"] == "draft"
        assert api.done(name, "GET", TESTS)["total"] == 1


def test_a_test_that_was_counted_as_an_overlap_and_is_a_draft_again_is_not_named(api: Api) -> None:
    api.draft("secret_plan", by="boris", settings=SETTINGS)
    api.done("boris", "POST", f"{TESTS}/secret_plan/publish")
    api.draft("big_photo", settings=SETTINGS)
    api.done("ann", "POST", f"{TESTS}/big_photo/publish")
    named = api.done("vera", "GET", f"{TESTS}/big_photo/settings")["overlaps"]
    assert [each["key"] for each in named] == ["secret_plan"]
    assert "secret_plan" in api.ask("vera", "GET", f"{TESTS}/big_photo/changelog").text
    api.done("boris", "POST", f"{TESTS}/secret_plan/unpublish")
    for name, is_named in (("vera", False), ("ann", False), ("boris", True), ("root", True)):
        for path in ("settings", "changelog", "as-of?position=8"):
            told = api.ask(name, "GET", f"{TESTS}/big_photo/{path}")
            assert told.status_code == 200, told.text
            assert ("secret_plan" in told.text) is is_named, f"{name} {path}"


@pytest.mark.parametrize("name", ["", "dora", "quentin", "vera"])
def test_who_may_not_steer_is_refused_before_anything_is_looked_at(api: Api, name: str) -> None:
    api.draft("big_photo", settings=SETTINGS)
    api.done("ann", "POST", f"{TESTS}/big_photo/publish")
    expected = (401, "NotSignedIn") if not name else (403, "NotAllowed")
    for method, path, body in (
        ("POST", "big_photo/start", None),
        ("PATCH", "big_photo", {"name": "x"}),
        ("POST", "big_photo/managers", {"add": [name or "x"]}),
        ("POST", "big_photo/settings", SETTINGS),
        ("POST", "big_photo/settings/retry", None),
        ("POST", "big_photo/finish", {"resulting_variant": "green"}),
    ):
        assert api.refused(name, method, f"{TESTS}/{path}", json=body) == expected
    if name != "dora":
        assert api.refused(name, "POST", TESTS, json={"key": "k", "name": "K"}) == expected
    assert api.done("ann", "GET", f"{TESTS}/big_photo")["version"] == 4


def test_a_manager_of_other_tests_is_told_whom_to_ask(api: Api) -> None:
    api.draft("big_photo", settings=SETTINGS)
    api.done("ann", "POST", f"{TESTS}/big_photo/publish")
    refused = api.ask("boris", "POST", f"{TESTS}/big_photo/start")
    assert (refused.status_code, refused.json()["error"]) == (403, "NotAManager")
    assert "ask ann" in refused.json()["detail"]


def test_the_list_is_searched_filtered_and_paged(api: Api) -> None:
    for number in range(5):
        api.draft(f"test_{number}", settings=SETTINGS if number == 3 else None)
    api.done("ann", "PATCH", f"{TESTS}/test_1", json={"type": "mobile", "name": "Знак %_"})
    api.done("ann", "POST", f"{TESTS}/test_3/publish")
    api.draft("of_boris", by="boris")

    def keys(query: str, name: str = "ann") -> list[str]:
        return [each["key"] for each in api.done(name, "GET", f"{TESTS}?{query}")["tests"]]

    assert keys("") == ["test_4", "test_3", "test_2", "test_1", "test_0"]
    assert keys("search=знак") == keys("search=%25_") == keys("type=mobile") == ["test_1"]
    assert keys("status=in_dev") == keys("", "vera") == ["test_3"]
    assert keys("status=in_dev&status=draft&type=web") == ["test_4", "test_3", "test_2", "test_0"]
    assert keys("mine=true", "boris") == ["of_boris"]
    assert keys("mine=true", "root") == []
    pages, after = [], ""
    while True:
        page = api.done("ann", "GET", f"{TESTS}?limit=2{after}")
        pages.append([each["key"] for each in page["tests"]])
        assert page["total"] == 5
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert pages == [["test_4", "test_3"], ["test_2", "test_1"], ["test_0"]]


@pytest.mark.parametrize("query", ["after=x", "after=W10=", "after=WzEsIDJd", "after=%00", "after=!!!!"])
def test_a_cursor_that_is_none_is_refused(api: Api, query: str) -> None:
    assert api.refused("ann", "GET", f"{TESTS}?{query}") == (400, "WrongCursor")


@pytest.mark.parametrize(
    "query", ["status=discarded", "limit=0", "limit=201", "limit=x", "search=%00", "search=%ED%A0%80%00", "type=%00"]
)
def test_a_question_that_cannot_be_asked_is_refused(api: Api, query: str) -> None:
    assert api.refused("ann", "GET", f"{TESTS}?{query}") == (422, "InvalidRequest")


@pytest.mark.parametrize("key", ["x" * 150, "%00", "a b", "%D0%BA", "'; DROP TABLE events;--", "..%2f..%2fetc"])
def test_what_cannot_be_a_key_is_not_found_and_harms_nothing(api: Api, key: str) -> None:
    status, _ = api.refused("ann", "GET", f"{TESTS}/{key}")
    assert status in {404, 422}
    assert api.done("ann", "GET", TESTS)["total"] == 0


HTML = "<script>alert(1)</script>'; DROP TABLE events; --"


def test_sql_and_html_in_texts_are_kept_as_texts(api: Api) -> None:
    new = {"key": "big_photo", "name": HTML, "description": HTML, "issue_key": HTML, "chat_room": HTML}
    api.done("ann", "POST", TESTS, json=new)
    seen = api.ask("ann", "GET", f"{TESTS}/big_photo")
    assert seen.headers["content-type"] == "application/json"
    assert all(seen.json()[field] == HTML for field in ("name", "description", "issue_key", "chat_room"))
    assert api.done("ann", "GET", f"{TESTS}?search={HTML.replace('#', '')}")["total"] == 1
    assert api.done("ann", "GET", f"{TESTS}/big_photo/changelog")["entries"][0]["actor"] == "ann"


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "a\nb", "a\x1b[31mb", "x" * 300])
@pytest.mark.parametrize("field", ["key", "name", "type", "issue_key", "chat_room"])
def test_texts_that_cannot_be_kept_are_refused(api: Api, field: str, text: str) -> None:
    import json

    new = {"key": "big_photo", "name": "Big photo"} | {field: text}
    content = json.dumps(new)
    headers = {"Content-Type": "application/json"}
    status, _ = api.refused("ann", "POST", TESTS, content=content, headers=headers)
    assert status == 422
    assert api.done("ann", "GET", TESTS)["total"] == 0


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"ends_at": None}, "EndlessTest"),
        ({"starts_at": "2099-02-01"}, "EndsBeforeStart"),
        ({"starts_at": "yesterday"}, "WrongMoment"),
        ({"variants": []}, "NoVariants"),
        ({"variants": [{"name": "a", "percent": 0.01}]}, "PercentNotExact"),
        ({"variants": [{"name": "a", "percent": float("nan")}]}, None),
        ({"variants": [{"name": "a", "percent": 1e400}]}, None),
        ({"variants": [{"name": "a", "percent": "9" * 10000}]}, None),
        ({"variants": [{"name": "\ud800", "percent": 10}]}, "WrongVariantName"),
        ({"conditions": [{"filter": "no_such", "operator": "eq", "value": 1}]}, "UnknownFilter"),
        ({"conditions": [{"filter": "country_id", "operator": "in", "value": ["\ud800"]}]}, None),
        ({"conditions": 5}, "MalformedConditions"),
        ({"hint": 1}, "UnknownField"),
        ({"total_percent": 10}, "PercentsOrTotal"),
    ],
)
def test_a_proposal_that_breaks_a_rule_is_refused_by_its_name(api: Api, change: dict[str, Any], error: str) -> None:
    import json

    api.draft("big_photo")
    content, headers = json.dumps({**SETTINGS, **change}), {"Content-Type": "application/json"}
    status, named = api.refused("ann", "POST", f"{TESTS}/big_photo/settings", content=content, headers=headers)
    assert (status, named) == (422, error or named)
    assert api.done("ann", "GET", f"{TESTS}/big_photo")["version"] == 1


def test_a_failed_preparation_is_told_and_can_be_retried(api: Api) -> None:
    api.draft("big_photo")
    api.done("ann", "POST", f"{TESTS}/big_photo/settings", json=SETTINGS)
    assert api.refused("ann", "POST", f"{TESTS}/big_photo/settings/retry") == (409, "NothingToRetry")
    commands = api.backbone.preparer._commands
    commands.record_failed("big_photo", settings_group=1, reason="no users", expected_version=2)
    waiting = api.done("ann", "GET", f"{TESTS}/big_photo/settings")
    assert (waiting["pending_state"], waiting["pending_reason"]) == ("failed", "no users")
    assert api.ask("ann", "POST", f"{TESTS}/big_photo/settings/retry").status_code == 202


def test_the_changelog_is_read_in_parts(api: Api) -> None:
    api.draft("big_photo", settings=SETTINGS)
    first = api.done("ann", "GET", f"{TESTS}/big_photo/changelog?limit=2")
    rest = api.done("ann", "GET", f"{TESTS}/big_photo/changelog?limit=2&after={first['next']}")
    assert [each["position"] for each in first["entries"] + rest["entries"]] == [1, 2, 3]
    assert rest["next"] is None
    assert {"what": "variant green", "before": "", "after": "50 %"} in first["entries"][1]["changes"]
