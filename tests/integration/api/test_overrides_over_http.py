"""QA overrides over HTTP: what autotests do, and that every check and evaluation honours it at once."""

import json
from typing import Any

import pytest

from tests.support.api import SETTINGS, Api

OVERRIDES = "/api/v1/overrides"
TESTS = "/api/v1/tests"
NOBODY: dict[str, Any] = {"user": {"id": 42, "split_group": 7, "attributes": {"country_id": 1}}}
BULK = "/ofrep/v1/evaluate/flags"


@pytest.fixture
def running(api: Api) -> Api:
    for key in ("big_photo", "green_button"):
        api.draft(key, settings=SETTINGS)
        for step in ("publish", "start"):
            api.done("ann", "POST", f"{TESTS}/{key}/{step}")
    return api


def say(api: Api, what: str, *, by: str = "quentin", **body: Any) -> Any:
    return api.done(by, "POST", f"{OVERRIDES}/{what}", json={"unit": "user:42", **body})


def checked(api: Api, key: str = "big_photo", environment: str = "devel", **visit: Any) -> tuple[str | None, str]:
    body = {**NOBODY, "environment_name": environment, **visit}
    answer = api.done("vera", "POST", f"{TESTS}/{key}/check", json=body)
    return answer["variant"], answer["reason"]


def test_a_forced_variant_counts_in_every_check_at_once_and_in_its_environment_alone(running: Api) -> None:
    assert checked(running) == (None, "conditions_not_met")
    receipt = say(running, "force", key="big_photo", variant="green")
    assert (receipt["key"], receipt["version"]) == ("user:42", 1)
    assert checked(running) == ("green", "forced")
    assert checked(running, environment="production") == (None, "conditions_not_met")
    assert checked(running, environment="somewhere") == (None, "conditions_not_met")
    assert checked(running, now="2098-01-01T00:00:00Z") == ("green", "forced")
    many = running.done("vera", "POST", "/api/v1/checks", json={**NOBODY, "environment_name": "devel"})["answers"]
    assert [(each["key"], each["variant"]) for each in many] == [("big_photo", "green"), ("green_button", None)]
    say(running, "force", key="big_photo", variant=None)
    assert checked(running) == (None, "forced")
    say(running, "forget", key="big_photo")
    assert checked(running) == (None, "conditions_not_met")


def test_a_device_is_forced_whoever_uses_it(running: Api) -> None:
    running.done(
        "quentin",
        "POST",
        f"{OVERRIDES}/force",
        json={"unit": "device:a/b-1", "environment": "production", "key": "big_photo", "variant": "green"},
    )
    visit: dict[str, Any] = {"user": {**NOBODY["user"], "device_id": "a/b-1"}}
    assert checked(running, environment="production", **visit) == ("green", "forced")
    guest = running.done("vera", "POST", f"{TESTS}/big_photo/check", json={"guest": {"device_id": "a/b-1"}})
    assert guest["variant"] == "green"


def test_an_autotest_switches_all_tests_off_and_one_on(running: Api) -> None:
    russian: dict[str, Any] = {"user": {"id": 42, "split_group": 7, "attributes": {"country_id": 50}}}
    assert checked(running, **russian)[1] == checked(running, "green_button", **russian)[1] == "in_variant"
    assert running.refused(
        "quentin", "POST", f"{OVERRIDES}/enable-test", json={"unit": "user:42", "key": "big_photo"}
    ) == (409, "SplitTestsNotDisabled")
    say(running, "disable-tests")
    assert checked(running, **russian) == checked(running, "green_button", **russian) == (None, "disabled")
    say(running, "enable-test", key="big_photo")
    assert (checked(running, **russian)[1], checked(running, "green_button", **russian)[1]) == (
        "in_variant",
        "disabled",
    )
    (unit,) = running.done("vera", "GET", OVERRIDES)["units"]
    assert (unit["unit"], unit["environment"], unit["disabled"]["enabled"]) == ("user:42", "devel", ["big_photo"])
    say(running, "enable-tests")
    assert checked(running, "green_button", **russian)[1] == "in_variant"
    assert running.done("vera", "GET", OVERRIDES)["units"] == []


def test_clients_and_ofrep_get_what_is_forced_in_production(running: Api) -> None:
    say(running, "force", key="big_photo", variant="green", environment="production")
    running.live.refresh()
    client = {**NOBODY, "supported": ["big_photo", "green_button"]}
    assert running.done("vera", "POST", "/api/v1/client/variants", json=client) == {"big_photo": "green"}
    context = {"targetingKey": "42", "split_group": 7, "country_id": 1}
    (forced, other) = running.done("vera", "POST", BULK, content=json.dumps({"context": context}))["flags"]
    assert (forced["variant"], forced["reason"]) == ("green", "TARGETING_MATCH")
    assert (other["variant"], other["reason"]) == ("", "DEFAULT")
    in_devel = running.done(
        "vera", "POST", BULK, content=json.dumps({"context": {**context, "environment_name": "devel"}})
    )
    assert [each["reason"] for each in in_devel["flags"]] == ["DEFAULT", "DEFAULT"]
    documents = running.done("vera", "GET", "/api/v1/configs")["documents"]
    assert "~overrides" in [each["key"] for each in documents]


def test_checks_of_the_past_honour_what_was_forced_then(running: Api) -> None:
    before = running.backbone.store.head()
    forced = say(running, "force", key="big_photo", variant="green")["position"]
    after = say(running, "forget", key="big_photo")["position"]

    def then(position: int) -> Any:
        path = f"{TESTS}/big_photo/check-as-of?position={position}"
        return running.done("vera", "POST", path, json={**NOBODY, "environment_name": "devel"})["reason"]

    assert [then(position) for position in (before, forced, after)] == [
        "conditions_not_met",
        "forced",
        "conditions_not_met",
    ]


def test_overrides_are_listed_by_unit_and_page_by_page(running: Api) -> None:
    for number in range(5):
        body = {"unit": f"user:{number}", "key": "big_photo", "variant": "green"}
        running.done("quentin", "POST", f"{OVERRIDES}/force", json=body)
    say(running, "force", key="green_button", variant=None, environment="production")
    found, after = list[str](), ""
    while True:
        page = running.done("vera", "GET", f"{OVERRIDES}?limit=2{after}")
        found += [f"{each['environment']} {each['unit']}" for each in page["units"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert found == [*(f"devel user:{number}" for number in range(5)), "production user:42"]
    (only,) = running.done("vera", "GET", f"{OVERRIDES}?key=green_button")["units"]
    (forced,) = only["forced"]
    assert (forced["key"], forced["variant"], forced["actor"], forced["in_force"]) == (
        "green_button",
        None,
        "quentin",
        True,
    )
    assert [each["unit"] for each in running.done("vera", "GET", f"{OVERRIDES}?unit=user:3")["units"]] == ["user:3"]
    assert running.refused("vera", "GET", f"{OVERRIDES}?environment=mars") == (422, "InvalidRequest")
    assert running.refused("vera", "GET", f"{OVERRIDES}?after=W10=") == (400, "WrongCursor")


@pytest.mark.parametrize(
    ("what", "body", "expected"),
    [
        ("force", {"key": "never", "variant": "green"}, (404, "SplitTestNotFound")),
        ("force", {"key": "secret", "variant": "green"}, (404, "SplitTestNotFound")),
        ("force", {"key": "big_photo", "variant": "blue"}, (422, "UnknownVariant")),
        ("force", {"key": "big_photo"}, (422, "InvalidRequest")),
        ("force", {"key": "big_photo", "variant": "green", "until": "2020-01-01T00:00:00Z"}, (422, "WrongUntil")),
        ("force", {"key": "big_photo", "variant": "green", "environment": "mars"}, (422, "InvalidRequest")),
        ("force", {"key": "big_photo", "variant": "green", "unit": "robot:1"}, (422, "WrongUnit")),
        ("force", {"key": "big_photo", "variant": "green", "unit": "user:\u0007"}, (422, "WrongUnit")),
        ("forget", {}, (409, "NothingToForget")),
        ("enable-tests", {}, (409, "SplitTestsNotDisabled")),
        ("disable-tests", {"key": "big_photo"}, (422, "InvalidRequest")),
    ],
)
def test_what_cannot_be_overridden_is_refused_by_its_rule(
    running: Api, what: str, body: dict[str, Any], expected: tuple[int, str]
) -> None:
    running.draft("secret", by="boris", settings=SETTINGS)
    head = running.backbone.store.head()
    assert running.refused("quentin", "POST", f"{OVERRIDES}/{what}", json={"unit": "user:42", **body}) == expected
    assert running.backbone.store.head() == head


def test_who_may_not_override_changes_nothing(running: Api) -> None:
    body = {"unit": "user:42", "key": "big_photo", "variant": "green"}
    assert running.refused("vera", "POST", f"{OVERRIDES}/force", json=body) == (403, "NotAllowed")
    assert running.refused("", "POST", f"{OVERRIDES}/force", json=body) == (401, "NotSignedIn")
    assert running.refused("", "GET", OVERRIDES) == (401, "NotSignedIn")
    assert running.done("vera", "GET", OVERRIDES)["units"] == []


def test_an_override_of_a_draft_is_not_told_to_others(api: Api) -> None:
    api.draft("secret", settings=SETTINGS)
    say(api, "force", by="ann", key="secret", variant="green")
    assert api.done("vera", "GET", OVERRIDES)["units"] == []
    (unit,) = api.done("ann", "GET", OVERRIDES)["units"]
    assert [(each["key"], each["in_force"]) for each in unit["forced"]] == [("secret", False)]


def test_the_same_idempotency_key_forces_once_and_a_stale_version_is_refused(running: Api) -> None:
    once = {"Idempotency-Key": "force-1"}
    body = {"unit": "user:42", "key": "big_photo", "variant": "green"}
    first = running.done("quentin", "POST", f"{OVERRIDES}/force", json=body, headers=once)
    again = running.done("quentin", "POST", f"{OVERRIDES}/force", json=body, headers=once)
    assert again == first | {"replayed": True}
    stale = {"If-Match": '"7"'}
    assert running.refused("quentin", "POST", f"{OVERRIDES}/force", json=body, headers=stale) == (
        412,
        "VersionConflict",
    )
