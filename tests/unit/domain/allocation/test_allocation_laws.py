"""What holds for every allocation, the plain draw and the balanced one."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.allocation.audience_counts import SplitGroupOutOfRange
from domain.allocation.request import Allocation, AllocationRequest, OverlappingTest
from events.facts import GroupsMoved, Overlap, PreparedVariant, VariantOverlap
from tests.unit.domain.allocation.allocation_requests import (
    ALLOCATORS,
    EVERY_GROUP,
    counts_of_groups,
    drawn,
    neighbours,
    other,
    request,
    requests,
    seeds,
)

Allocate: TypeAlias = Callable[[AllocationRequest], Allocation]
allocators = st.sampled_from(list(ALLOCATORS.values()))


@pytest.fixture(params=ALLOCATORS.values(), ids=list(ALLOCATORS))
def allocate(request: pytest.FixtureRequest) -> Allocate:
    allocator: Allocate = request.param
    return allocator


@settings(max_examples=60, deadline=None)
@given(allocators, requests())
def test_counts_are_exact_and_every_group_has_at_most_one_variant(allocate: Allocate, asked: AllocationRequest) -> None:
    variants = allocate(asked).variants
    assert [(variant.name, len(variant.split_groups)) for variant in variants] == [
        (variant.name, variant.groups) for variant in asked.variants
    ]
    numbers = [number for variant in variants for number in variant.split_groups]
    assert len(set(numbers)) == len(numbers)
    assert set(numbers) <= set(EVERY_GROUP)
    assert all(list(variant.split_groups) == sorted(variant.split_groups) for variant in variants)


@settings(max_examples=30, deadline=None)
@given(allocators, requests())
def test_the_same_request_draws_the_same_groups(allocate: Allocate, asked: AllocationRequest) -> None:
    assert allocate(asked) == allocate(asked)


@settings(max_examples=60, deadline=None)
@given(allocators, counts_of_groups(), neighbours(), seeds)
def test_no_group_is_left_that_is_less_busy_than_one_taken(
    allocate: Allocate, counts: list[int], overlapping: list[OverlappingTest], seed: int
) -> None:
    busy = Counter(number for test in overlapping if len(test.split_groups) < 2400 for number in test.split_groups)
    taken = drawn(allocate(request(*counts, seed=seed, overlapping=overlapping)))
    left = set(EVERY_GROUP) - taken
    if taken and left:
        assert max(busy[number] for number in taken) <= min(busy[number] for number in left)


def test_the_picture_of_the_article_free_groups_go_first_and_busy_ones_fill_up(allocate: Allocate) -> None:
    # All but groups 4 and 7 are busy, and 4 are wanted.
    busy = [number for number in EVERY_GROUP if number not in {4, 7}]
    taken = drawn(allocate(request(2, 2, overlapping=[other("first", busy[:1000]), other("second", busy[1000:])])))
    assert {4, 7} < taken
    assert len(taken) == 4


@settings(max_examples=40, deadline=None)
@given(allocators, counts_of_groups(), neighbours(), seeds)
def test_a_change_of_dates_or_conditions_moves_no_user(
    allocate: Allocate, counts: list[int], overlapping: list[OverlappingTest], seed: int
) -> None:
    previous = allocate(request(*counts, seed=seed)).variants
    again = allocate(replace(request(*counts, seed=seed + 1, overlapping=overlapping), previous=previous))
    assert again.variants == previous
    assert again.kept_groups == sum(counts)


@settings(max_examples=40, deadline=None)
@given(allocators, counts_of_groups(), counts_of_groups(), seeds)
def test_a_variant_that_grows_keeps_its_groups_and_one_that_shrinks_keeps_some_of_them(
    allocate: Allocate, before: list[int], after: list[int], seed: int
) -> None:
    previous = allocate(request(*before, seed=seed)).variants
    changed = allocate(replace(request(*after, seed=seed + 1), previous=previous)).variants
    for old, new in zip(previous, changed, strict=False):
        smaller, larger = sorted((set(old.split_groups), set(new.split_groups)), key=len)
        assert smaller <= larger


def test_a_variant_that_shrinks_keeps_a_random_part(allocate: Allocate) -> None:
    previous = (PreparedVariant(name="v0", split_groups=EVERY_GROUP),)
    kept = [drawn(allocate(replace(request(1200, seed=seed), previous=previous))) for seed in range(2)]
    assert kept[0] != kept[1]
    assert 500 < len([number for number in kept[0] if number <= 1200]) < 700


def test_a_variant_grows_into_groups_that_saw_no_other_variant_while_there_are_some(allocate: Allocate) -> None:
    before = (
        PreparedVariant(name="v0", split_groups=EVERY_GROUP[:100]),
        PreparedVariant(name="v1", split_groups=EVERY_GROUP[100:200]),
    )
    changed = allocate(replace(request(50, 150), previous=before)).variants
    assert set(changed[1].split_groups) & set(before[0].split_groups) == set()
    full = allocate(replace(request(0, 2400), previous=before)).variants
    assert set(full[1].split_groups) == set(EVERY_GROUP)


def test_a_free_group_that_saw_another_variant_still_goes_before_a_busy_one(allocate: Allocate) -> None:
    before = (PreparedVariant(name="v0", split_groups=EVERY_GROUP[:100]),)
    asked = request(0, 50, overlapping=[other("busy", EVERY_GROUP[100:])])
    assert drawn(allocate(replace(asked, previous=before))) <= set(EVERY_GROUP[:100])


def test_a_variant_with_another_name_is_another_variant(allocate: Allocate) -> None:
    previous = (PreparedVariant(name="gone", split_groups=EVERY_GROUP[:50]),)
    changed = allocate(replace(request(50), previous=previous))
    assert changed.kept_groups == 0
    assert drawn(changed) & set(EVERY_GROUP[:50]) == set()


def test_groups_are_drawn_uniformly_where_nothing_overlaps(allocate: Allocate) -> None:
    draws = 1000
    expected = draws * 240 / 2400
    hits = np.zeros(2401)
    first = np.zeros(2401)
    for seed in range(draws):
        control, red = allocate(request(120, 120, seed=seed)).variants
        hits[[*control.split_groups, *red.split_groups]] += 1
        first[list(control.split_groups)] += 1
    # A sample without replacement of a tenth has nine tenths of the variance that chi-square expects.
    chi_square = float(((hits[1:] - expected) ** 2 / expected).sum()) / 0.9
    assert abs(chi_square - 2399) < 5 * np.sqrt(2 * 2399)
    chi_square_first = float(((first[1:] - expected / 2) ** 2 / (expected / 2)).sum()) / 0.95
    assert abs(chi_square_first - 2399) < 5 * np.sqrt(2 * 2399)


def test_neighbouring_groups_go_to_variants_independently(allocate: Allocate) -> None:
    together = 0
    for seed in range(400):
        control, _ = allocate(request(1200, 1200, seed=seed)).variants
        together += sum(1 for number in (1, 501, 1001, 1501, 2001) if {number, number + 1} <= set(control.split_groups))
    assert 420 < together < 580  # 2000 pairs, a quarter of them expected; five standard deviations are 97


def test_a_test_that_takes_everything_is_in_nobodys_way_but_is_told(allocate: Allocate) -> None:
    busy = other("busy", EVERY_GROUP[:2390])
    alone = allocate(request(20, overlapping=[busy]))
    users = dict.fromkeys(range(2300, 2401), 7)
    beside = allocate(request(20, overlapping=[busy, other("everybody", EVERY_GROUP, users=users)]))
    assert drawn(alone) == drawn(beside)
    assert [overlap.key for overlap in beside.overlaps] == ["everybody", "busy"]


def test_overlaps_count_shared_groups_and_mark_tests_of_the_same_type(allocate: Allocate) -> None:
    overlapping = [
        other("small", EVERY_GROUP[:10]),
        other("mobile", EVERY_GROUP[:50], type_="mobile"),
        other("draft", EVERY_GROUP, is_named=False),
    ]
    found = allocate(request(2400, overlapping=overlapping)).overlaps
    assert tuple(replace(each, by_variant=()) for each in found) == (
        Overlap(key="", settings_group=0, shared_groups=2400, same_type=False),
        Overlap(key="mobile", settings_group=4, shared_groups=50, same_type=False),
        Overlap(key="small", settings_group=4, shared_groups=10, same_type=True),
    )


def test_tests_without_a_shared_group_do_not_overlap(allocate: Allocate) -> None:
    assert allocate(request(100, overlapping=[other("small", EVERY_GROUP[:10])])).overlaps == ()


def test_counted_users_are_what_a_busy_group_costs(allocate: Allocate) -> None:
    counted = other("counted", EVERY_GROUP, users={1: 5, 2: 1})
    halves = [
        replace(counted, variants=(PreparedVariant(name="all", split_groups=EVERY_GROUP[:1200]),)),
        other("crowded", EVERY_GROUP[1200:], users=dict.fromkeys(EVERY_GROUP, 9)),
    ]
    allocation = allocate(request(1199, overlapping=halves))
    assert drawn(allocation) == set(EVERY_GROUP[1:1200])
    assert allocation.overlaps == (
        Overlap(
            key="counted",
            settings_group=4,
            shared_groups=1199,
            shared_users=1,
            same_type=True,
            by_variant=(VariantOverlap(ours="v0", theirs="all", shared_groups=1199, shared_users=1),),
        ),
    )


def test_tests_that_share_groups_but_no_users_do_not_overlap(allocate: Allocate) -> None:
    assert allocate(request(2400, overlapping=[other("elsewhere", EVERY_GROUP[:10], users={})])).overlaps == ()


@pytest.mark.parametrize("seed", [0, 2**64, 2**127])
def test_any_seed_that_is_not_negative_is_one(allocate: Allocate, seed: int) -> None:
    assert len(drawn(allocate(request(5, seed=seed)))) == 5


def test_rested_groups_win_ties_the_longest_rested_first(allocate: Allocate) -> None:
    last_used = {number: number for number in EVERY_GROUP[200:]}
    busy = other("busy", EVERY_GROUP[:100])
    rested = drawn(allocate(replace(request(75, 75, overlapping=[busy]), last_used=last_used)))
    assert rested == set(EVERY_GROUP[100:250])


def test_a_reshuffle_owes_nothing_to_what_was_before(allocate: Allocate) -> None:
    previous = allocate(request(240, 240, seed=1)).variants
    asked = replace(request(240, 240, seed=2), previous=previous, reshuffle=True)
    allocation = allocate(asked)
    assert allocation.variants == allocate(replace(asked, previous=(), reshuffle=False)).variants
    stayed = [
        len(set(old.split_groups).intersection(new.split_groups))
        for old, new in zip(previous, allocation.variants, strict=True)
    ]
    assert allocation.kept_groups == sum(stayed) < 120


def test_groups_that_change_hands_are_told_the_most_first(allocate: Allocate) -> None:
    before = (
        PreparedVariant(name="v0", split_groups=EVERY_GROUP[:100]),
        PreparedVariant(name="gone", split_groups=EVERY_GROUP[100:130]),
    )
    grown = allocate(replace(request(140), previous=before))
    assert grown.kept_groups == 100
    assert grown.moved == (
        GroupsMoved(before="", after="v0", groups=40),
        GroupsMoved(before="gone", after="", groups=30),
    )
    everything = allocate(replace(request(40, 2360), previous=before))
    assert everything.kept_groups == 40
    assert everything.moved == (
        GroupsMoved(before="", after="v1", groups=2270),
        GroupsMoved(before="v0", after="v1", groups=60),
        GroupsMoved(before="gone", after="v1", groups=30),
    )


def test_a_first_draw_moves_nobody(allocate: Allocate) -> None:
    first = allocate(request(100))
    assert (first.kept_groups, first.moved) == (0, ())


@pytest.mark.parametrize("group", [0, -1, 2401])
def test_counts_of_split_groups_that_there_are_not_are_refused(allocate: Allocate, group: int) -> None:
    with pytest.raises(SplitGroupOutOfRange, match="split groups are 1 to 2400"):
        allocate(request(10, overlapping=[other("wrong", EVERY_GROUP[:10], users={5: 3, group: 1})]))
