"""What differs between two settings groups of a test, in words."""

from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias, cast

import msgspec

from events.facts import FilterUsed, ProposedVariant
from projections import readable
from projections.proposals import Proposal
from usersplit.conditions import Catalog, ConditionsError, Filter, FilterType, parse_text

ReadConditions: TypeAlias = Callable[[str, tuple[FilterUsed, ...]], str]
"""From conditions, JSON text, and the catalog's word on their filters as it was then, to what people read."""


def settings_changes(
    before: Proposal | None, after: Proposal, read: ReadConditions | None = None
) -> tuple[tuple[str, str, str], ...]:
    """Return (what, before, after) of everything that differs; every setting if there is no `before`.

    `read` makes conditions readable, None: `conditions_text`, which names filters and values as services do.
    """
    was = {} if before is None else _described(before, read or conditions_text)
    becomes = _described(after, read or conditions_text)
    names = [*becomes, *(what for what in was if what not in becomes)]
    changes = ((what, was.get(what, ""), becomes.get(what, "")) for what in names)
    return tuple(change for change in changes if change[1] != change[2])


def settings_summary(proposal: Proposal, read: ReadConditions | None = None) -> str:
    """Return the settings on one line; `read` as for `settings_changes`."""
    conditions = (read or conditions_text)(proposal.conditions, proposal.filters)
    variants = ", ".join(f"{variant.name} {_share(variant)}" for variant in proposal.variants)
    return (
        f"from {readable.moment(proposal.starts_at)} until {readable.moment(proposal.ends_at)}, "
        f"for {conditions}; {variants or 'no variants'}"
    )


@lru_cache(maxsize=1024)
def conditions_text(conditions: str, filters: tuple[FilterUsed, ...]) -> str:
    """Return conditions in their readable form; as compact JSON if today's rules do not accept them any more."""
    try:
        catalog = Catalog([Filter(used.name, cast("FilterType", used.type), used.scope) for used in filters])
        return parse_text(conditions, catalog).to_text()
    except ConditionsError:
        return _compact(conditions)


def _compact(conditions: str) -> str:
    try:
        return msgspec.json.format(conditions, indent=-1)
    except msgspec.MsgspecError:
        return conditions


def _described(proposal: Proposal, read: ReadConditions) -> dict[str, str]:
    return {
        "start": readable.moment(proposal.starts_at),
        "end": readable.moment(proposal.ends_at),
        "conditions": read(proposal.conditions, proposal.filters),
        "split": "equally" if proposal.split_equally else "by percents",
        **({"split groups": "all drawn anew"} if proposal.reshuffle else {}),
        **{f"variant {variant.name}": _share(variant) for variant in proposal.variants},
    }


def _share(variant: ProposedVariant) -> str:
    return f"{readable.percent(variant.groups)} (control)" if variant.is_control else readable.percent(variant.groups)
