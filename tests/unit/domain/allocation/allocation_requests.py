"""Requests for split groups, random and by hand, and what is asked of the answers."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from hypothesis import strategies as st

from domain.allocation import balanced, free_first
from domain.allocation.request import Allocation, AllocationRequest, OverlappingTest
from events.facts import PreparedVariant, ProposedVariant

EVERY_GROUP = tuple(range(1, 2401))
ALLOCATORS: dict[str, Callable[[AllocationRequest], Allocation]] = {
    "free_first": free_first.allocate,
    "balanced": balanced.allocate,
}
seeds = st.integers(min_value=0, max_value=2**63)


def other(
    key: str, groups: Sequence[int], *, type_: str = "web", is_named: bool = True, users: dict[int, int] | None = None
) -> OverlappingTest:
    return OverlappingTest(
        key=key,
        type=type_,
        settings_group=4,
        variants=(PreparedVariant(name="all", split_groups=tuple(groups)),),
        shared_users=users,
        is_named=is_named,
    )


def halves(key: str, first: Sequence[int], second: Sequence[int]) -> OverlappingTest:
    variants = (
        PreparedVariant(name="left", split_groups=tuple(first)),
        PreparedVariant(name="right", split_groups=tuple(second)),
    )
    return OverlappingTest(key=key, type="web", settings_group=1, variants=variants)


def request(*counts: int, seed: int = 1, overlapping: Sequence[OverlappingTest] = ()) -> AllocationRequest:
    variants = tuple(ProposedVariant(name=f"v{number}", groups=count) for number, count in enumerate(counts))
    return AllocationRequest(seed=seed, type="web", variants=variants, overlapping=tuple(overlapping))


def drawn(allocation: Allocation) -> set[int]:
    return {number for variant in allocation.variants for number in variant.split_groups}


def differences(asked: AllocationRequest, allocation: Allocation) -> list[float]:
    """By how many points the arms differ in the share of each variant of each overlapping test; by groups."""
    arms = [set(variant.split_groups) for variant in allocation.variants if variant.split_groups]
    found = []
    for test in asked.overlapping:
        for variant in test.variants:
            shares = [100 * len(arm.intersection(variant.split_groups)) / len(arm) for arm in arms]
            found.append(max(shares, default=0) - min(shares, default=0))
    return found


@st.composite
def counts_of_groups(draw: st.DrawFn) -> list[int]:
    left = 2400
    counts = []
    for _ in range(draw(st.integers(min_value=1, max_value=6))):
        counts.append(draw(st.integers(min_value=0, max_value=left)))
        left -= counts[-1]
    return counts


@st.composite
def neighbours(draw: st.DrawFn) -> list[OverlappingTest]:
    tests = []
    for number in range(draw(st.integers(min_value=0, max_value=4))):
        if draw(st.booleans()):
            first = draw(st.integers(min_value=1, max_value=2400))
            last = draw(st.integers(min_value=first, max_value=2400))
            tests.append(other(f"test{number}", range(first, last + 1)))
        else:
            theirs = free_first.allocate(request(*draw(counts_of_groups()), seed=draw(seeds))).variants
            tests.append(replace(other(f"test{number}", ()), variants=theirs))
    return tests


@st.composite
def requests(draw: st.DrawFn) -> AllocationRequest:
    asked = request(*draw(counts_of_groups()), seed=draw(seeds), overlapping=draw(neighbours()))
    if draw(st.booleans()):
        previous = free_first.allocate(request(*draw(counts_of_groups()), seed=draw(seeds))).variants
        return replace(asked, previous=previous, reshuffle=draw(st.booleans()))
    return asked
