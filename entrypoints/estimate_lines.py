"""The estimate of a settings group as lines for a terminal: users and smallest effect per variant, and overlaps."""

from collections.abc import Iterator

from projections import readable
from projections.current_settings import CurrentSettings


def estimate_lines(settings: CurrentSettings) -> Iterator[tuple[str, str]]:
    """Yield what is known of the settings in force, each line with its label."""
    bound = "at most " if settings.assumed_filters else ""
    for variant in settings.variants:
        control = " (control)" if variant.is_control else ""
        groups = len(variant.split_groups)
        said = [f"{variant.name}{control}: {groups / 24:g} %, {groups} split groups"]
        if variant.users is not None:
            said.append(f"{bound}{variant.users:,} users")
        if variant.smallest_effect is not None and settings.base_rate is not None:
            effect = readable.smallest_effect(variant.smallest_effect, settings.base_rate)
            said.append(f"smallest effect {effect}")
        yield "variant", ", ".join(said)
    if settings.assumed_filters:
        yield "upper bound", f"no column holds {readable.sentence_of(settings.assumed_filters)}"
    for overlap in settings.overlaps:
        yield "overlap", f"{readable.shared(overlap, settings.users)} with {readable.other_test(overlap)}"
