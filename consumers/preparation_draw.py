"""What a settings group would be: its split groups, estimate and overlaps. Nothing is recorded here.

The preparer records it; a preview shows it. Both take this one way, so that a preview never promises anything else.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from audience.estimate import BASE_RATE, estimated
from consumers.preparation_inputs import PreparationInputs, overlapping
from domain.allocation.audience_counts import Audience
from domain.allocation.request import AllocationRequest, Allocator
from domain.settings_groups import seen_groups
from domain.split_test import SettingsGroup, SplitTest
from events.facts import GroupsMoved, Overlap, PreparedVariant

DrawStep: TypeAlias = Literal["overlaps", "counted", "split_groups"]
"""Some of `projections.preparation_steps.PreparationStep`."""


class TellStep(Protocol):
    """Told of each step once it is done, with what it brought."""

    def __call__(self, step: DrawStep, detail: str, /) -> object:
        """Take note."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnSettings:
    """What the fact of a preparation says, see `events.facts.SettingsGroupPrepared`.

    `users` are all who meet the conditions, in the test or not; None where nobody counts.
    """

    seed: int
    as_of_position: int
    variants: tuple[PreparedVariant, ...]
    overlaps: tuple[Overlap, ...]
    kept_groups: int
    moved: tuple[GroupsMoved, ...]
    assumed_filters: tuple[str, ...]
    base_rate: float | None
    users: int | None


class PreparationDraw:
    """Draws settings groups.

    Args:
        inputs: reads the other tests and counts users.
        allocate: draws split groups.
        seeds: gives the seed of each draw, not negative.
        base_rate: for the smallest effects, a share between 0 and 1.
    """

    def __init__(
        self,
        inputs: PreparationInputs,
        *,
        allocate: Allocator,
        seeds: Callable[[], int],
        base_rate: float = BASE_RATE,
    ) -> None:
        self._inputs = inputs
        self._allocate = allocate
        self._seeds = seeds
        self._base_rate = base_rate

    def draw(
        self, test: SplitTest, group: SettingsGroup, tell: TellStep, *, base_rate: float | None = None
    ) -> DrawnSettings:
        """Return what `group` would be as of now. Blocks as long as counting takes.

        Raises:
            RuleBroken: the users cannot be counted, or were not: see `domain.allocation.audience_counts`.
            audience.estimate.BaseRateWrong: `base_rate`, where given, is no share between 0 and 1.
        """
        rate = self._base_rate if base_rate is None else base_rate
        neighbours = self._inputs.neighbours(test.key, starts_at=group.starts_at, ends_at=group.ends_at)
        tell("overlaps", f"{_tests(len(neighbours.settings))} by dates")
        audience = Audience(key=test.key, conditions=group.conditions, filters=group.filters)
        counted = self._inputs.counted(audience, neighbours.settings)
        if counted is not None:
            tell("counted", f"{sum(counted.users.values()):,} users meet the conditions")
        request = AllocationRequest(
            seed=self._seeds(),
            type=test.type,
            variants=group.variants,
            previous=seen_groups(test),
            reshuffle=group.reshuffle,
            overlapping=overlapping(neighbours.settings, counted),
            users=None if counted is None else counted.users,
            last_used=neighbours.last_used,
        )
        allocation = self._allocate(request)
        tell("split_groups", f"{allocation.kept_groups} split groups stay as they were")
        variants = allocation.variants
        if counted is not None:
            variants = estimated(variants, group.variants, counted.users, base_rate=rate)
        return DrawnSettings(
            seed=request.seed,
            as_of_position=neighbours.as_of_position,
            variants=variants,
            overlaps=allocation.overlaps,
            kept_groups=allocation.kept_groups,
            moved=allocation.moved,
            assumed_filters=() if counted is None else counted.assumed_filters,
            base_rate=None if counted is None else rate,
            users=None if counted is None else sum(counted.users.values()),
        )


def _tests(count: int) -> str:
    return "1 test overlaps" if count == 1 else f"{count} tests overlap"
