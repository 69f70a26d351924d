"""User groups as boolean flags of OFREP."""

import json
from typing import Any

import pytest

from tests.support.ofrep import (
    CONDITIONS,
    UNIT,
    answers_of,
    document,
    etag,
    flags,
    group,
)


def test_a_user_group_is_a_boolean_flag() -> None:
    answers, _ = answers_of(group("premium"), document("green_button"))
    member = {**UNIT, "country_id": 50}
    assert flags(answers, member)["premium"] == {
        "key": "premium",
        "reason": "TARGETING_MATCH",
        "variant": "on",
        "value": True,
        "metadata": {"status": "active", "settings_group": 2},
    }
    outside = flags(answers, UNIT)["premium"]
    assert (outside["reason"], outside["variant"], outside["value"]) == ("DEFAULT", "off", False)
    assert json.loads(answers.single("premium", member))["value"] is True
    assert etag(answers, member) != etag(answers, UNIT)


@pytest.mark.parametrize(
    ("fields", "reason", "value"),
    [
        ({"status": "off"}, "DISABLED", False),
        ({"conditions": []}, "TARGETING_MATCH", True),
        ({"conditions": CONDITIONS[3]}, "DEFAULT", False),
    ],
)
def test_a_user_group_that_is_off_has_nobody_and_one_of_everybody_everybody(
    fields: dict[str, Any],
    reason: str,
    value: bool,  # noqa: FBT001 - a case
) -> None:
    answers, _ = answers_of(group("premium", **fields))
    (flag,) = flags(answers, {**UNIT, "country_id": 50}).values()
    assert (flag["reason"], flag["value"]) == (reason, value)


@pytest.mark.parametrize("status", ["draft", "discarded"])
def test_a_user_group_that_servers_are_to_forget_is_not_there(status: str) -> None:
    answers, _ = answers_of(group("premium", status=status))
    assert flags(answers, UNIT) == {}


def test_of_a_test_and_a_user_group_with_the_same_key_the_flag_is_the_test() -> None:
    answers, _ = answers_of(group("same", conditions=[]), document("same"))
    assert flags(answers, UNIT)["same"]["reason"] == "SPLIT"
    assert json.loads(answers.single("same", UNIT))["value"] == "red"


def test_the_long_way_answers_for_user_groups_as_the_quick_one() -> None:
    answers, _ = answers_of(group("premium"), group("ios", conditions=CONDITIONS[3]), document("green_button"))
    member = {**UNIT, "country_id": 50, "platform": "ios"}
    quick = flags(answers, member)
    assert flags(answers, {**member, "environment_name": "devel"}) == quick
    assert (quick["premium"]["value"], quick["ios"]["value"]) == (True, True)
    for unit_type in ("guest", "device"):
        found = flags(answers, {**member, "unit_type": unit_type})
        assert (found["premium"]["value"], found["ios"]["value"]) == (False, True)
    without = flags(answers, {"targetingKey": "u1", "country_id": 50})
    assert (without["premium"]["value"], without["green_button"]["errorCode"]) == (True, "INVALID_CONTEXT")
    assert list(flags(answers, {**member, "supported_tests": ["premium"]})) == ["premium"]
    assert json.loads(answers.single("premium", {**member, "unit_type": "guest"}))["value"] is False
