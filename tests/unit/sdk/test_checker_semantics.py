"""The table of docs/config-documents.md: given a config, when checked, then this variant for this reason."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.sdk_config_documents import config_document
from usersplit import Checker, Environment, Guest, MemoryConfigs, Reason, Unit, User

pytestmark = pytest.mark.usefixtures("form_of_checks")

START = datetime(2026, 5, 1, tzinfo=UTC)
END = datetime(2026, 6, 1, tzinfo=UTC)
MAY = datetime(2026, 5, 10, 14, 5, tzinfo=UTC)

NEW_RUSSIAN = {"country_id": 50, "is_new_user": True, "is_test_user": False}
TEST_USER = {"is_test_user": True}


def checker(changes: Mapping[str, object], moment: datetime = MAY) -> Checker:
    nanoseconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
    return Checker(MemoryConfigs([config_document(**changes)]), now_ns=lambda: nanoseconds)


def user(split_group: int = 2, /, **attributes: object) -> User:
    return User(id=42, split_group=split_group, attributes=attributes)


RESULT_EVERYWHERE = {"variant": "red", "scope": "worldwide"}
RESULT_BY_CONDITIONS = {"variant": "red", "scope": "conditions"}
PLATFORM_IS_IOS: Mapping[str, object] = {
    "conditions": [{"filter": "platform", "operator": "eq", "value": "ios"}],
    "filters": {"platform": {"type": "string", "scope": "environment"}},
}


@pytest.mark.parametrize(
    ("changes", "unit", "variant", "reason"),
    [
        ({}, user(2, **NEW_RUSSIAN), "red", "in_variant"),
        ({}, user(2400, **NEW_RUSSIAN), "red", "in_variant"),
        ({}, user(1, **NEW_RUSSIAN), "control", "in_variant"),
        ({}, user(2, **TEST_USER), "red", "in_variant"),
        ({}, user(4, **NEW_RUSSIAN), None, "split_group_not_in_test"),
        ({}, user(2, country_id=51, is_new_user=True), None, "conditions_not_met"),
        ({}, user(2), None, "conditions_not_met"),
        ({}, Guest(id="g", split_group=2), None, "conditions_not_met"),
        ({"conditions": [], "filters": {}}, Guest(id="g", split_group=2), "red", "in_variant"),
        ({"status": "in_dev"}, user(2, **TEST_USER), "red", "in_variant"),
        ({"status": "in_dev"}, user(2, **NEW_RUSSIAN), None, "not_a_test_user"),
        ({"status": "in_dev"}, user(4, **TEST_USER), None, "split_group_not_in_test"),
        ({"status": "in_dev", "conditions": [], "filters": {}}, Guest(split_group=2), None, "not_a_test_user"),
        ({"status": "in_dev", **PLATFORM_IS_IOS}, user(2, **TEST_USER), None, "conditions_not_met"),
        ({"status": "paused"}, user(2, **NEW_RUSSIAN), None, "paused"),
        ({"status": "rejected"}, user(2, **NEW_RUSSIAN), None, "rejected"),
        ({"status": "draft"}, user(2, **TEST_USER), None, "draft"),
        ({"status": "discarded"}, user(2, **TEST_USER), None, "discarded"),
        ({"status": "finished", "result": RESULT_EVERYWHERE}, user(4), "red", "result"),
        ({"status": "finished", "result": RESULT_EVERYWHERE}, Guest(split_group=0), "red", "result"),
        ({"status": "finished", "result": RESULT_BY_CONDITIONS}, user(4, **NEW_RUSSIAN), "red", "result"),
        ({"status": "finished", "result": RESULT_BY_CONDITIONS}, user(2), None, "conditions_not_met"),
        ({"settings_group": 0, "starts_at": None, "ends_at": None}, user(2, **NEW_RUSSIAN), None, "not_prepared"),
        ({"settings_group": 0, "status": "in_dev"}, user(2, **TEST_USER), None, "not_prepared"),
        ({}, user(0, **NEW_RUSSIAN), None, "no_split_group"),
        ({}, user(2401, **NEW_RUSSIAN), None, "no_split_group"),
        ({}, User(id=42, split_group=True, attributes=NEW_RUSSIAN), None, "no_split_group"),
    ],
)
def test_a_check_answers_by_the_table(
    changes: Mapping[str, object], unit: Unit, variant: str | None, reason: Reason
) -> None:
    asked = checker(changes)
    answer = asked.explain("green_button", unit)
    assert (answer.variant, answer.reason) == (variant, reason)
    assert asked.get_active_variant("green_button", unit) == variant
    assert answer.detail.endswith(".")


@pytest.mark.parametrize(
    ("moment", "variant", "reason"),
    [
        (START - timedelta(microseconds=1), None, "not_started"),
        (START, "red", "in_variant"),
        (END - timedelta(microseconds=1), "red", "in_variant"),
        (END, None, "ended"),
    ],
)
def test_a_running_test_runs_from_its_start_until_just_before_its_end(
    moment: datetime, variant: str | None, reason: Reason
) -> None:
    answer = checker({}, moment).explain("green_button", user(2, **NEW_RUSSIAN))
    assert (answer.variant, answer.reason) == (variant, reason)


@pytest.mark.parametrize("moment", [START - timedelta(days=9), END + timedelta(days=9)])
def test_in_dev_and_finished_the_dates_do_not_matter(moment: datetime) -> None:
    assert checker({"status": "in_dev"}, moment).get_active_variant("green_button", user(2, **TEST_USER)) == "red"
    finished = checker({"status": "finished", "result": RESULT_EVERYWHERE}, moment)
    assert finished.get_active_variant("green_button", user(4)) == "red"


def test_environment_filters_read_how_the_visitor_came() -> None:
    asked = checker(PLATFORM_IS_IOS)
    assert asked.get_active_variant("green_button", Guest(split_group=1), Environment(platform="ios")) == "control"
    assert asked.get_active_variant("green_button", Guest(split_group=1), Environment(platform="web")) is None
    assert asked.get_active_variant("green_button", Guest(split_group=1)) is None


def test_an_answer_names_the_settings_that_gave_it() -> None:
    answer = checker({}).explain("green_button", user(2, **NEW_RUSSIAN))
    assert (answer.status, answer.settings_group, answer.position) == ("running", 3, 42)


def test_unmet_conditions_are_explained_by_the_leaf_that_decided() -> None:
    answer = checker({}).explain("green_button", user(2, country_id=51, is_new_user=True))
    assert "country_id" in answer.detail


def test_an_unknown_test_has_no_variant() -> None:
    answer = checker({}).explain("blue_button", user())
    assert (answer.variant, answer.reason, answer.status) == (None, "unknown_test", None)


def test_the_bulk_check_answers_as_single_ones_do() -> None:
    configs = MemoryConfigs(
        [
            config_document("a", status="in_dev"),
            config_document("b", status="paused"),
            config_document("c", status="finished", result=RESULT_EVERYWHERE),
        ]
    )
    asked = Checker(configs)
    test_user = user(3, **TEST_USER)
    assert asked.active_variants(test_user) == {"a": "red", "c": "red"}
    assert asked.active_variants(test_user) == {
        key: variant for key in "abc" if (variant := asked.get_active_variant(key, test_user)) is not None
    }
