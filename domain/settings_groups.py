"""What may be done to a test's settings: propose, prepare, fail, retry. Decisions, each facts or one named error."""

from collections.abc import Sequence

from domain.access import require_manager
from domain.conditions_text import same_conditions
from domain.errors import AllocationNotExact, NothingChanges, NothingToRetry, SettingsAreFinal, SettingsGroupSuperseded
from domain.lifecycle import readable
from domain.people import Actor
from domain.percents import ALL_GROUPS
from domain.settings import SettingsProposal
from domain.split_test import SettingsGroup, SplitTest, Status
from events.facts import (
    GroupsMoved,
    Overlap,
    PreparedVariant,
    SettingsGroupPreparationFailed,
    SettingsGroupPreparationRetried,
    SettingsGroupPrepared,
    SettingsGroupProposed,
)


def propose_settings(
    state: SplitTest | None, key: str, actor: Actor, proposal: SettingsProposal
) -> tuple[SettingsGroupProposed, ...]:
    """Ask for a new settings group. It supersedes one that still waits; the current one stays in force until then.

    Raises:
        SplitTestNotFound, NotAManager: see `domain.access`.
        SettingsAreFinal: the test is Finished or Rejected.
        NothingChanges: the same settings are in force, or wait to be prepared.
    """
    test = require_manager(state, key, actor)
    if test.status in {Status.FINISHED, Status.REJECTED}:
        raise SettingsAreFinal(key, readable(test.status))
    if _changes_nothing(test, proposal):
        raise NothingChanges(key, "the settings")
    proposed = SettingsGroupProposed(
        key=key,
        settings_group=test.last_settings_group + 1,
        starts_at=proposal.starts_at,
        ends_at=proposal.ends_at,
        conditions=proposal.conditions_text,
        filters=proposal.filters,
        variants=proposal.variants,
        split_equally=proposal.split_equally,
        reshuffle=proposal.reshuffle,
    )
    return (proposed,)


def seen_groups(test: SplitTest) -> tuple[PreparedVariant, ...]:
    """Return the variants whose users should keep what they have, with their split groups.

    A test that never left Draft has shown nobody anything: its next draw owes nothing to the one before, and is better
    for it, because other tests have come and gone meanwhile.
    """
    return test.current.prepared if test.current is not None and test.was_published else ()


def prepared(  # noqa: PLR0913 - the fields of the fact, by name
    state: SplitTest | None,
    key: str,
    *,
    settings_group: int,
    seed: int,
    as_of_position: int,
    variants: tuple[PreparedVariant, ...],
    overlaps: tuple[Overlap, ...],
    kept_groups: int = 0,
    moved: tuple[GroupsMoved, ...] = (),
    assumed_filters: tuple[str, ...] = (),
    base_rate: float | None = None,
) -> tuple[SettingsGroupPrepared, ...]:
    """Make the settings group that waits the current one, with the split groups that were drawn for it.

    Raises:
        SettingsGroupSuperseded: it does not wait (any more).
        AllocationNotExact: the split groups are not those that were asked for.
    """
    group = _waiting(state, key, settings_group)
    _check_allocation(key, group, variants)
    return (
        SettingsGroupPrepared(
            key=key,
            settings_group=settings_group,
            seed=seed,
            as_of_position=as_of_position,
            variants=variants,
            overlaps=overlaps,
            kept_groups=kept_groups,
            moved=moved,
            assumed_filters=assumed_filters,
            base_rate=base_rate,
        ),
    )


def preparation_failed(
    state: SplitTest | None, key: str, *, settings_group: int, reason: str
) -> tuple[SettingsGroupPreparationFailed, ...]:
    """Record why the settings group that waits could not be prepared.

    Raises:
        SettingsGroupSuperseded: it does not wait (any more).
    """
    _waiting(state, key, settings_group)
    said = reason.strip() or "no reason was given"
    return (SettingsGroupPreparationFailed(key=key, settings_group=settings_group, reason=said),)


def retry_preparation(state: SplitTest | None, key: str, actor: Actor) -> tuple[SettingsGroupPreparationRetried, ...]:
    """Let the settings group whose preparation failed wait once more.

    Raises:
        SplitTestNotFound, NotAManager: see `domain.access`.
        NothingToRetry: no preparation has failed.
    """
    test = require_manager(state, key, actor)
    if test.pending is None or not test.failure:
        raise NothingToRetry(key)
    return (SettingsGroupPreparationRetried(key=key, settings_group=test.pending.number),)


def waiting(state: SplitTest | None) -> SettingsGroup | None:
    """Return the settings group that waits to be prepared, None if there is none or its preparation failed."""
    return None if state is None or state.failure else state.pending


def _waiting(state: SplitTest | None, key: str, settings_group: int) -> SettingsGroup:
    group = waiting(state)
    if group is None or group.number != settings_group:
        raise SettingsGroupSuperseded(key, settings_group)
    return group


def _changes_nothing(test: SplitTest, proposal: SettingsProposal) -> bool:
    # With a group under way, asking for the current settings again means to take it back: that is a change.
    if test.pending is not None and not test.failure:
        return _same(test.pending, proposal) and test.pending.reshuffle == proposal.reshuffle
    return test.current is not None and _same(test.current, proposal) and not proposal.reshuffle


def _same(group: SettingsGroup, proposal: SettingsProposal) -> bool:
    return (
        group.starts_at == proposal.starts_at
        and group.ends_at == proposal.ends_at
        and group.variants == proposal.variants
        and group.filters == proposal.filters
        and same_conditions(group.conditions, proposal.conditions_text)
    )


def _check_allocation(key: str, group: SettingsGroup, variants: Sequence[PreparedVariant]) -> None:
    wanted = [(variant.name, variant.groups) for variant in group.variants]
    found = [(variant.name, len(variant.split_groups)) for variant in variants]
    if wanted != found:
        raise AllocationNotExact(key, group.number, f"{found} was drawn where {wanted} was asked for")
    drawn = [number for variant in variants for number in variant.split_groups]
    if len(set(drawn)) != len(drawn):
        raise AllocationNotExact(key, group.number, "a split group was drawn twice")
    if any(not 1 <= number <= ALL_GROUPS for number in drawn):
        raise AllocationNotExact(key, group.number, f"a split group outside of 1 to {ALL_GROUPS} was drawn")
