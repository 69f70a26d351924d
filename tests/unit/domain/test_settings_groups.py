from collections.abc import Sequence
from dataclasses import replace

import pytest

from domain.errors import (
    AllocationNotExact,
    NotAManager,
    NothingChanges,
    NothingToRetry,
    SettingsAreFinal,
    SettingsGroupSuperseded,
    SplitTestNotFound,
)
from domain.settings import SettingsProposal, parse_proposal
from domain.settings_groups import (
    preparation_failed,
    prepared,
    propose_settings,
    retry_preparation,
    seen_groups,
    waiting,
)
from domain.split_test import load
from events.facts import (
    DraftDiscarded,
    GroupsMoved,
    PreparedVariant,
    SettingsGroupPreparationFailed,
    SettingsGroupPreparationRetried,
    SettingsGroupPrepared,
    SplitTestFact,
    SplitTestUnpublished,
)
from tests.unit.domain.histories import (
    ANNA,
    CREATED,
    DRAFT,
    FAILED,
    FINISHED,
    IN_DEV,
    KEY,
    PAUSED,
    PREPARED,
    PROPOSED,
    READY,
    REJECTED,
    RUNNING,
    STRANGER,
)
from usersplit.conditions import Catalog, Filter

CATALOG = Catalog([Filter("platform", "string", "environment")])
DOCUMENT: dict[str, object] = {
    "starts_at": "2026-05-01",
    "ends_at": "2026-06-01",
    "variants": [{"name": "control", "percent": 0.125, "control": True}, {"name": "green", "percent": 0.125}],
}


def proposal(**changes: object) -> SettingsProposal:
    return parse_proposal(DOCUMENT | changes, CATALOG)


LATER = proposal(ends_at="2026-07-01")
AGAIN = replace(PROPOSED, settings_group=2, ends_at=LATER.ends_at)
RETRIED = SettingsGroupPreparationRetried(key=KEY, settings_group=1)


@pytest.mark.parametrize("history", [DRAFT])
def test_the_first_proposal_is_settings_group_1(history: Sequence[SplitTestFact]) -> None:
    assert propose_settings(load(history), KEY, ANNA, proposal()) == (PROPOSED,)


@pytest.mark.parametrize("history", [READY, IN_DEV, RUNNING, PAUSED])
def test_a_change_is_a_new_settings_group_until_the_test_is_over(history: Sequence[SplitTestFact]) -> None:
    assert propose_settings(load(history), KEY, ANNA, LATER) == (AGAIN,)


@pytest.mark.parametrize("history", [FINISHED, REJECTED])
def test_the_settings_of_a_test_that_is_over_are_final(history: Sequence[SplitTestFact]) -> None:
    with pytest.raises(SettingsAreFinal, match="create a new test"):
        propose_settings(load(history), KEY, ANNA, LATER)


def test_the_current_settings_stay_until_the_new_ones_are_prepared() -> None:
    state = load([*RUNNING, AGAIN])
    assert state is not None
    assert state.current is not None
    assert state.current.number == 1
    assert state.pending is not None
    assert state.pending.number == 2


@pytest.mark.parametrize("history", [(CREATED, PROPOSED), READY])
def test_the_same_settings_change_nothing(history: Sequence[SplitTestFact]) -> None:
    with pytest.raises(NothingChanges, match="the settings of green_button"):
        propose_settings(load(history), KEY, ANNA, proposal())


def test_conditions_are_compared_as_what_they_say() -> None:
    leaf = {"filter": "platform", "operator": "eq", "value": "web"}
    history = (*DRAFT, *propose_settings(load(DRAFT), KEY, ANNA, proposal(conditions=[leaf])))
    turned = dict(reversed(leaf.items()))
    with pytest.raises(NothingChanges):
        propose_settings(load(history), KEY, ANNA, proposal(conditions=[turned]))
    assert propose_settings(load(history), KEY, ANNA, proposal(conditions=[leaf | {"value": "ios"}]))


def test_asking_for_the_current_settings_takes_back_the_ones_that_wait() -> None:
    back = propose_settings(load([*READY, AGAIN]), KEY, ANNA, proposal())
    assert back == (replace(PROPOSED, settings_group=3),)


RESHUFFLED = replace(PROPOSED, settings_group=2, reshuffle=True)


@pytest.mark.parametrize("history", [READY, RUNNING])
def test_a_reshuffle_of_the_same_settings_is_a_change(history: Sequence[SplitTestFact]) -> None:
    assert propose_settings(load(history), KEY, ANNA, proposal(reshuffle=True)) == (RESHUFFLED,)


def test_a_reshuffle_that_waits_is_not_asked_for_twice_but_can_be_taken_back() -> None:
    state = load([*RUNNING, RESHUFFLED])
    with pytest.raises(NothingChanges):
        propose_settings(state, KEY, ANNA, proposal(reshuffle=True))
    back = propose_settings(state, KEY, ANNA, proposal())
    assert back == (replace(PROPOSED, settings_group=3),)


def test_a_reshuffle_that_was_prepared_is_over() -> None:
    state = load([*RUNNING, RESHUFFLED, replace(PREPARED, settings_group=2)])
    with pytest.raises(NothingChanges):
        propose_settings(state, KEY, ANNA, proposal())
    assert propose_settings(state, KEY, ANNA, proposal(reshuffle=True))


@pytest.mark.parametrize(
    ("history", "seen"),
    [
        (DRAFT, ()),
        (READY, ()),
        (IN_DEV, PREPARED.variants),
        ([*IN_DEV, SplitTestUnpublished(key=KEY)], PREPARED.variants),
        (RUNNING, PREPARED.variants),
        ([*IN_DEV, SplitTestUnpublished(key=KEY), DraftDiscarded(key=KEY), CREATED, PROPOSED, PREPARED], ()),
    ],
)
def test_groups_are_seen_once_the_test_was_published(
    history: Sequence[SplitTestFact], seen: tuple[PreparedVariant, ...]
) -> None:
    state = load(history)
    assert state is not None
    assert seen_groups(state) == seen


def test_what_stays_and_what_moves_stands_in_the_fact() -> None:
    moved = (GroupsMoved(before="", after="green", groups=3),)
    (fact,) = prepared(
        load([CREATED, PROPOSED]),
        KEY,
        settings_group=1,
        seed=7,
        as_of_position=2,
        variants=PREPARED.variants,
        overlaps=(),
        kept_groups=3,
        moved=moved,
    )
    assert (fact.kept_groups, fact.moved) == (3, moved)


def test_settings_whose_preparation_failed_can_be_proposed_again() -> None:
    assert propose_settings(load([CREATED, PROPOSED, FAILED]), KEY, ANNA, proposal())


def test_strangers_do_not_propose() -> None:
    with pytest.raises(NotAManager):
        propose_settings(load(IN_DEV), KEY, STRANGER, LATER)
    with pytest.raises(SplitTestNotFound):
        propose_settings(load(DRAFT), KEY, STRANGER, LATER)


def prepare(
    history: Sequence[SplitTestFact], settings_group: int, variants: tuple[PreparedVariant, ...] = PREPARED.variants
) -> tuple[SettingsGroupPrepared, ...]:
    return prepared(
        load(history),
        KEY,
        settings_group=settings_group,
        seed=7,
        as_of_position=2,
        variants=variants,
        overlaps=(),
    )


def test_a_prepared_settings_group_becomes_current() -> None:
    assert prepare([CREATED, PROPOSED], 1) == (PREPARED,)
    state = load(READY)
    assert state is not None
    assert state.current is not None
    assert state.current.prepared == PREPARED.variants
    assert state.pending is None


@pytest.mark.parametrize(
    ("history", "settings_group"),
    [
        (DRAFT, 1),
        (READY, 1),
        ([*READY, AGAIN], 1),
        ([CREATED, PROPOSED, FAILED], 1),
        ([CREATED, PROPOSED, DraftDiscarded(key=KEY)], 1),
        ([*RUNNING, AGAIN, *FINISHED[len(RUNNING) :]], 2),
        ([*RUNNING, AGAIN, *REJECTED[len(RUNNING) :]], 2),
        ([], 1),
    ],
)
def test_a_settings_group_that_does_not_wait_is_not_prepared(
    history: Sequence[SplitTestFact], settings_group: int
) -> None:
    with pytest.raises(SettingsGroupSuperseded):
        prepare(history, settings_group)
    with pytest.raises(SettingsGroupSuperseded):
        preparation_failed(load(history), KEY, settings_group=settings_group, reason="late")


@pytest.mark.parametrize(
    "variants",
    [
        (),
        (PreparedVariant(name="control", split_groups=(1, 2, 3)),),
        (
            PreparedVariant(name="green", split_groups=(1, 2, 3)),
            PreparedVariant(name="control", split_groups=(4, 5, 6)),
        ),
        (
            PreparedVariant(name="control", split_groups=(1, 2)),
            PreparedVariant(name="green", split_groups=(3, 4, 5, 6)),
        ),
        (
            PreparedVariant(name="control", split_groups=(1, 2, 3)),
            PreparedVariant(name="green", split_groups=(3, 4, 5)),
        ),
        (
            PreparedVariant(name="control", split_groups=(1, 1, 2)),
            PreparedVariant(name="green", split_groups=(3, 4, 5)),
        ),
        (
            PreparedVariant(name="control", split_groups=(0, 1, 2)),
            PreparedVariant(name="green", split_groups=(3, 4, 5)),
        ),
        (
            PreparedVariant(name="control", split_groups=(1, 2, 3)),
            PreparedVariant(name="green", split_groups=(4, 5, 2401)),
        ),
    ],
)
def test_split_groups_that_are_not_what_was_proposed_are_refused(variants: tuple[PreparedVariant, ...]) -> None:
    with pytest.raises(AllocationNotExact):
        prepare([CREATED, PROPOSED], 1, variants)


def test_a_failure_keeps_its_reason_and_the_settings_in_force() -> None:
    failed = preparation_failed(load([*RUNNING, AGAIN]), KEY, settings_group=2, reason=" the users were away ")
    assert failed == (SettingsGroupPreparationFailed(key=KEY, settings_group=2, reason="the users were away"),)
    state = load([*RUNNING, AGAIN, *failed])
    assert state is not None
    assert state.current is not None
    assert (state.current.number, state.failure) == (1, "the users were away")
    assert waiting(state) is None


def test_a_failure_always_has_a_reason() -> None:
    failed = preparation_failed(load([CREATED, PROPOSED]), KEY, settings_group=1, reason="")
    assert failed[0].reason


def test_a_failed_preparation_is_retried_and_waits_again() -> None:
    history = (CREATED, PROPOSED, FAILED)
    assert retry_preparation(load(history), KEY, ANNA) == (RETRIED,)
    group = waiting(load([*history, RETRIED]))
    assert group is not None
    assert group.number == 1


@pytest.mark.parametrize("history", [DRAFT, (CREATED, PROPOSED), READY, FINISHED])
def test_only_a_failure_can_be_retried(history: Sequence[SplitTestFact]) -> None:
    with pytest.raises(NothingToRetry):
        retry_preparation(load(history), KEY, ANNA)
