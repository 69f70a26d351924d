"""What an allocation means to others: what it shares with other tests, and which groups changed hands."""

from collections import Counter
from collections.abc import Sequence

from domain.allocation.request import AllocationRequest
from events.facts import GroupsMoved, Overlap, PreparedVariant


def overlaps(request: AllocationRequest, variants: Sequence[PreparedVariant]) -> tuple[Overlap, ...]:
    """Return what `variants` share with each overlapping test, the largest share first."""
    drawn = frozenset(number for variant in variants for number in variant.split_groups)
    found: list[Overlap] = []
    for test in request.overlapping:
        shared = test.split_groups & drawn
        users = None if test.shared_users is None else sum(test.shared_users.get(number, 0) for number in shared)
        if not shared or users == 0:
            continue
        # What is shared with a Draft is told, for it may run before this test does; which Draft it is, is not.
        found.append(
            Overlap(
                key=test.key if test.is_named else "",
                settings_group=test.settings_group if test.is_named else 0,
                shared_groups=len(shared),
                shared_users=users,
                same_type=test.is_named and test.type == request.type,
            )
        )
    return tuple(sorted(found, key=lambda overlap: (-overlap.shared_groups, overlap.key)))


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
