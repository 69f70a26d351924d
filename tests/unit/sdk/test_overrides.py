"""What QA decided comes first: forced variants, tests switched off for a unit, each in its environment."""

from typing import Any

import pytest

from tests.support.sdk_config_documents import config_document
from usersplit import Checker, Environment, Guest, HitLogger, MalformedConfig, MemoryConfigs, MemoryHitTransport, User

pytestmark = pytest.mark.usefixtures("form_of_checks")

STRANGER = User(id=7, split_group=4)


def overrides(environments: object, position: int = 50) -> dict[str, Any]:
    return {
        "format": 1,
        "kind": "overrides",
        "key": "~overrides",
        "position": position,
        "environments": environments,
    }


def checker(environments: dict[str, Any], *documents: dict[str, Any], name: str = "production") -> Checker:
    return Checker(MemoryConfigs([*(documents or [config_document()]), overrides(environments)]), environment_name=name)


FORCED = {"production": {"forced": {"user:42": {"green_button": "red"}, "device:ab-1": {"green_button": "control"}}}}


@pytest.mark.parametrize(
    ("unit", "variant"),
    [
        (User(id=42, split_group=0), "red"),
        (User(id="42", split_group=0), "red"),
        (User(id=42, split_group=0, device_id="ab-1"), "red"),
        (User(id=43, split_group=0, device_id="ab-1"), "control"),
        (Guest(split_group=0, device_id="ab-1"), "control"),
        (Guest(split_group=0, id="g", device_id="ab-1"), "control"),
        (Guest(split_group=0, id="42"), None),
        (User(id=4, split_group=4), None),
    ],
)
def test_a_unit_is_forced_by_its_id_and_then_by_its_device(unit: User | Guest, variant: str | None) -> None:
    asked = checker(FORCED)
    answer = asked.explain("green_button", unit)
    assert answer.variant == asked.get_active_variant("green_button", unit) == variant
    assert (answer.reason == "forced") is (variant is not None)
    assert asked.active_variants(unit).get("green_button") == variant


@pytest.mark.parametrize(
    ("changes", "variant"),
    [
        ({"status": "paused"}, "red"),
        ({"status": "rejected"}, "red"),
        ({"status": "in_dev", "settings_group": 0}, "red"),
        ({"starts_at": "2999-01-01T00:00:00Z", "ends_at": "2999-02-01T00:00:00Z"}, "red"),
        ({"status": "finished", "result": {"variant": "control", "scope": "worldwide"}}, "red"),
        ({"status": "draft"}, None),
        ({"status": "discarded"}, None),
    ],
)
def test_a_forced_variant_is_given_whatever_the_settings_say(changes: dict[str, Any], variant: str | None) -> None:
    asked = checker(FORCED, config_document(**changes))
    assert asked.get_active_variant("green_button", User(id=42, split_group=0)) == variant


def test_overrides_hold_in_their_environment_only() -> None:
    for name in ("devel", ""):
        assert checker(FORCED, name=name).get_active_variant("green_button", User(id=42, split_group=4)) is None


def test_a_unit_can_be_forced_out_of_a_test() -> None:
    worldwide = config_document(status="finished", result={"variant": "red", "scope": "worldwide"})
    asked = checker({"production": {"forced": {"user:42": {"green_button": None}}}}, worldwide)
    answer = asked.explain("green_button", User(id=42, split_group=2))
    assert (answer.variant, answer.reason) == (None, "forced")
    assert "out of the test" in answer.detail
    assert asked.get_active_variant("green_button", STRANGER) == "red"


def test_all_tests_can_be_switched_off_for_a_unit_but_those_that_are_enabled_or_forced() -> None:
    results = [
        config_document(key, status="finished", result={"variant": "red", "scope": "worldwide"}) for key in "abc"
    ]
    asked = checker(
        {
            "production": {
                "forced": {"user:42": {"c": "control"}},
                "disabled": {"user:42": {"enabled": ["b"]}, "guest:g": {"enabled": []}},
            }
        },
        *results,
    )
    assert asked.active_variants(User(id=42, split_group=2)) == {"b": "red", "c": "control"}
    assert asked.explain("a", User(id=42, split_group=2)).reason == "disabled"
    assert asked.active_variants(Guest(id="g", split_group=2)) == {}
    assert asked.active_variants(STRANGER) == {"a": "red", "b": "red", "c": "red"}


def test_hits_of_forced_units_say_so_at_once_and_later() -> None:
    wire = MemoryHitTransport()
    with HitLogger(wire, app="shop", environment_name="production") as hits:
        asked = Checker(MemoryConfigs([config_document(), overrides(FORCED)]), hits, environment_name="production")
        forced = User(id=42, split_group=0)
        assert asked.get_active_variant("green_button", forced) == "red"
        assert asked.log_hit("green_button", "red", forced, Environment(platform="ios"))
        assert asked.log_hit("green_button", "red", User(id=43, split_group=2))
    assert [(hit.unit_id, hit.forced) for hit in wire.hits] == [("42", True), ("42", True), ("43", False)]


def test_a_forced_variant_of_a_finished_test_logs_no_hit() -> None:
    wire = MemoryHitTransport()
    finished = config_document(status="finished", result={"variant": "control", "scope": "worldwide"})
    with HitLogger(wire, app="shop", environment_name="production") as hits:
        asked = Checker(MemoryConfigs([finished, overrides(FORCED)]), hits, environment_name="production")
        assert asked.get_active_variant("green_button", User(id=42, split_group=0)) == "red"
    assert wire.hits == []


def test_overrides_are_replaced_and_dropped_while_a_service_runs() -> None:
    configs = MemoryConfigs([config_document(), overrides(FORCED)])
    asked = Checker(configs, environment_name="production")
    unit = User(id=42, split_group=0)
    assert asked.get_active_variant("green_button", unit) == "red"
    configs.put(overrides({"production": {"forced": {"user:42": {"green_button": "control"}}}}, 51))
    assert asked.get_active_variant("green_button", unit) == "control"
    configs.forget("~overrides")
    assert asked.get_active_variant("green_button", unit) is None


def test_units_of_an_unknown_type_are_passed_over() -> None:
    asked = checker({"production": {"forced": {"household:1": {"green_button": "red"}, "user:": {"x": "y"}}}})
    assert asked.explain("green_button", User(id=42, split_group=4)).reason != "forced"


@pytest.mark.parametrize(
    "environments",
    [
        None,
        {"production": []},
        {"production": {"forced": []}},
        {"production": {"forced": {"user:1": None}}},
        {"production": {"forced": {"user:1": {"green_button": 1}}}},
        {"production": {"forced": {"user:1": {"green_button": ""}}}},
        {"production": {"disabled": {"user:1": []}}},
        {"production": {"disabled": {"user:1": {"enabled": "green_button"}}}},
        {"production": {"disabled": {"user:1": {"enabled": [1]}}}},
    ],
)
def test_malformed_overrides_are_refused_and_the_last_good_ones_stay(environments: Any) -> None:
    configs = MemoryConfigs([config_document(), overrides(FORCED)])
    with pytest.raises(MalformedConfig):
        configs.put(overrides(environments, 60))
    asked = Checker(configs, environment_name="production")
    assert asked.get_active_variant("green_button", User(id=42, split_group=0)) == "red"
