"""Settings as documents: variants, overlaps, what waits, and how far its preparation is."""

from collections.abc import Container
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

import msgspec
from typing_extensions import TypedDict

from events.facts import Overlap
from projections.current_settings import CurrentSettings
from projections.preparation_steps import PreparationProgress, PreparationStep
from projections.readable import other_test
from projections.settings_changes import conditions_text


class VariantDocument(TypedDict):
    """A variant: how many of the 2400 split groups were asked for, which it owns, and users estimated to carry them.

    `smallest_effect` is the smallest increase of a rate that so many users show against control, as a share; null for
    control, and where nobody counted.
    """

    name: str
    is_control: bool
    groups: int
    percent: float
    split_groups: list[int]
    users: int | None
    smallest_effect: float | None


class VariantOverlapDocument(TypedDict):
    """How much one of our variants shares with one of theirs."""

    ours: str
    theirs: str
    shared_groups: int
    shared_users: int | None


class OverlapDocument(TypedDict):
    """Another test that shares split groups, and users where they were counted; a Draft of others has no `key`.

    `is_upper_bound`: fewer users may be shared, for a filter of the visit cannot be counted.
    """

    key: str
    description: str
    settings_group: int
    shared_groups: int
    shared_users: int | None
    their_users: int | None
    is_upper_bound: bool
    same_type: bool
    by_variant: list[VariantOverlapDocument]


class MovedDocument(TypedDict):
    """Split groups that another variant has afterwards; `before` is empty where they join, `after` where they leave."""

    before: str
    after: str
    groups: int


class PreparationDocument(TypedDict):
    """How far a preparation is: the step that is over, about how much of all is (0 to 1), and what it brought."""

    settings_group: int
    step: PreparationStep
    share_done: float
    detail: str
    started_at: datetime
    at: datetime


class SettingsDocument(TypedDict):
    """The settings group in force, and what waits behind it.

    Attributes:
        settings_group: its number; 0 while none was prepared, and then there are no dates and no variants.
        conditions: the tree as its manager gave it, and `conditions_text` the same to be read.
        pending_group: the newest proposal that is not prepared.
        pending_state: "proposed" while it waits, "failed" with its reason, empty where nothing waits.
        preparation: how far its preparation is, null where nothing waits or nobody has begun.
        assumed_filters: filters of the visit that were taken to be met: with any of them users are upper bounds.
        base_rate: for which the smallest effects hold, null where nobody counted.
        version: of the test, what a change may expect; the ETag as well.
    """

    key: str
    settings_group: int
    starts_at: datetime | None
    ends_at: datetime | None
    conditions: list[Any]
    conditions_text: str
    variants: list[VariantDocument]
    overlaps: list[OverlapDocument]
    pending_group: int | None
    pending_state: Literal["", "proposed", "failed"]
    pending_reason: str
    preparation: PreparationDocument | None
    assumed_filters: list[str]
    base_rate: float | None
    version: int


def settings_document(
    key: str,
    version: int,
    settings: CurrentSettings | None,
    *,
    visible: Container[str],
    preparation: PreparationProgress | None = None,
) -> SettingsDocument:
    """Return settings as a document; `visible` are the keys of other tests that may be named."""
    if settings is None:
        return SettingsDocument(
            key=key,
            settings_group=0,
            starts_at=None,
            ends_at=None,
            conditions=[],
            conditions_text="",
            variants=[],
            overlaps=[],
            pending_group=None,
            pending_state="",
            pending_reason="",
            preparation=None,
            assumed_filters=[],
            base_rate=None,
            version=version,
        )
    return SettingsDocument(
        key=key,
        settings_group=settings.settings_group,
        starts_at=settings.starts_at,
        ends_at=settings.ends_at,
        conditions=msgspec.json.decode(settings.conditions),
        conditions_text=conditions_text(settings.conditions, settings.filters),
        variants=[
            VariantDocument(
                name=variant.name,
                is_control=variant.is_control,
                groups=variant.groups,
                percent=variant.groups / 24,
                split_groups=list(variant.split_groups),
                users=variant.users,
                smallest_effect=variant.smallest_effect,
            )
            for variant in settings.variants
        ],
        overlaps=[overlap_document(each, visible) for each in settings.overlaps],
        pending_group=settings.pending_group,
        pending_state=settings.pending_state,
        pending_reason=settings.pending_reason,
        preparation=_preparation(settings, preparation),
        assumed_filters=list(settings.assumed_filters),
        base_rate=settings.base_rate,
        version=version,
    )


def overlap_document(overlap: Overlap, visible: Container[str]) -> OverlapDocument:
    """Return an overlap as a document; a test that is not among `visible` is not named."""
    if overlap.key not in visible:
        overlap = replace(overlap, key="", settings_group=0, by_variant=())
    return OverlapDocument(
        key=overlap.key,
        description=other_test(overlap),
        settings_group=overlap.settings_group,
        shared_groups=overlap.shared_groups,
        shared_users=overlap.shared_users,
        their_users=overlap.their_users,
        is_upper_bound=overlap.is_upper_bound,
        same_type=overlap.same_type,
        by_variant=[
            VariantOverlapDocument(
                ours=each.ours, theirs=each.theirs, shared_groups=each.shared_groups, shared_users=each.shared_users
            )
            for each in overlap.by_variant
        ],
    )


def _preparation(settings: CurrentSettings, progress: PreparationProgress | None) -> PreparationDocument | None:
    """Return how far it is, None where the progress is of an earlier settings group."""
    if progress is None or progress.settings_group != settings.pending_group:
        return None
    return PreparationDocument(
        settings_group=progress.settings_group,
        step=progress.step,
        share_done=progress.share_done,
        detail=progress.detail,
        started_at=progress.started_at,
        at=progress.at,
    )
