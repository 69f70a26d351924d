"""Conditions that only code can check: a class named as the test is, asked last, of control too."""

import logging
import sys
import types
from typing import Any, ClassVar

import pytest

from tests.support.sdk_config_documents import config_document
from usersplit import (
    AdditionalConditions,
    Checker,
    Environment,
    HitLogger,
    MemoryConfigs,
    MemoryHitTransport,
    Unit,
    User,
)
from usersplit._additional_conditions import class_name_of

pytestmark = pytest.mark.usefixtures("form_of_checks")

NOW_NS = 1_778_000_000_000_000_000
CONTROL, RED, NOBODY = (
    User(id=group, split_group=group, attributes={"is_test_user": True, "paid": True}) for group in (1, 2, 4)
)


class GreenButton:
    asked: ClassVar[list[object]] = []

    @staticmethod
    def check_additional_conditions(user: Unit, environment: Environment | None) -> bool:
        GreenButton.asked.append((user, environment))
        return isinstance(user, User) and bool(user.attributes.get("paid"))


class BlueButton:
    def check_additional_conditions(self, user: Unit, environment: Environment | None) -> bool:
        return environment is None and user.split_group > 0 and type(self) is BlueButton


class RedButton:
    @classmethod
    def check_additional_conditions(cls, user: Unit, environment: Environment | None) -> bool:
        raise LookupError(f"no database for {user.id}, {environment}")


class PlainNames:
    KEY = "plain_names"
    RED = "red"


class OneKey:
    KEY = "one_key"

    @staticmethod
    def check_additional_conditions(user: Unit, environment: Environment | None) -> bool:
        return user.split_group == 0 and environment is not None


def module(*classes: type) -> types.ModuleType:
    made = types.ModuleType("shop_tests")
    for each in classes:
        setattr(made, each.__name__, each)
    return made


def checker(key: str, *classes: type, hits: HitLogger | None = None, **changes: Any) -> Checker:
    return Checker(
        MemoryConfigs([config_document(key, **changes)]),
        hits,
        additional_conditions=module(*classes),
        now_ns=lambda: NOW_NS,
    )


@pytest.fixture(autouse=True)
def _fresh() -> None:
    GreenButton.asked.clear()


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("green_button", "GreenButton"),
        ("green-button", "GreenButton"),
        ("green.button.2", "GreenButton2"),
        ("greenButton", "GreenButton"),
        ("_", ""),
    ],
)
def test_the_class_of_a_key_is_its_name_in_camel_case(key: str, name: str) -> None:
    assert class_name_of(key) == name


def test_the_class_satisfies_the_public_protocol() -> None:
    declared: type[AdditionalConditions] = GreenButton
    assert declared is GreenButton


def test_who_would_get_a_variant_is_asked_and_control_passes_the_same_check() -> None:
    asked = checker("green_button", GreenButton)
    unpaid = User(id=9, split_group=1, attributes={"is_test_user": True})
    assert asked.get_active_variant("green_button", RED) == "red"
    assert asked.get_active_variant("green_button", CONTROL) == "control"
    assert asked.get_active_variant("green_button", unpaid) is None
    assert asked.explain("green_button", unpaid).reason == "additional_condition_not_met"
    assert asked.active_variants(RED) == {"green_button": "red"}
    assert asked.active_variants(unpaid) == {}


def test_who_gets_no_variant_is_not_asked() -> None:
    asked = checker("green_button", GreenButton)
    assert asked.get_active_variant("green_button", NOBODY) is None
    assert asked.get_active_variant("green_button", User(id=1, split_group=1)) is None
    assert asked.active_variants(NOBODY) == {}
    assert GreenButton.asked == []


def test_a_no_logs_no_hit() -> None:
    wire = MemoryHitTransport()
    with HitLogger(wire, app="shop", environment_name="devel") as hits:
        asked = checker("green_button", GreenButton, hits=hits)
        asked.get_active_variant("green_button", RED)
        asked.get_active_variant("green_button", User(id=9, split_group=1, attributes={"is_test_user": True}))
    assert [hit.unit_id for hit in wire.hits] == ["2"]


def test_a_plain_method_gets_an_object_of_its_class() -> None:
    asked = checker("blue-button", BlueButton)
    assert asked.get_active_variant("blue-button", RED) == "red"
    assert asked.get_active_variant("blue-button", RED, Environment()) is None


def test_an_error_means_no_variant_and_is_reported_once_and_never_raised(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="usersplit.checks")
    asked = checker("red_button", RedButton)
    for _ in range(3):
        assert asked.get_active_variant("red_button", RED) is None
    assert asked.active_variants(RED) == {}
    assert asked.problems()["additional_condition_failed"] == 4
    assert [record.getMessage() for record in caplog.records] == [
        "No variant of the test red_button (additional_condition_failed): LookupError: no database for 2, None"
    ]
    answer = asked.explain("red_button", RED)
    assert answer.reason == "additional_condition_failed"
    assert "LookupError" in answer.detail


def test_classes_without_the_method_and_other_attributes_are_not_asked() -> None:
    assert checker("plain_names", PlainNames).get_active_variant("plain_names", RED) == "red"
    assert checker("one.key", OneKey).get_active_variant("one.key", RED) == "red"
    assert checker("one_key", OneKey).get_active_variant("one_key", RED) is None


@pytest.mark.parametrize(("scope", "variant"), [("worldwide", "red"), ("conditions", None)])
def test_a_result_for_everybody_asks_nobody(scope: str, variant: str | None) -> None:
    result = {"variant": "red", "scope": scope}
    asked = checker("green_button", GreenButton, status="finished", result=result)
    assert (
        asked.get_active_variant("green_button", User(id=1, split_group=1, attributes={"is_test_user": 1})) == variant
    )


def test_a_module_is_found_by_its_name_and_a_wrong_name_fails_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shop_tests", module(GreenButton))
    asked = Checker(
        MemoryConfigs([config_document("green_button")]), additional_conditions="shop_tests", now_ns=lambda: NOW_NS
    )
    assert asked.get_active_variant("green_button", RED) == "red"
    assert GreenButton.asked == [(RED, None)]
    with pytest.raises(ImportError, match="no_such_module"):
        Checker(MemoryConfigs(), additional_conditions="no_such_module")
