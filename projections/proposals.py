"""A proposed settings group, kept as text beside a model's rows until it is prepared.

A shape of its own rather than the fact's: a fact may gain fields, and rows must not depend on which release wrote them.
The shapes are Structs, because a rebuild makes hundreds of thousands, and a frozen dataclass takes five times as long.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from events.facts import FilterUsed, PreparedVariant, ProposedVariant, SettingsGroupProposed


class Proposal(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a manager asked for, see `SettingsGroupProposed`."""

    settings_group: int
    starts_at: datetime
    ends_at: datetime
    conditions: str
    filters: tuple[FilterUsed, ...]
    variants: tuple[ProposedVariant, ...]
    split_equally: bool
    reshuffle: bool = False


class CurrentVariant(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A variant of a prepared settings group.

    Attributes:
        groups: how many split groups were asked for; 24 are one percent.
        split_groups: those it owns, sorted, each 1..2400.
        users: the users estimated to carry them, None if nobody counted.
        smallest_effect: what they can show against control, see `events.facts.PreparedVariant`.
    """

    name: str
    is_control: bool
    groups: int
    split_groups: tuple[int, ...]
    users: int | None
    smallest_effect: float | None = None


_proposal_decoder = msgspec.json.Decoder(Proposal)


def proposal_of(fact: SettingsGroupProposed) -> Proposal:
    """Return what the fact asks for."""
    return Proposal(
        settings_group=fact.settings_group,
        starts_at=fact.starts_at,
        ends_at=fact.ends_at,
        conditions=fact.conditions,
        filters=fact.filters,
        variants=fact.variants,
        split_equally=fact.split_equally,
        reshuffle=fact.reshuffle,
    )


def read_proposal(text: str) -> Proposal:
    """Return the proposal that `write_json` wrote."""
    return _proposal_decoder.decode(text)


def join_variants(proposed: Sequence[ProposedVariant], prepared: Sequence[PreparedVariant]) -> list[CurrentVariant]:
    """Return the variants in the order the manager gave, with the split groups that were drawn for them."""
    drawn = {variant.name: variant for variant in prepared}
    joined = []
    for variant in proposed:
        owns = drawn.get(variant.name)
        joined.append(
            CurrentVariant(
                name=variant.name,
                is_control=variant.is_control,
                groups=variant.groups,
                split_groups=owns.split_groups if owns else (),
                users=owns.users if owns else None,
                smallest_effect=owns.smallest_effect if owns else None,
            )
        )
    return joined
