"""User groups over HTTP: made, given conditions, switched on and off, by who may; and what servers are told."""

from typing import Any

import pytest

from tests.support.api import PEOPLE, Api

GROUPS = "/api/v1/user-groups"
RUSSIANS = [{"filter": "country_id", "operator": "in", "value": ["50"]}]


def make(api: Api, key: str = "premium", *, by: str = "ann", conditions: Any = RUSSIANS) -> None:
    api.done(by, "POST", GROUPS, json={"key": key, "name": f"The {key}"})
    if conditions is not None:
        api.done(by, "POST", f"{GROUPS}/{key}/conditions", json=conditions)


def test_a_manager_takes_a_user_group_through_its_life(api: Api) -> None:
    made = api.ask("ann", "POST", GROUPS, json={"key": "premium", "name": "Premium", "managers": ["boris"]})
    assert (made.status_code, made.headers["location"], made.headers["etag"]) == (201, f"{GROUPS}/premium", '"1"')
    assert api.refused("ann", "POST", f"{GROUPS}/premium/activate") == (409, "NoConditions")
    api.done("boris", "POST", f"{GROUPS}/premium/conditions", json=RUSSIANS)
    for step, status, possible in (
        ("activate", "active", ["switch-off"]),
        ("switch-off", "off", ["activate", "discard"]),
        ("activate", "active", ["switch-off"]),
    ):
        api.done("ann", "POST", f"{GROUPS}/premium/{step}")
        seen = api.ask("vera", "GET", f"{GROUPS}/premium")
        assert (seen.json()["status"], seen.json()["possible_actions"]) == (status, possible)
        assert seen.headers["etag"] == f'"{seen.json()["version"]}"'
    found = api.done("vera", "GET", f"{GROUPS}/premium")
    assert (found["conditions"], found["settings_group"]) == (RUSSIANS, 1)
    assert "country_id" in found["conditions_text"]
    assert api.refused("ann", "POST", f"{GROUPS}/premium/discard") == (409, "TransitionNotAllowed")
    api.done("ann", "POST", f"{GROUPS}/premium/switch-off")
    api.done("ann", "POST", f"{GROUPS}/premium/discard")
    assert api.refused("ann", "GET", f"{GROUPS}/premium") == (404, "UserGroupNotFound")


def test_it_is_edited_by_those_who_manage_it(api: Api) -> None:
    make(api)
    api.done("ann", "PATCH", f"{GROUPS}/premium", json={"name": "Payers", "description": "Who pays"})
    api.done("ann", "POST", f"{GROUPS}/premium/managers", json={"add": ["boris"], "remove": ["ann"]})
    seen = api.done("boris", "GET", f"{GROUPS}/premium")
    assert (seen["name"], seen["description"], seen["managers"], seen["i_manage"]) == (
        "Payers",
        "Who pays",
        ["boris"],
        True,
    )
    api.done("boris", "POST", f"{GROUPS}/premium/activate")
    assert api.refused("ann", "PATCH", f"{GROUPS}/premium", json={"name": "x"}) == (403, "NotAManager")
    assert api.refused("vera", "PATCH", f"{GROUPS}/premium", json={"name": "x"}) == (403, "NotAllowed")
    assert api.refused("vera", "POST", GROUPS, json={"key": "x", "name": "x"}) == (403, "NotAllowed")
    assert api.refused("boris", "POST", GROUPS, json={"key": "premium", "name": "x"}) == (409, "KeyTaken")


def test_a_stale_change_and_a_repeated_one_change_nothing(api: Api) -> None:
    make(api)
    path, stale = f"{GROUPS}/premium", {"If-Match": '"1"'}
    assert api.refused("ann", "PATCH", path, json={"name": "x"}, headers=stale) == (412, "VersionConflict")
    once = {"Idempotency-Key": "g-1"}
    first = api.done("ann", "PATCH", path, json={"name": "x"}, headers=once)
    assert api.done("ann", "PATCH", path, json={"name": "x"}, headers=once) == first | {"replayed": True}
    assert api.done("ann", "GET", path)["version"] == first["version"]


@pytest.mark.parametrize("name", ["boris", "dora", "vera"])
def test_a_draft_of_others_looks_like_no_user_group_at_all(api: Api, name: str) -> None:
    make(api, "secret")
    steers = PEOPLE[name] == "manager"
    for method, path, body in (
        ("GET", "secret", None),
        ("GET", "secret/changelog", None),
        ("GET", "secret/estimate", None),
        ("PATCH", "secret", {"name": "x"}),
        ("POST", "secret/activate", None),
        ("POST", "secret/estimate", None),
    ):
        there = api.ask(name, method, f"{GROUPS}/{path}", json=body)
        nowhere = api.ask(name, method, f"{GROUPS}/{path.replace('secret', 'nothing')}", json=body)
        assert there.status_code == (404 if method == "GET" or steers else 403)
        assert there.text == nowhere.text.replace("nothing", "secret")
    assert api.done(name, "GET", GROUPS) == {"user_groups": [], "total": 0, "next": None}
    assert api.done("root", "GET", GROUPS)["total"] == 1


def test_the_list_is_searched_and_read_page_by_page(api: Api) -> None:
    for number in range(5):
        make(api, f"group_{number}", conditions=None if number else [])
    api.done("ann", "POST", f"{GROUPS}/group_0/activate")
    keys, after = list[str](), ""
    while True:
        page = api.done("ann", "GET", f"{GROUPS}?limit=2{after}")
        assert page["total"] == 5
        keys += [each["key"] for each in page["user_groups"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert keys == [f"group_{number}" for number in (4, 3, 2, 1, 0)]
    assert [each["key"] for each in api.done("ann", "GET", f"{GROUPS}?status=active")["user_groups"]] == ["group_0"]
    assert [each["key"] for each in api.done("ann", "GET", f"{GROUPS}?search=GROUP_3")["user_groups"]] == ["group_3"]
    for cursor in ("x", "WzFd", "WyJ4Il0="):
        assert api.refused("ann", "GET", f"{GROUPS}?after={cursor}") == (400, "WrongCursor")


def test_the_changelog_tells_every_change(api: Api) -> None:
    make(api)
    api.done("ann", "POST", f"{GROUPS}/premium/activate")
    first = api.done("vera", "GET", f"{GROUPS}/premium/changelog?limit=1")
    rest = api.done("vera", "GET", f"{GROUPS}/premium/changelog?after={first['next']}")
    sentences = [each["sentence"] for each in first["entries"] + rest["entries"]]
    assert [sentence.split()[0] for sentence in sentences] == ["Created", "Changed", "Activated"]
    assert {each["actor"] for each in rest["entries"]} == {"ann"}


def test_conditions_that_break_a_rule_are_refused_with_their_place(api: Api) -> None:
    make(api, conditions=None)
    path = f"{GROUPS}/premium/conditions"
    wrong = [{"filter": "no_such", "operator": "eq", "value": 1}]
    answer = api.ask("ann", "POST", path, json=wrong)
    assert (answer.status_code, answer.json()["error"]) == (422, "UnknownFilter")
    assert answer.json()["path"]
    assert api.refused("ann", "POST", path, json={"x": 1}) == (422, "InvalidRequest")
    api.done("ann", "POST", path, json=RUSSIANS)
    assert api.refused("ann", "POST", path, json=RUSSIANS) == (409, "NothingChanges")


def test_servers_download_its_document(api: Api) -> None:
    make(api)
    api.done("ann", "POST", f"{GROUPS}/premium/activate")
    document = api.done("vera", "GET", "/api/v1/configs/~user_group.premium")
    assert (document["kind"], document["key"], document["conditions"]) == ("user_group", "premium", RUSSIANS)


def test_somebody_is_checked_for_membership_with_the_reason(api: Api) -> None:
    make(api)
    path = f"{GROUPS}/premium/check"
    russian = {"user": {"id": 42, "attributes": {"country_id": 50}}}
    assert api.done("ann", "POST", path, json=russian)["reason"] == "unknown_group"
    assert api.refused("vera", "POST", path, json=russian) == (404, "UserGroupNotFound")
    api.done("ann", "POST", f"{GROUPS}/premium/activate")
    member = api.done("vera", "POST", path, json=russian)
    assert (member["is_member"], member["reason"], member["status"]) == (True, "member", "active")
    guest = api.done("vera", "POST", path, json={"guest": {"id": "g"}})
    assert (guest["is_member"], guest["reason"]) == (False, "conditions_not_met")
    assert "country_id" in guest["detail"]
    api.done("ann", "POST", f"{GROUPS}/premium/switch-off")
    assert api.done("vera", "POST", path, json=russian)["reason"] == "off"


def test_without_users_nobody_is_counted_and_that_is_said(api: Api) -> None:
    make(api)
    assert api.done("ann", "GET", f"{GROUPS}/premium/estimate")["state"] == "waiting"
    assert api.refused("ann", "POST", f"{GROUPS}/premium/preview", json=RUSSIANS) == (409, "NobodyIsCounted")
    make(api, "empty", conditions=None)
    assert api.refused("ann", "GET", f"{GROUPS}/empty/estimate") == (404, "NotCountedYet")
