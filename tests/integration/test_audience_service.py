"""Previews that change nothing, and live numbers that know which tests there are."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread

import pytest

from audience.errors import FilterWithoutColumn
from audience.estimate import BaseRateWrong
from consumers.audience_service import AudienceOfUsers
from domain.errors import SettingsAreFinal
from entrypoints.clock import now
from tests.support.counted_backbone import ADULTS, ANNA, COUNTRIES, VISITORS, CountedHouse, proposal
from tests.support.terminal import wait_until
from usersplit.conditions import ConditionsError

IN_COUNTRIES, IS_ADULT = "country_id IN (50, 51)", "age >= 18"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[CountedHouse]:
    house = CountedHouse(tmp_path)
    yield house
    house.close()


def audience(house: CountedHouse) -> AudienceOfUsers:
    assert house.backbone.audience is not None
    return house.backbone.audience


def test_a_preview_says_what_a_preparation_would_and_changes_nothing(house: CountedHouse) -> None:
    house.prepare("other", proposal({"control": 50, "blue": 50}, [ADULTS]))
    document = proposal({"control": 20, "red": 30}, [COUNTRIES])
    house.propose("button", document)
    head, told = house.backbone.store.head(), []
    found = audience(house).preview("button", document, told=lambda step, detail: told.append((step, detail)))
    assert house.backbone.store.head() == head
    assert house.settings("button").settings_group == 0
    for variant in found.variants:
        assert variant.users == house.users(IN_COUNTRIES, split_groups=variant.split_groups)
    assert found.users == house.users(IN_COUNTRIES)
    assert found.variants[1].smallest_effect
    (overlap,) = found.overlaps
    drawn = [number for variant in found.variants for number in variant.split_groups]
    assert overlap.shared_users == house.users(IN_COUNTRIES, IS_ADULT, split_groups=drawn)
    assert [step for step, _ in told] == ["overlaps", "counted", "split_groups"]
    assert told[1][1] == f"{found.users:,} users meet the conditions"


def test_a_preview_of_other_percents_says_which_groups_would_move(house: CountedHouse) -> None:
    house.prepare("button", proposal({"control": 20, "red": 20}, [COUNTRIES]))
    found = audience(house).preview("button", proposal({"control": 20, "red": 10, "blue": 10}, [COUNTRIES]))
    assert found.settings_group == 2
    assert found.kept_groups == 480 + 240
    assert {(each.before, each.after): each.groups for each in found.moved} == {("red", ""): 240, ("", "blue"): 240}


def test_a_preview_needs_no_test_and_a_base_rate_of_its_own_is_told(house: CountedHouse) -> None:
    document = proposal({"control": 50, "red": 50})
    usual, rare = (audience(house).preview("unborn", document, base_rate=rate) for rate in (None, 0.01))
    assert (usual.base_rate, rare.base_rate, usual.settings_group) == (0.1, 0.01, 1)
    assert (rare.variants[1].smallest_effect or 1) < (usual.variants[1].smallest_effect or 0)
    with pytest.raises(BaseRateWrong):
        audience(house).preview("unborn", document, base_rate=1.5)


def test_a_preview_of_a_test_that_is_over_is_refused(house: CountedHouse) -> None:
    house.prepare("button", proposal({"control": 50, "red": 50}, from_day=-1))
    house.backbone.split_tests.start(ANNA, "button")
    house.backbone.split_tests.reject(ANNA, "button")
    with pytest.raises(SettingsAreFinal):
        audience(house).preview("button", proposal({"control": 10, "red": 50}))


def test_live_numbers_are_those_of_the_edited_conditions_and_of_the_tests_that_overlap(house: CountedHouse) -> None:
    house.prepare("adults", proposal({"control": 50, "blue": 50}, [ADULTS]))
    house.prepare("later", proposal({"control": 50, "blue": 50}, from_day=100))
    house.prepare("draft", proposal({"control": 50, "blue": 50}), publish=False)
    found = audience(house).live_numbers([COUNTRIES], key="mine", type="web")
    assert (found.users, found.assumed_filters) == (house.users(IN_COUNTRIES), ())
    assert {each.key: each.users for each in found.shared} == {
        "adults": house.users(IN_COUNTRIES, IS_ADULT),
        "later": house.users(IN_COUNTRIES),
    }
    assert all(each.is_same_type for each in found.shared)
    soon = now() + timedelta(days=20)
    dated = audience(house).live_numbers([COUNTRIES], key="adults", starts_at=now(), ends_at=soon)
    assert dated.shared == []
    assert audience(house).live_numbers([VISITORS]).assumed_filters == ("platform",)


def test_a_test_that_appears_meanwhile_is_counted_soon(house: CountedHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumers.audience_service._LOOK_EVERY_SECONDS", 0.02)
    assert audience(house).live_numbers([COUNTRIES]).shared == []
    stop = Event()
    thread = Thread(target=audience(house).run, args=(stop,))
    thread.start()
    try:
        house.prepare("adults", proposal({"control": 50, "blue": 50}, [ADULTS]))
        wait_until("the new test is counted", lambda: bool(audience(house).live_numbers([COUNTRIES]).shared))
    finally:
        stop.set()
        thread.join(60)
    (shared,) = audience(house).live_numbers([COUNTRIES]).shared
    assert (shared.key, shared.users) == ("adults", house.users(IN_COUNTRIES, IS_ADULT))


def test_wrong_conditions_are_refused_and_the_numbers_stay(house: CountedHouse) -> None:
    before = audience(house).live_numbers([COUNTRIES])
    with pytest.raises(ConditionsError):
        audience(house).live_numbers([{"filter": "shoe_size", "operator": "eq", "value": 1}])
    assert audience(house).live_numbers([COUNTRIES]) == before


def test_a_filter_without_a_column_is_named(tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.toml"
    catalog.write_text(
        '[filters.plan]\ntype = "string"\nscope = "user"\n'
        '[users]\ntable = "users"\nid = "user_id"\nsplit_group = "split_group"\n',
        encoding="utf-8",
    )
    house = CountedHouse(tmp_path, catalog=catalog)
    with pytest.raises(FilterWithoutColumn, match="plan"):
        audience(house).live_numbers([{"filter": "plan", "operator": "eq", "value": "gold"}])
    house.close()
