"""Users, guests and environments as services pass them around: to other processes, and with strange things in them."""

import copy
import logging
import pickle
from typing import Any

import pytest

from tests.support.voices import said_by
from usersplit import Checker, Environment, Guest, MemoryConfigs, Unit, User
from usersplit.testing import split_test_document

IOS_ONLY: dict[str, Any] = {
    "conditions": [{"filter": "platform", "operator": "eq", "value": "ios"}],
    "filters": {"platform": {"type": "string", "scope": "environment"}},
}


@pytest.mark.parametrize(
    "thing",
    [
        User(id=42, split_group=7),
        User(id="ada", split_group=7, attributes={"country_id": 50}, device_id="d-1"),
        Guest(id="g-1", split_group=8),
        Environment(),
        Environment(platform="ios", attributes={"city": "Omsk"}, supported_tests=frozenset({"a"})),
    ],
    ids=repr,
)
@pytest.mark.parametrize("way", [lambda thing: pickle.loads(pickle.dumps(thing)), copy.copy, copy.deepcopy])  # noqa: S301
def test_they_can_be_sent_to_another_process_and_copied(thing: Any, way: Any) -> None:
    if isinstance(thing, Environment):
        thing.filter_values()
    again = way(thing)
    assert type(again) is type(thing)
    assert repr(again).replace("{}", "mappingproxy({})") == repr(thing)
    if isinstance(thing, Environment):
        assert again.filter_values() == thing.filter_values()


class Failing:
    def __bool__(self) -> bool:
        raise RuntimeError


@pytest.mark.parametrize(
    "environment",
    [
        Environment(platform="ios", attributes=None),  # type: ignore[arg-type]
        Environment(platform="ios", attributes=7),  # type: ignore[arg-type]
        Environment(platform="ios", user_agent=Failing()),  # type: ignore[arg-type]
    ],
    ids=["none", "a number", "a field that fails"],
)
def test_of_a_strange_environment_the_rest_is_known_to_all_questions_alike(environment: Environment) -> None:
    checker = Checker(MemoryConfigs([split_test_document("a", variants=["red"], **IOS_ONLY)]))
    ada = User(id=1, split_group=7)
    for _ in range(2):
        assert checker.get_active_variant("a", ada, environment) == "red"
        assert checker.active_variants(ada, environment) == {"a": "red"}
        assert checker.explain("a", ada, environment).reason == "in_variant"


@pytest.mark.parametrize(
    ("unit", "shown"),
    [
        (User(id=1, split_group="7"), "not '7' (str)"),  # type: ignore[arg-type]
        (User(id=1, split_group=None), "not None (NoneType)"),  # type: ignore[arg-type]
        (User(id=1, split_group=True), "not True (bool)"),
        (User(id=1, split_group=2401), "not 2401 (int)"),
        (Guest(id=1, split_group=10**6000), "(int)"),
    ],
)
def test_what_came_as_a_split_group_is_shown(unit: Unit, shown: str) -> None:
    checker = Checker(MemoryConfigs([split_test_document("a", variants=["red"])]))
    answer = checker.explain("a", unit)
    assert answer.reason == "no_split_group"
    assert shown in answer.detail
    assert len(answer.detail) < 300


def test_numpys_int_is_no_split_group_and_the_reason_says_so() -> None:
    numpy = pytest.importorskip("numpy", reason="it is no dependency of the SDK")
    checker = Checker(MemoryConfigs([split_test_document("a", variants=["red"])]))
    assert "(int64)" in checker.explain("a", User(id=1, split_group=numpy.int64(7))).detail


def test_a_warning_of_a_unit_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    checker = Checker(MemoryConfigs([split_test_document("a", variants=["red"])]))
    with caplog.at_level(logging.WARNING, "usersplit.checks"):
        for _ in range(3):
            checker.get_active_variant("a", User(id=1, split_group=0))
    assert len(said_by("usersplit.checks", caplog)) == 1
