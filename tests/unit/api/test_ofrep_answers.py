"""OFREP's compiled answers: the same as the SDK's checker gives, with ETags that stand for results."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.ofrep.evaluation import FLAGS_PER_PART, Evaluation
from api.ofrep.requests import OfrepError
from tests.support.ofrep import (
    CONDITIONS,
    DAY,
    FILTERS,
    MAY,
    UNIT,
    Clock,
    StillConfigs,
    answers_of,
    document,
    etag,
    flags,
    group,
)
from usersplit import Checker, Environment, MemoryConfigs, SplitTestConfig, User


def test_a_variant_is_a_split_with_its_value_and_metadata() -> None:
    answers, _ = answers_of(document("green_button"))
    assert flags(answers, UNIT) == {
        "green_button": {
            "key": "green_button",
            "reason": "SPLIT",
            "variant": "red",
            "value": "red",
            "metadata": {"status": "running", "settings_group": 3},
        }
    }
    assert json.loads(answers.single("green_button", UNIT))["metadata"] == {
        "status": "running",
        "settings_group": 3,
        "split_group": 1500,
    }


@pytest.mark.parametrize(
    ("fields", "reason", "variant"),
    [
        ({"status": "paused"}, "DISABLED", ""),
        ({"status": "rejected"}, "DISABLED", ""),
        ({"status": "in_dev"}, "DEFAULT", ""),
        ({"starts_at": "2026-05-20T00:00:00Z"}, "DEFAULT", ""),
        ({"ends_at": "2026-05-02T00:00:00Z"}, "DEFAULT", ""),
        ({"conditions": CONDITIONS[1]}, "DEFAULT", ""),
        ({"settings_group": 0, "starts_at": None, "ends_at": None, "variants": []}, "DEFAULT", ""),
        ({"status": "finished", "result": {"variant": "red", "scope": "worldwide"}}, "STATIC", "red"),
        ({"status": "finished", "result": {"variant": "red", "scope": "conditions"}}, "TARGETING_MATCH", "red"),
    ],
)
def test_every_state_has_its_reason(fields: dict[str, Any], reason: str, variant: str) -> None:
    answers, _ = answers_of(document("green_button", **fields))
    (flag,) = flags(answers, UNIT).values()
    assert (flag["reason"], flag["variant"]) == (reason, variant)
    assert ("value" in flag) is bool(variant)
    single = json.loads(answers.single("green_button", UNIT))
    assert (single["reason"], single["variant"]) == (reason, variant)


@pytest.mark.parametrize("status", ["draft", "discarded"])
def test_what_servers_are_to_forget_is_not_there(status: str) -> None:
    gone = {"format": 1, "kind": "split_test", "key": "gone", "position": 2, "status": status}
    answers, _ = answers_of(document("green_button"), gone)
    assert list(flags(answers, UNIT)) == ["green_button"]
    for key in ("gone", "never", "", "a/b", "\ud800"):
        with pytest.raises(OfrepError) as refused:
            answers.single(key, UNIT)
        assert (refused.value.status, refused.value.code) == (404, "FLAG_NOT_FOUND")
        assert json.loads(refused.value.body(key))["key"] == key


configs_of_a_key = st.builds(
    lambda status, conditions, scope, start: {
        "status": status,
        "conditions": conditions,
        "starts_at": f"2026-05-{start:02d}T00:00:00Z",
        "result": {"variant": "red", "scope": scope} if status == "finished" else None,
    },
    st.sampled_from(["in_dev", "running", "paused", "finished", "rejected"]),
    st.sampled_from(CONDITIONS),
    st.sampled_from(["worldwide", "conditions"]),
    st.integers(1, 3),
)


values = st.one_of(st.integers(-1, 60), st.booleans(), st.sampled_from(["50", "yes", "ios", "1.10", "1.9", "", "x"]))


contexts = st.builds(
    lambda group, attributes: {"targetingKey": "u1", "split_group": group, **attributes},
    st.integers(1, 2400),
    st.dictionaries(st.sampled_from(sorted(FILTERS)), values),
)


@settings(max_examples=60)
@given(st.lists(configs_of_a_key, min_size=1, max_size=4), contexts, st.integers(-1, 3), st.booleans())
def test_the_compiled_answers_are_those_of_the_checker(
    fields: list[dict[str, Any]],
    context: dict[str, Any],
    days: int,
    is_guest: bool,  # noqa: FBT001 - drawn
) -> None:
    clock = Clock()
    clock.now_ns = MAY + days * DAY
    documents = [document(f"test_{number}", **each) for number, each in enumerate(fields)]
    groups = [group(f"group_{number}", conditions=each.get("conditions", [])) for number, each in enumerate(fields)]
    answers, live = answers_of(*documents, *groups, clock=clock)
    checker = Checker(live.configs, environment_name="production", now_ns=clock)
    user = User(id="u1", split_group=context["split_group"], attributes=context)
    found = flags(answers, context)
    for each in documents:
        answer = checker.explain(each["key"], user, Environment(attributes=context))
        assert found[each["key"]]["variant"] == (answer.variant or "")
        assert json.loads(answers.single(each["key"], context))["variant"] == (answer.variant or "")
    for each in groups:
        is_member = checker.is_in_group(each["key"], user, Environment(attributes=context))
        assert found[each["key"]]["value"] is is_member
        assert json.loads(answers.single(each["key"], context))["value"] is is_member
    if is_guest:  # the long way answers everything that the quick one does
        long_way = flags(answers, {**context, "unit_type": "user"})
        assert long_way == found


def test_an_etag_changes_with_the_results_and_with_nothing_else() -> None:
    clock = Clock()
    late = document("late", starts_at="2026-05-20T00:00:00Z")
    asked = document("asked", conditions=CONDITIONS[1])
    answers, live = answers_of(asked, late, clock=clock)
    before = etag(answers, UNIT)
    assert etag(answers, {**UNIT, "targetingKey": "u2", "hobby": "chess"}) == before
    assert etag(answers, {**UNIT, "country_id": 50}) != before
    assert etag(answers, {**UNIT, "split_group": 100}) != before
    clock.now_ns = MAY + 20 * DAY
    started = etag(answers, UNIT)
    assert started != before
    assert flags(answers, UNIT)["late"]["variant"] == "red"
    clock.now_ns = MAY + DAY
    assert etag(answers, UNIT) == before
    live.put(asked, {**late, "status": "paused", "position": 9})
    assert etag(answers, UNIT) not in {before, started}
    live.put(asked, late)
    assert etag(answers, UNIT) == before


def test_two_processes_give_the_same_etags() -> None:
    first, _ = answers_of(document("a"), document("b", conditions=CONDITIONS[2]))
    second, _ = answers_of(document("b", conditions=CONDITIONS[2]), document("a"))
    assert first.bulk(UNIT) == second.bulk(UNIT)


def test_a_changed_test_leaves_the_functions_of_the_others_as_they_were() -> None:
    documents = [document(f"test_{number:03d}", position=number + 1) for number in range(FLAGS_PER_PART * 2 + 1)]
    live = StillConfigs()
    live.put(*documents)
    before = Evaluation(live.current.tests, MAY + DAY)
    live.put(*documents[:-1], {**documents[-1], "status": "paused", "position": 999})
    after = Evaluation(live.current.tests, MAY + DAY, before)
    assert [new is old for new, old in zip(after.parts, before.parts, strict=True)] == [True, True, False]
    number, found = after.answers(UNIT, UNIT, 1500)
    assert len(found) == len(documents)
    assert number != before.answers(UNIT, UNIT, 1500)[0]


def test_a_client_that_names_its_tests_is_told_of_those_only() -> None:
    answers, _ = answers_of(document("web"), document("mixed", type="mixed"), document("client", type="client"))
    assert {key: flag["variant"] for key, flag in flags(answers, UNIT).items()} == dict.fromkeys(
        ("web", "mixed", "client"), "red"
    )
    named = {**UNIT, "supported_tests": ["mixed", "no_such"]}
    assert list(flags(answers, named)) == ["mixed"]
    with pytest.raises(OfrepError, match="neither a published test nor a user group 'web'"):
        answers.single("web", named)


def test_a_guest_or_a_device_meets_no_filter_of_users() -> None:
    of_users, of_visits = document("users", conditions=CONDITIONS[1]), document("visits", conditions=CONDITIONS[3])
    answers, _ = answers_of(of_users, of_visits)
    context = {**UNIT, "country_id": 50, "platform": "ios"}
    for unit_type, users in (("user", "red"), ("guest", ""), ("device", "")):
        found = flags(answers, {**context, "unit_type": unit_type})
        assert (found["users"]["variant"], found["visits"]["variant"]) == (users, "red")


def test_an_override_of_this_environment_wins_and_says_so() -> None:
    overrides = {
        "format": 1,
        "kind": "overrides",
        "key": "~overrides",
        "position": 7,
        "environments": {
            "production": {
                "forced": {
                    "user:u1": {"green_button": "control", "big_photo": None},
                    "device:d1": {"third": "control"},
                },
                "disabled": {"user:u2": {"enabled": ["big_photo"]}},
            },
            "devel": {"forced": {"user:u3": {"green_button": "control"}}, "disabled": {}},
        },
    }
    answers, _ = answers_of(document("green_button"), document("big_photo"), document("third"), overrides)

    def found(**context: Any) -> list[tuple[str, str, str]]:
        seen = flags(answers, {**UNIT, **context})
        return [(key, flag["reason"], flag["variant"]) for key, flag in sorted(seen.items())]

    assert found() == [
        ("big_photo", "TARGETING_MATCH", ""),
        ("green_button", "TARGETING_MATCH", "control"),
        ("third", "SPLIT", "red"),
    ]
    assert found(targetingKey="u2") == [
        ("big_photo", "SPLIT", "red"),
        ("green_button", "DISABLED", ""),
        ("third", "DISABLED", ""),
    ]
    assert found(targetingKey="u9", device_id="d1")[2] == ("third", "TARGETING_MATCH", "control")
    assert found(targetingKey="u3")[1] == ("green_button", "SPLIT", "red")
    assert found(targetingKey="u3", environment_name="devel")[1] == ("green_button", "TARGETING_MATCH", "control")
    assert json.loads(answers.single("green_button", UNIT))["variant"] == "control"


def test_without_a_split_group_only_results_are_known() -> None:
    over = document("over", status="finished", result={"variant": "red", "scope": "worldwide"})
    answers, _ = answers_of(document("green_button"), over)
    context = {"targetingKey": "u1"}
    found = flags(answers, context)
    assert found["over"]["variant"] == "red"
    assert found["green_button"]["errorCode"] == "INVALID_CONTEXT"
    assert "split_group" in found["green_button"]["errorDetails"]
    with pytest.raises(OfrepError) as refused:
        answers.single("green_button", context)
    assert (refused.value.status, refused.value.code) == (400, "INVALID_CONTEXT")


def test_split_groups_can_be_computed_from_targeting_keys_evenly() -> None:
    answers, _ = answers_of(document("green_button"), split_groups="hashed")
    variants = [flags(answers, {"targetingKey": f"user-{number}"})["green_button"]["variant"] for number in range(3000)]
    assert abs(variants.count("red") - 1250) < 150
    assert abs(variants.count("") - 500) < 100
    assert flags(answers, UNIT)["green_button"]["variant"] == "red"


def test_without_any_tests_there_are_no_flags() -> None:
    answers, _ = answers_of()
    assert flags(answers, UNIT) == {}


def test_an_unreadable_document_leaves_the_other_tests_alone() -> None:
    live = StillConfigs()
    live.put(document("green_button"), document("broken", format=9))
    assert [each.key for each in live.current.tests] == ["green_button"]
    assert isinstance(live.configs, MemoryConfigs)
    assert isinstance(live.current.tests[0], SplitTestConfig)
