"""What an allocation means to others: what it shares with other tests, and which groups changed hands."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from domain.allocation.request import AllocationRequest, OverlappingTest
from events.facts import GroupsMoved, Overlap, PreparedVariant, VariantOverlap


def overlaps(request: AllocationRequest, variants: Sequence[PreparedVariant]) -> tuple[Overlap, ...]:
    """Return what `variants` share with each overlapping test, the largest share first."""
    ours = _owners(variants)
    found = (_overlap(test, ours, variants, request.type) for test in request.overlapping)
    return tuple(
        sorted(
            (overlap for overlap in found if overlap is not None),
            key=lambda overlap: (-(overlap.shared_users or 0), -overlap.shared_groups, overlap.key),
        )
    )


def _overlap(
    test: OverlappingTest,
    ours: Mapping[int, str],
    variants: Sequence[PreparedVariant],
    type_: str,
) -> Overlap | None:
    theirs = _owners(test.variants)
    shared = ours.keys() & theirs.keys()
    users = None if test.shared_users is None else sum(test.shared_users.get(number, 0) for number in shared)
    if not shared or users == 0:
        return None
    if not test.is_named:
        # What is shared with a Draft is told, for it may run before this test does; which Draft it is, is not.
        return Overlap(
            key="",
            settings_group=0,
            shared_groups=len(shared),
            shared_users=users,
            is_upper_bound=test.is_upper_bound,
        )
    estimated = [variant.users for variant in test.variants if variant.users is not None]
    return Overlap(
        key=test.key,
        settings_group=test.settings_group,
        shared_groups=len(shared),
        shared_users=users,
        same_type=test.type == type_,
        their_users=sum(estimated) if len(estimated) == len(test.variants) else None,
        is_upper_bound=test.is_upper_bound,
        by_variant=tuple(_by_variant(test, variants, {number: (ours[number], theirs[number]) for number in shared})),
    )


def _by_variant(
    test: OverlappingTest, variants: Sequence[PreparedVariant], pairs: Mapping[int, tuple[str, str]]
) -> Iterator[VariantOverlap]:
    groups, users = Counter(pairs.values()), Counter[tuple[str, str]]()
    for number, pair in pairs.items():
        users[pair] += (test.shared_users or {}).get(number, 0)
    for our, their in product(variants, test.variants):
        pair = our.name, their.name
        if groups[pair]:
            yield VariantOverlap(
                ours=our.name,
                theirs=their.name,
                shared_groups=groups[pair],
                shared_users=None if test.shared_users is None else users[pair],
            )


def moves(before: Sequence[PreparedVariant], after: Sequence[PreparedVariant]) -> tuple[int, tuple[GroupsMoved, ...]]:
    """Return how many groups stay where they were `before`, and where the others went, the most first."""
    if not before:
        return 0, ()
    had, has = _owners(before), _owners(after)
    ways = Counter((had.get(number, ""), has.get(number, "")) for number in had.keys() | has.keys())
    moved = [GroupsMoved(before=old, after=new, groups=groups) for (old, new), groups in ways.items() if old != new]
    kept_groups = sum(groups for (old, new), groups in ways.items() if old == new)
    return kept_groups, tuple(sorted(moved, key=lambda move: (-move.groups, move.before, move.after)))


def _owners(variants: Sequence[PreparedVariant]) -> dict[int, str]:
    return {number: variant.name for variant in variants for number in variant.split_groups}
