"""User groups over a real users table: what is recorded of them is what SQL by hand says, and bad input is told."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commands.split_tests import Request
from domain.people import Actor
from entrypoints.backbone import Backbone
from events.user_group_facts import user_group_stream
from projections import user_group_estimates, user_groups
from projections.user_group_estimates import UserGroupEstimate
from tests.support.counted_backbone import ADULTS, ANNA, COUNTRIES, VISITORS, CountedHouse, proposal
from warehouse.duckdb_users import DuckDbUsers

IN_COUNTRIES, IS_ADULT = "country_id IN (50, 51)", "age >= 18"
KEY = "payers"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[CountedHouse]:
    house = CountedHouse(tmp_path)
    yield house
    house.close()


def group_of(house: CountedHouse, conditions: list[Any], *, key: str = KEY) -> None:
    house.backbone.user_groups.create(ANNA, key=key, name=key)
    house.backbone.user_groups.propose_conditions(ANNA, key, conditions)


def count_all(house: CountedHouse) -> int:
    assert house.backbone.estimator is not None
    return house.backbone.estimator.estimate_all()


def estimate(house: CountedHouse, key: str = KEY) -> UserGroupEstimate:
    with house.backbone.reading() as connection:
        found = user_group_estimates.get(connection, key)
    assert found is not None
    return found


def sentences(house: CountedHouse) -> list[str]:
    with house.backbone.reading() as connection:
        return [entry.sentence for entry in user_groups.changelog(connection, KEY)]


def test_users_and_those_shared_with_each_variant_of_each_test_are_exact(house: CountedHouse) -> None:
    test = house.prepare("button", proposal({"control": 10, "red": 25}, [ADULTS]))
    group_of(house, [COUNTRIES])
    assert count_all(house) == 1
    found = estimate(house)
    assert (found.state, found.users) == ("counted", house.users(IN_COUNTRIES))
    (shared,) = found.shared
    by_variant = {each.variant: each.users for each in shared.by_variant}
    assert by_variant == {
        variant.name: house.users(IN_COUNTRIES, IS_ADULT, split_groups=variant.split_groups)
        for variant in test.variants
    }
    assert shared.users == sum(by_variant.values())
    assert shared.their_users == sum(variant.users or 0 for variant in test.variants)
    assert (shared.key, shared.settings_group, shared.is_upper_bound) == ("button", 1, False)
    assert f"Counted settings group 1: {found.users:,} users meet the conditions." in sentences(house)[-1]


def test_tests_that_are_over_or_share_nobody_are_left_out(house: CountedHouse) -> None:
    spain = {"filter": "country_id", "operator": "in", "value": [59]}
    house.prepare("elsewhere", proposal({"control": 50, "red": 50}, [spain]))
    house.prepare("ended", proposal({"control": 50, "red": 50}, from_day=-30, days=10))
    house.prepare("finished", proposal({"control": 50, "red": 50}, from_day=-1))
    house.backbone.split_tests.start(ANNA, "finished")
    house.backbone.split_tests.reject(ANNA, "finished")
    group_of(house, [COUNTRIES])
    count_all(house)
    assert estimate(house).shared == ()


def test_a_draft_is_counted_and_not_named(house: CountedHouse) -> None:
    house.prepare("secret", proposal({"control": 50, "red": 50}), publish=False)
    group_of(house, [])
    count_all(house)
    (shared,) = estimate(house).shared
    assert (shared.key, shared.by_variant, shared.users) == ("", (), house.users())


def test_a_filter_of_the_visit_without_a_column_makes_the_numbers_upper_bounds(house: CountedHouse) -> None:
    house.prepare("button", proposal({"control": 50, "red": 50}))
    group_of(house, [COUNTRIES, "AND", VISITORS])
    count_all(house)
    found = estimate(house)
    assert (found.users, found.assumed_filters) == (house.users(IN_COUNTRIES), ("platform",))
    assert [each.is_upper_bound for each in found.shared] == [True]


def test_counting_never_comes_between_what_a_manager_saw_and_does(house: CountedHouse) -> None:
    group_of(house, [COUNTRIES])
    seen = house.backbone.store.read_stream(user_group_stream(KEY))[-1].version
    count_all(house)
    house.backbone.user_groups.activate(Request(actor=Actor(name="anna"), expected_version=seen), KEY)


def test_other_conditions_and_a_wish_are_counted_anew_and_nothing_else_is(house: CountedHouse) -> None:
    group_of(house, [COUNTRIES])
    assert (count_all(house), count_all(house)) == (1, 0)
    house.backbone.user_groups.propose_conditions(ANNA, KEY, [COUNTRIES, "AND", ADULTS])
    assert count_all(house) == 1
    assert estimate(house).users == house.users(IN_COUNTRIES, IS_ADULT)
    house.connection.execute(f"DELETE FROM users WHERE {IN_COUNTRIES} AND user_id % 2 = 0")  # noqa: S608 - a constant
    house.backbone.user_group_estimates.ask(ANNA, KEY)
    assert count_all(house) == 1
    assert estimate(house).users == house.users(IN_COUNTRIES, IS_ADULT)


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        ("ALTER TABLE users DROP country_id", "there is no column country_id"),
        ("UPDATE users SET split_group = 2401 WHERE country_id = 51", "or one outside 1 to 2400"),
        ("DROP TABLE users", "there is no table users"),
    ],
)
def test_what_cannot_be_counted_is_told_with_its_reason_and_the_group_is_in_force(
    house: CountedHouse, harm: str, reason: str
) -> None:
    house.connection.execute("CREATE TABLE spare AS FROM users")
    house.connection.execute(harm)
    group_of(house, [COUNTRIES])
    house.backbone.user_groups.activate(ANNA, KEY)
    assert count_all(house) == 0
    found = estimate(house)
    assert (found.state, found.users) == ("failed", None)
    assert reason in found.reason
    assert count_all(house) == 0
    house.connection.execute("CREATE OR REPLACE TABLE users AS FROM spare")
    house.backbone.user_group_estimates.ask(ANNA, KEY)
    assert count_all(house) == 1
    assert estimate(house).users == house.users(IN_COUNTRIES)


def test_a_users_database_that_is_down_is_a_failure_and_the_next_group_is_counted(
    house: CountedHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    group_of(house, [COUNTRIES])
    group_of(house, [ADULTS], key="adults")
    answered = DuckDbUsers.table
    calls: list[object] = []

    def fails_once(self: DuckDbUsers, statement: Any) -> Any:
        calls.append(statement)
        if len(calls) == 1:
            raise OSError("no route to host")
        return answered(self, statement)

    monkeypatch.setattr(DuckDbUsers, "table", fails_once)
    assert count_all(house) == 1
    assert "were not counted: OSError: no route to host" in estimate(house).reason
    assert estimate(house, "adults").users == house.users(IS_ADULT)


def test_of_two_that_count_one_group_the_first_is_recorded_once(
    house: CountedHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    group_of(house, [COUNTRIES])
    other = Backbone(house.url, users=DuckDbUsers(house.connection.cursor))
    answered = DuckDbUsers.table

    def while_the_other_counts(self: DuckDbUsers, statement: Any) -> Any:
        monkeypatch.setattr(DuckDbUsers, "table", answered)
        assert other.estimator is not None
        assert other.estimator.estimate(KEY)
        return answered(self, statement)

    monkeypatch.setattr(DuckDbUsers, "table", while_the_other_counts)
    assert count_all(house) == 0
    assert estimate(house).state == "counted"
    assert len([each for each in sentences(house) if each.startswith("Counted")]) == 1
    other.engine.dispose()


def test_a_preview_says_what_an_estimate_would_and_changes_nothing(house: CountedHouse) -> None:
    house.prepare("button", proposal({"control": 50, "red": 50}, [ADULTS]))
    head = house.backbone.store.head()
    assert house.backbone.audience is not None
    preview = house.backbone.audience.preview_group(KEY, [COUNTRIES])
    assert house.backbone.store.head() == head
    group_of(house, [COUNTRIES])
    count_all(house)
    found = estimate(house)
    assert (preview.users, preview.shared, preview.assumed_filters) == (found.users, found.shared, ())
