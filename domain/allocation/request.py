"""What an allocation is made from and what it answers, whichever way it is made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from events.facts import GroupsMoved, Overlap, PreparedVariant, ProposedVariant


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlappingTest:
    """Another test whose dates overlap, and the split groups of its current settings group, by variant.

    Attributes:
        shared_users: users who meet the conditions of both tests, by split group; None where nobody counted them, and
            then every split group of that test costs the same.
        is_upper_bound: whether fewer may be shared.
        is_named: whether its name may be told. The split groups of a Draft count, but Drafts are invisible.
    """

    key: str
    type: str
    settings_group: int
    variants: tuple[PreparedVariant, ...]
    shared_users: Mapping[int, int] | None = None
    is_upper_bound: bool = False
    is_named: bool = True

    @property
    def split_groups(self) -> frozenset[int]:
        """All split groups that the test uses."""
        return frozenset(number for variant in self.variants for number in variant.split_groups)


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationRequest:
    """What is to be allocated.

    Attributes:
        seed: of the draw, not negative. Everything else being equal, the same seed draws the same groups.
        type: the test's type, to mark overlaps with tests of the same type.
        variants: in the manager's order, together at most 2400 groups.
        previous: the variants of the settings group in force, whose users should keep what they have.
        reshuffle: whether they shall not: every split group is drawn anew.
        overlapping: the tests to keep out of the way of, and to balance over the arms.
        users: users who meet the test's conditions, by split group; None where nobody counted them.
        last_used: the position of the event log at which a split group was last let go, by a settings group that was
            finished, rejected or replaced. A group that is missing was never used: it has rested longest.
    """

    seed: int
    type: str
    variants: tuple[ProposedVariant, ...]
    previous: tuple[PreparedVariant, ...] = ()
    reshuffle: bool = False
    overlapping: tuple[OverlappingTest, ...] = ()
    users: Mapping[int, int] | None = None
    last_used: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """The split groups of every variant, and what they share with other tests.

    Attributes:
        variants: as requested, each with exactly its count of groups, sorted; no group in two variants.
        overlaps: what is shared with each other test, the largest share first; a Draft's key is left empty.
        kept_groups: how many groups stayed with the variant that had them before.
        moved: where the other groups went, of the variants before and of these; empty if there were none before.
    """

    variants: tuple[PreparedVariant, ...]
    overlaps: tuple[Overlap, ...]
    kept_groups: int
    moved: tuple[GroupsMoved, ...]


class Allocator(Protocol):
    """The port: pure, the same request gives the same allocation. `balanced.allocate` is the one in use."""

    def __call__(self, request: AllocationRequest) -> Allocation:
        """Return an allocation for `request`.

        Raises:
            SplitGroupOutOfRange: a count speaks of a split group that there is not.
        """
        ...
