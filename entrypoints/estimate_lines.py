"""An estimate as lines for a terminal: users and smallest effect per variant, overlaps, and which groups move."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from events.facts import Overlap
from projections import readable


class EstimatedVariant(Protocol):
    """A variant with its split groups and what they mean."""

    @property
    def name(self) -> str: ...  # noqa: D102 - as in `events.facts.PreparedVariant`
    @property
    def split_groups(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def users(self) -> int | None: ...  # noqa: D102
    @property
    def smallest_effect(self) -> float | None: ...  # noqa: D102


class Estimated(Protocol):
    """Settings in force, or a preview of some."""

    @property
    def variants(self) -> Sequence[EstimatedVariant]: ...  # noqa: D102 - as in `events.facts.SettingsGroupPrepared`
    @property
    def overlaps(self) -> Sequence[Overlap]: ...  # noqa: D102
    @property
    def assumed_filters(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def base_rate(self) -> float | None: ...  # noqa: D102


def estimate_lines(estimate: Estimated, *, control: str = "") -> Iterator[tuple[str, str]]:
    """Yield what is known, each line with its label; `control` is the name of that variant."""
    bound = "at most " if estimate.assumed_filters else ""
    for variant in estimate.variants:
        groups = len(variant.split_groups)
        mark = " (control)" if variant.name == control else ""
        said = [f"{variant.name}{mark}: {groups / 24:g} %, {groups} split groups"]
        if variant.users is not None:
            said.append(f"{bound}{variant.users:,} users")
        if variant.smallest_effect is not None and estimate.base_rate is not None:
            said.append(f"smallest effect {readable.smallest_effect(variant.smallest_effect, estimate.base_rate)}")
        yield "variant", ", ".join(said)
    if estimate.assumed_filters:
        yield "upper bound", f"no column holds {readable.sentence_of(estimate.assumed_filters)}"
    counted = [variant.users for variant in estimate.variants if variant.users is not None]
    ours = sum(counted) if counted else None
    for overlap in estimate.overlaps:
        yield "overlap", f"{readable.shared(overlap, ours)} with {readable.other_test(overlap)}"
