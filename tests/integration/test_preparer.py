"""What a preparer makes of proposals: seeds, split groups, overlaps and the estimate, in one fact."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from audience.estimate import smallest_effect
from domain.allocation.audience_counts import Audience, CountedUsers, SharedUsers
from domain.allocation.balanced import allocate
from domain.allocation.request import Allocation, AllocationRequest
from events.facts import (
    GroupsMoved,
    Overlap,
)
from projections import current_settings
from tests.support.preparing import ANNA, House, document, groups


@pytest.fixture
def house(sqlite_database: Engine) -> House:
    return House(sqlite_database)


def test_a_proposed_settings_group_becomes_current_with_its_seed_and_its_groups(database: Engine) -> None:
    house = House(database)
    house.proposed("button", document(5, 10))
    assert house.preparer().prepare("button")
    fact = house.prepared("button")
    assert (fact.settings_group, fact.seed, fact.as_of_position) == (1, 1, 2)
    assert [(variant.name, len(variant.split_groups), variant.users) for variant in fact.variants] == [
        ("control", 120, None),
        ("red", 240, None),
    ]
    house.projector.catch_up()
    with house.engine.connect() as connection:
        settings = current_settings.get(connection, "button")
        assert current_settings.pending(connection) == []
    assert settings is not None
    assert settings.settings_group == 1


def test_the_seed_and_the_position_in_the_fact_repeat_the_draw(house: House) -> None:
    requests: list[AllocationRequest] = []

    def remembering(request: AllocationRequest) -> Allocation:
        requests.append(request)
        return allocate(request)

    house.running("first", document(40, 40))
    house.proposed("second", document(20, 20))
    assert house.preparer(allocate=remembering).prepare("second")
    fact = house.prepared("second")
    assert fact.as_of_position == house.store.head() - 1
    assert allocate(replace(requests[0], seed=fact.seed)).variants == fact.variants


def test_free_groups_go_first_and_the_rest_is_told_as_an_overlap(house: House) -> None:
    first = house.running("first", document(40, 40))
    house.proposed("second", document(15, 15))
    house.preparer().prepare("second")
    fact = house.prepared("second")
    free = set(range(1, 2401)) - groups(first)
    assert free < groups(fact)
    (overlap,) = fact.overlaps
    assert replace(overlap, by_variant=()) == Overlap(
        key="first", settings_group=1, shared_groups=720 - 480, same_type=True
    )
    assert [(each.ours, each.theirs) for each in overlap.by_variant] == [
        ("control", "control"),
        ("control", "red"),
        ("red", "control"),
        ("red", "red"),
    ]
    assert sum(each.shared_groups for each in overlap.by_variant) == 720 - 480


def test_tests_of_other_dates_are_nobodys_neighbours(house: House) -> None:
    house.running("first", document(50, 50))
    house.proposed("second", document(50, 50, starts_at="2026-06-01", ends_at="2026-07-01"))
    house.preparer().prepare("second")
    assert house.prepared("second").overlaps == ()


def test_a_test_of_another_type_is_told_as_such(house: House) -> None:
    house.running("first", document(50, 50), type_="mobile")
    house.proposed("second", document(5, 5))
    house.preparer().prepare("second")
    (overlap,) = house.prepared("second").overlaps
    assert (overlap.shared_groups, overlap.same_type) == (240, False)


def test_the_groups_of_a_draft_count_but_it_is_not_named(house: House) -> None:
    house.proposed("secret", document(40, 40))
    house.preparer().prepare("secret")
    secret = groups(house.prepared("secret"))
    house.proposed("second", document(10, 15))
    house.preparer().prepare("second")
    fact = house.prepared("second")
    assert set(range(1, 2401)) - secret < groups(fact)
    (overlap,) = fact.overlaps
    assert (overlap.key, overlap.settings_group, overlap.shared_groups) == ("", 0, len(secret & groups(fact)))


def test_a_change_of_dates_keeps_everybodys_variant(house: House) -> None:
    before = house.running("button", document(5, 10))
    house.commands.propose_settings(ANNA, "button", document(5, 10, ends_at="2026-07-01"))
    house.preparer().prepare("button")
    after = house.prepared("button")
    assert after.settings_group == 2
    assert after.variants == before.variants
    assert "360 split groups stay as they were" in [step.detail for step in house.steps]


def test_the_superseded_proposal_is_never_prepared(house: House) -> None:
    house.proposed("button", document(5, 10))
    house.commands.propose_settings(ANNA, "button", document(5, 15))
    assert house.preparer().prepare_all() == 1
    assert house.prepared("button").settings_group == 2


def test_a_key_without_anything_that_waits_is_left_alone(house: House) -> None:
    assert not house.preparer().prepare("nothing")
    house.running("button", document(5, 5))
    assert not house.preparer().prepare("button")
    assert house.preparer().prepare_all() == 0


def test_every_step_is_told(house: House) -> None:
    house.proposed("button", document(5, 10))
    house.preparer().prepare("button")
    assert [step.step for step in house.steps] == ["overlaps", "split_groups", "prepared"]
    assert {(step.key, step.settings_group) for step in house.steps} == {("button", 1)}


class EverybodyCounted:
    """Ten users in every split group; half of the tests' users meet both conditions."""

    def counted(self, audience: Audience, others: Sequence[Audience]) -> CountedUsers:
        assert audience.key not in {other.key for other in others}
        shared = SharedUsers(users=dict.fromkeys(range(1, 1201), 5))
        return CountedUsers(users=dict.fromkeys(range(1, 2401), 10), shared=[shared] * len(others))


def test_counted_users_become_the_estimate_and_the_overlap(house: House) -> None:
    house.running("first", document(50, 50))
    house.proposed("second", document(50, 50))
    assert house.preparer(counts=EverybodyCounted()).prepare("second")
    fact = house.prepared("second")
    assert [variant.users for variant in fact.variants] == [12_000, 12_000]
    (overlap,) = fact.overlaps
    assert replace(overlap, by_variant=()) == Overlap(
        key="first", settings_group=1, shared_groups=2400, shared_users=6000, same_type=True
    )
    assert sum(each.shared_users or 0 for each in overlap.by_variant) == 6000
    assert fact.base_rate == 0.1
    assert [variant.smallest_effect for variant in fact.variants] == [
        None,
        smallest_effect(12_000, 12_000, base_rate=0.1),
    ]
    assert [step.detail for step in house.steps][-3] == "24,000 users meet the conditions"


def test_the_percent_of_their_users_is_told_once_both_tests_were_counted(house: House) -> None:
    for key in ("first", "second"):
        house.proposed(key, document(50, 50))
        assert house.preparer(counts=EverybodyCounted(), base_rate=0.02).prepare(key)
    (overlap,) = house.prepared("second").overlaps
    assert (overlap.key, overlap.their_users) == ("", None), "a Draft tells nothing of itself"
    house.commands.publish(ANNA, "first")
    house.commands.propose_settings(ANNA, "second", document(25, 50))
    assert house.preparer(counts=EverybodyCounted(), base_rate=0.02).prepare("second")
    fact = house.prepared("second")
    (overlap,) = fact.overlaps
    assert (overlap.key, overlap.their_users, fact.base_rate) == ("first", 24_000, 0.02)


def test_a_draft_that_was_never_published_is_drawn_afresh(house: House) -> None:
    house.proposed("button", document(5, 10))
    house.preparer().prepare("button")
    before = groups(house.prepared("button"))
    house.commands.propose_settings(ANNA, "button", document(5, 10, ends_at="2026-07-01"))
    house.preparer().prepare("button")
    fact = house.prepared("button")
    assert groups(fact) != before
    assert (fact.kept_groups, fact.moved) == (0, ())


def test_a_draft_that_was_published_once_keeps_what_test_users_saw(house: House) -> None:
    house.proposed("button", document(5, 10))
    house.preparer().prepare("button")
    before = house.prepared("button")
    house.commands.publish(ANNA, "button")
    house.commands.unpublish(ANNA, "button")
    house.commands.propose_settings(ANNA, "button", document(5, 10, ends_at="2026-07-01"))
    house.preparer().prepare("button")
    assert house.prepared("button").variants == before.variants


def test_a_change_of_percents_says_which_groups_stay_and_which_move(house: House) -> None:
    house.running("button", document(5, 10))
    house.commands.propose_settings(ANNA, "button", document(7.5, 8))
    house.preparer().prepare("button")
    fact = house.prepared("button")
    assert fact.kept_groups == 120 + 192
    assert fact.moved == (
        GroupsMoved(before="", after="control", groups=60),
        GroupsMoved(before="red", after="", groups=48),
    )


def test_a_reshuffle_draws_all_groups_anew(house: House) -> None:
    before = house.running("button", document(25, 25))
    house.commands.propose_settings(ANNA, "button", document(25, 25) | {"reshuffle": True})
    house.preparer().prepare("button")
    fact = house.prepared("button")
    assert fact.kept_groups < 400
    assert fact.kept_groups + sum(move.groups for move in fact.moved if move.after) == 1200
    assert groups(fact) != groups(before)


def test_of_free_groups_those_are_taken_that_have_rested_longest(house: House) -> None:
    over = groups(house.running("over", document(25, 25)))
    house.commands.reject(ANNA, "over")
    house.proposed("second", document(20, 20))
    house.preparer().prepare("second")
    assert not groups(house.prepared("second")) & over, "half of the groups were never used"
    house.proposed("third", document(30, 30, starts_at="2026-07-01", ends_at="2026-08-01"))
    house.preparer().prepare("third")
    assert set(range(1, 2401)) - over < groups(house.prepared("third"))
