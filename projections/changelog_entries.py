"""What the changelog keeps of each fact, as text, and reads again to make its sentences.

Facts are kept as their own JSON, but for the two that hold settings: of those, what a sentence needs, in shapes of
this room, which are Structs because a rebuild makes one of nearly every third fact. Whoever adds a field to a fact
changes what is kept, and raises the version of the changelog.
"""

from dataclasses import replace
from typing import Any, Final, TypeAlias, get_args

import msgspec

from events.facts import (
    CodeDeployed,
    DraftDiscarded,
    GroupsMoved,
    ManagersChanged,
    Overlap,
    PropertiesEdited,
    SettingsGroupPreparationFailed,
    SettingsGroupPreparationRetried,
    SettingsGroupPrepared,
    SettingsGroupProposed,
    SplitTestCreated,
    SplitTestFact,
    SplitTestFinished,
    SplitTestPaused,
    SplitTestPublished,
    SplitTestRejected,
    SplitTestResumed,
    SplitTestStarted,
    SplitTestUnpublished,
)
from projections.json_text import write_json
from projections.proposals import Proposal, proposal_of


class PreparedVariantSummary(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A variant of a prepared settings group: how many split groups it owns, its estimated users, what they show."""

    name: str
    split_groups: int
    users: int | None
    smallest_effect: float | None = None


class PreparedSummary(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A prepared settings group without the lists of its split groups, and without overlaps variant by variant."""

    settings_group: int
    variants: tuple[PreparedVariantSummary, ...] = ()
    overlaps: tuple[Overlap, ...] = ()
    kept_groups: int = 0
    moved: tuple[GroupsMoved, ...] = ()
    assumed_filters: tuple[str, ...] = ()
    base_rate: float | None = None


NOTHING_PREPARED: Final = PreparedSummary(settings_group=0)
"""What a test has before its first settings group is prepared."""

KeptFact: TypeAlias = (
    SplitTestCreated
    | PropertiesEdited
    | ManagersChanged
    | Proposal
    | PreparedSummary
    | SettingsGroupPreparationFailed
    | SettingsGroupPreparationRetried
    | SplitTestPublished
    | SplitTestUnpublished
    | DraftDiscarded
    | CodeDeployed
    | SplitTestStarted
    | SplitTestPaused
    | SplitTestResumed
    | SplitTestFinished
    | SplitTestRejected
)


def kept_of(fact: SplitTestFact) -> KeptFact:
    """Return what is kept of a fact."""
    match fact:
        case SettingsGroupProposed():
            return proposal_of(fact)
        case SettingsGroupPrepared():
            return _summary(fact)
        case _:
            return fact


def keep(fact: SplitTestFact) -> str:
    """Return what is kept of a fact as text: the same for the same fact, in every database."""
    return write_json(kept_of(fact))


def read_kept(kind: str, text: str) -> KeptFact:
    """Return what was kept of a fact of the class `kind`."""
    kept: KeptFact = _decoders[kind].decode(text)
    return kept


def _summary(fact: SettingsGroupPrepared) -> PreparedSummary:
    return PreparedSummary(
        settings_group=fact.settings_group,
        variants=tuple(
            [
                PreparedVariantSummary(
                    name=variant.name,
                    split_groups=len(variant.split_groups),
                    users=variant.users,
                    smallest_effect=variant.smallest_effect,
                )
                for variant in fact.variants
            ]
        ),
        overlaps=tuple([replace(each, by_variant=()) if each.by_variant else each for each in fact.overlaps]),
        kept_groups=fact.kept_groups,
        moved=fact.moved,
        assumed_filters=fact.assumed_filters,
        base_rate=fact.base_rate,
    )


_KEPT_AS: dict[type, type] = {SettingsGroupProposed: Proposal, SettingsGroupPrepared: PreparedSummary}
_decoders: dict[str, msgspec.json.Decoder[Any]] = {
    kind.__name__: msgspec.json.Decoder(_KEPT_AS.get(kind, kind)) for kind in get_args(SplitTestFact)
}
