"""Preparations over a real users table: what the fact says of users is what SQL by hand says, and bad input is told."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from audience.catalog import DEFAULT_CATALOG
from events.facts import FilterUsed, SettingsGroupPreparationFailed, split_test_stream
from events.store import Provenance
from projections import changelog, preparation_steps
from tests.support.counted_backbone import ADULTS, ANNA, COUNTRIES, VISITORS, CountedHouse, proposal

IN_COUNTRIES, IS_ADULT = "country_id IN (50, 51)", "age >= 18"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[CountedHouse]:
    house = CountedHouse(tmp_path)
    yield house
    house.close()


def test_the_estimate_is_exact_to_the_user_in_every_variant(house: CountedHouse) -> None:
    fact = house.prepare("button", proposal({"control": 10, "red": 12.5}, [COUNTRIES, "AND", ADULTS]))
    for variant in fact.variants:
        assert variant.users == house.users(IN_COUNTRIES, IS_ADULT, split_groups=variant.split_groups)
        assert variant.users
    assert (fact.assumed_filters, fact.base_rate) == ((), 0.1)
    assert fact.variants[0].smallest_effect is None
    assert fact.variants[1].smallest_effect
    assert house.settings("button").variants[1].smallest_effect == fact.variants[1].smallest_effect


def test_the_overlap_is_of_users_under_both_filters_variant_by_variant_and_in_percent_both_ways(
    house: CountedHouse,
) -> None:
    other = house.prepare("other", proposal({"control": 40, "blue": 50}, [ADULTS]))
    fact = house.prepare("button", proposal({"control": 25, "red": 25}, [COUNTRIES]))
    (overlap,) = fact.overlaps
    theirs = {variant.name: variant.split_groups for variant in other.variants}
    for ours in fact.variants:
        for name, groups in theirs.items():
            shared = sorted(set(groups) & set(ours.split_groups))
            (found,) = [each for each in overlap.by_variant if (each.ours, each.theirs) == (ours.name, name)]
            assert found.shared_groups == len(shared)
            assert found.shared_users == house.users(IN_COUNTRIES, IS_ADULT, split_groups=shared)
    assert overlap.shared_users == sum(each.shared_users or 0 for each in overlap.by_variant)
    in_other = [number for groups in theirs.values() for number in groups]
    assert overlap.their_users == house.users(IS_ADULT, split_groups=in_other)
    assert (overlap.key, overlap.same_type, overlap.is_upper_bound) == ("other", True, False)
    with house.backbone.reading() as connection:
        entries = changelog.entries(connection, "button")
    assert any("% of ours" in entry.sentence and "% of theirs" in entry.sentence for entry in entries)


def test_tests_whose_users_differ_or_whose_dates_do_not_meet_do_not_overlap(house: CountedHouse) -> None:
    spain = {"filter": "country_id", "operator": "in", "value": [59]}
    house.prepare("elsewhere", proposal({"control": 50, "blue": 50}, [spain]))
    house.prepare("later", proposal({"control": 50, "blue": 50}, [COUNTRIES], from_day=31))
    assert house.prepare("button", proposal({"control": 10, "red": 10}, [COUNTRIES])).overlaps == ()


def test_free_groups_and_then_those_with_the_fewest_shared_users_are_taken(house: CountedHouse) -> None:
    crowded = house.prepare("crowded", proposal({"control": 25, "blue": 25}, [COUNTRIES]))
    house.prepare("elsewhere", proposal({"control": 50}, [{"filter": "country_id", "operator": "eq", "value": 59}]))
    fact = house.prepare("button", proposal({"control": 25, "red": 25}, [COUNTRIES]))
    assert fact.overlaps == (), "half of the groups hold nobody of the crowded test"
    held = {number for variant in crowded.variants for number in variant.split_groups}
    larger = house.prepare("button", proposal({"control": 40, "red": 40}, [COUNTRIES]))
    taken = {number for variant in larger.variants for number in variant.split_groups}
    dearest_taken = max(house.users(IN_COUNTRIES, split_groups=[number]) for number in taken & held)
    cheapest_left = min(house.users(IN_COUNTRIES, split_groups=[number]) for number in held - taken)
    assert 0 < dearest_taken <= cheapest_left


def test_a_filter_of_the_visit_without_a_column_makes_the_numbers_upper_bounds(house: CountedHouse) -> None:
    fact = house.prepare("button", proposal({"control": 50, "red": 50}, [COUNTRIES, "AND", VISITORS]))
    assert fact.assumed_filters == ("platform",)
    assert sum(variant.users or 0 for variant in fact.variants) == house.users(IN_COUNTRIES)
    other = house.prepare("other", proposal({"control": 50, "red": 50}, [COUNTRIES]))
    assert [overlap.is_upper_bound for overlap in other.overlaps] == [True]


def test_the_progress_of_a_preparation_is_seen_by_others(house: CountedHouse) -> None:
    house.prepare("button", proposal({"control": 50, "red": 50}, [COUNTRIES]))
    with house.backbone.reading() as connection:
        step = preparation_steps.of(connection, "button")
        assert preparation_steps.under_way(connection) == []
    assert step is not None
    assert (step.settings_group, step.step, step.share_done) == (1, "prepared", 1.0)


WRONG = {
    "no users table": ("DROP TABLE users", "there is no table users"),
    "no split groups": ("UPDATE users SET split_group = NULL", "users have no split group"),
    "out of range": ("UPDATE users SET split_group = 2401 WHERE country_id = 51", "or one outside 1 to 2400"),
    "no column for the split group": ("ALTER TABLE users DROP split_group", "there is no column split_group"),
    "no column": ("ALTER TABLE users DROP country_id", "there is no column country_id"),
    "another type": (
        "ALTER TABLE users ALTER country_id TYPE VARCHAR",
        "the column country_id has the type varchar, which does not fit for the filter country_id",
    ),
}


@pytest.mark.parametrize(("harm", "reason"), WRONG.values(), ids=WRONG)
def test_bad_users_fail_the_preparation_with_the_reason_and_a_retry_cures_it(
    house: CountedHouse, harm: str, reason: str
) -> None:
    before = house.prepare("button", proposal({"control": 10, "red": 10}, [COUNTRIES]))
    house.connection.execute("CREATE TABLE spare AS FROM users")
    house.connection.execute(harm)
    house.propose("button", proposal({"control": 20, "red": 20}, [COUNTRIES]))
    assert not house.backbone.preparer.prepare("button")
    failed = house.facts("button")[-1]
    assert isinstance(failed, SettingsGroupPreparationFailed)
    assert reason in failed.reason
    assert "retry" in failed.reason
    in_force = house.settings("button")
    assert (in_force.settings_group, in_force.pending_state) == (1, "failed")
    assert in_force.variants[0].split_groups == before.variants[0].split_groups

    house.connection.execute("CREATE OR REPLACE TABLE users AS FROM spare")
    house.backbone.split_tests.retry_preparation(ANNA, "button")
    assert house.backbone.preparer.prepare("button")
    assert house.settings("button").settings_group == 2


def test_a_filter_with_no_column_in_the_mapping_fails_the_preparation(tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.toml"
    shipped = DEFAULT_CATALOG.read_text(encoding="utf-8")
    catalog.write_text(shipped.replace('country_id = "country_id"\n', ""), encoding="utf-8")
    house = CountedHouse(tmp_path, catalog=catalog)
    house.propose("button", proposal({"control": 10, "red": 10}, [COUNTRIES]))
    assert not house.backbone.preparer.prepare("button")
    assert "the filter country_id has no column in the users table" in house.failure("button")
    house.close()


def test_a_value_that_no_longer_fits_its_filter_fails_the_preparation(house: CountedHouse) -> None:
    """Such facts come from an older catalog: today's commands refuse the value before it is proposed."""
    house.propose("button", proposal({"control": 10, "red": 10}, [COUNTRIES]))
    stream = split_test_stream("button")
    proposed = replace(
        house.facts("button")[-1],
        settings_group=2,
        conditions='[{"filter": "age", "operator": "eq", "value": "old"}]',
        filters=(FilterUsed(name="age", type="integer", scope="user"),),
    )
    events = house.backbone.store.read_stream(stream)
    house.backbone.store.append(
        stream,
        [proposed],
        expected_version=len(events),
        provenance=Provenance(actor="anna", recorded_at=events[-1].recorded_at),
    )
    assert not house.backbone.preparer.prepare("button")
    assert "age" in house.failure("button")
    assert "cannot be counted" in house.failure("button")


def test_a_users_database_that_is_down_fails_the_preparation_and_the_rest_goes_on(
    house: CountedHouse, caplog: pytest.LogCaptureFixture
) -> None:
    house.prepare("button", proposal({"control": 10, "red": 10}, [COUNTRIES]))
    house.connection.close()
    house.propose("button", proposal({"control": 20, "red": 20}, [COUNTRIES]))
    assert not house.backbone.preparer.prepare("button")
    assert "were not counted: WarehouseDown: DuckDB cannot answer now" in house.failure("button")
    assert "Traceback" in caplog.text
    assert house.settings("button").settings_group == 1
