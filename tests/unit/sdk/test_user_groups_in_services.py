"""A user group switches a feature for whom its conditions match."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.sdk_config_documents import config_document
from usersplit import Checker, DirectoryConfigs, Environment, Guest, MalformedConfig, MemoryConfigs, User


def user_group(key: str = "christmas", /, **changes: object) -> dict[str, Any]:
    return {
        "format": 1,
        "kind": "user_group",
        "key": key,
        "position": 7,
        "status": "active",
        "settings_group": 2,
        "conditions": [{"filter": "country_id", "operator": "in", "value": ["50"]}],
        "filters": {"country_id": {"type": "integer", "scope": "user"}},
        **changes,
    }


RUSSIAN = User(id=1, split_group=0, attributes={"country_id": 50})


@pytest.mark.parametrize(
    ("changes", "unit", "is_member", "reason"),
    [
        ({}, RUSSIAN, True, "member"),
        ({"conditions": [], "filters": {}}, Guest(split_group=0), True, "member"),
        ({}, User(id=1, split_group=1, attributes={"country_id": 51}), False, "conditions_not_met"),
        ({}, Guest(split_group=0), False, "conditions_not_met"),
        ({"status": "off"}, RUSSIAN, False, "off"),
        ({"status": "draft"}, RUSSIAN, False, "draft"),
        ({"status": "discarded"}, RUSSIAN, False, "discarded"),
        ({}, "user 1", False, "not_a_unit"),
    ],
)
def test_who_is_in_a_user_group(changes: dict[str, Any], unit: Any, is_member: bool, reason: str) -> None:  # noqa: FBT001
    checker = Checker(MemoryConfigs([user_group(**changes)]))
    answer = checker.explain_group("christmas", unit)
    assert (answer.is_member, answer.reason) == (is_member, reason)
    assert answer.detail.endswith(".")
    assert checker.is_in_group("christmas", unit) is is_member
    assert (checker.problems()["not_a_unit"] == 1) is (reason == "not_a_unit")


def test_a_test_and_a_user_group_may_have_the_same_key(tmp_path: Path) -> None:
    (tmp_path / "~user_group.christmas.json").write_text(json.dumps(user_group()))
    (tmp_path / "christmas.json").write_text(json.dumps(config_document("christmas", status="paused")))
    with DirectoryConfigs(tmp_path, reload_seconds=1000) as configs:
        checker = Checker(configs)
        assert checker.is_in_group("christmas", RUSSIAN)
        assert checker.explain("christmas", RUSSIAN).reason == "paused"
        assert configs.keys() == ("christmas",)
        assert configs.problems() == ()


def test_a_user_group_in_the_file_of_another_is_refused(tmp_path: Path) -> None:
    (tmp_path / "~user_group.easter.json").write_text(json.dumps(user_group()))
    with DirectoryConfigs(tmp_path, reload_seconds=1000) as configs:
        (problem,) = configs.problems()
        assert "says that it is of 'christmas'" in problem.reason
        assert problem.reason.endswith("The user group is unknown.")
        assert not Checker(configs).is_in_group("easter", RUSSIAN)


def test_an_unknown_user_group_has_no_members_and_is_a_problem() -> None:
    checker = Checker(MemoryConfigs([config_document("christmas")]))
    assert not checker.is_in_group("christmas", RUSSIAN)
    assert checker.explain_group("christmas", RUSSIAN).reason == "unknown_group"
    assert checker.problems()["unknown_group"] == 1
    assert checker.unknown_keys() == {}


def test_the_leaf_that_decided_is_named() -> None:
    answer = Checker(MemoryConfigs([user_group()])).explain_group("christmas", User(id=1, split_group=1))
    assert [(leaf.path, leaf.reason) for leaf in answer.leaves] == [("conditions[0]", "unknown")]


def test_environment_filters_work_in_user_groups() -> None:
    group = user_group(
        conditions=[{"filter": "platform", "operator": "eq", "value": "ios"}],
        filters={"platform": {"type": "string", "scope": "environment"}},
    )
    checker = Checker(MemoryConfigs([group]))
    assert checker.is_in_group("christmas", RUSSIAN, Environment(platform="ios"))
    assert not checker.is_in_group("christmas", RUSSIAN)


@pytest.mark.parametrize(
    "changes", [{"status": "running"}, {"conditions": None}, {"settings_group": "1"}, {"status": ["active"]}]
)
def test_an_impossible_value_makes_a_user_group_malformed(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedConfig, match="christmas"):
        MemoryConfigs([user_group(**changes)])
