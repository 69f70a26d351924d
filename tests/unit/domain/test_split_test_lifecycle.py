from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TypeAlias

import pytest

from domain import lifecycle
from domain.errors import (
    NoCurrentSettings,
    NotAManager,
    SettingsEnded,
    SplitTestNotFound,
    TransitionNotAllowed,
    UnknownScope,
    UnknownVariant,
)
from domain.people import Actor
from domain.split_test import SplitTest, Status, load
from events.facts import (
    CodeDeployed,
    DraftDiscarded,
    SettingsGroupPrepared,
    SettingsGroupProposed,
    SplitTestFact,
    SplitTestFinished,
    SplitTestPaused,
    SplitTestPublished,
    SplitTestRejected,
    SplitTestResumed,
    SplitTestStarted,
    SplitTestUnpublished,
)
from tests.unit.domain.histories import (
    ANNA,
    BEFORE_END,
    BORIS,
    DRAFT,
    END,
    FAILED,
    FINISHED,
    IN_DEV,
    KEY,
    PAUSED,
    PROPOSED,
    READY,
    REJECTED,
    RUNNING,
    START,
    STRANGER,
    SUPERUSER,
)

Step: TypeAlias = Callable[[SplitTest | None, Actor], Sequence[SplitTestFact]]

STEPS: dict[lifecycle.Action, Step] = {
    "publish": lambda state, actor: lifecycle.publish(state, KEY, actor),
    "unpublish": lambda state, actor: lifecycle.unpublish(state, KEY, actor),
    "discard": lambda state, actor: lifecycle.discard(state, KEY, actor),
    "start": lambda state, actor: lifecycle.start(state, KEY, actor, now=BEFORE_END),
    "pause": lambda state, actor: lifecycle.pause(state, KEY, actor),
    "resume": lambda state, actor: lifecycle.resume(state, KEY, actor, now=BEFORE_END),
    "finish": lambda state, actor: lifecycle.finish(state, KEY, actor, resulting_variant="green", scope="conditions"),
    "reject": lambda state, actor: lifecycle.reject(state, KEY, actor),
}

HISTORIES = {
    Status.DRAFT: READY,
    Status.IN_DEV: IN_DEV,
    Status.RUNNING: RUNNING,
    Status.PAUSED: PAUSED,
    Status.FINISHED: FINISHED,
    Status.REJECTED: REJECTED,
}

TAKEN: list[tuple[Sequence[SplitTestFact], lifecycle.Action, SplitTestFact, Status]] = [
    (READY, "publish", SplitTestPublished(key=KEY), Status.IN_DEV),
    (READY, "discard", DraftDiscarded(key=KEY), Status.DISCARDED),
    (IN_DEV, "unpublish", SplitTestUnpublished(key=KEY), Status.DRAFT),
    (IN_DEV, "start", SplitTestStarted(key=KEY), Status.RUNNING),
    (RUNNING, "pause", SplitTestPaused(key=KEY), Status.PAUSED),
    (PAUSED, "resume", SplitTestResumed(key=KEY), Status.RUNNING),
    (RUNNING, "finish", SplitTestFinished(key=KEY, resulting_variant="green", scope="conditions"), Status.FINISHED),
    (PAUSED, "finish", SplitTestFinished(key=KEY, resulting_variant="green", scope="conditions"), Status.FINISHED),
    (RUNNING, "reject", SplitTestRejected(key=KEY), Status.REJECTED),
    (PAUSED, "reject", SplitTestRejected(key=KEY), Status.REJECTED),
]


@pytest.mark.parametrize(("history", "action", "fact", "status"), TAKEN)
def test_each_step_appends_its_fact_and_leads_to_its_status(
    history: Sequence[SplitTestFact], action: lifecycle.Action, fact: SplitTestFact, status: Status
) -> None:
    assert tuple(STEPS[action](load(history), ANNA)) == (fact,)
    after = load([*history, fact])
    assert after is not None
    assert after.status is status


@pytest.mark.parametrize("status", HISTORIES)
@pytest.mark.parametrize("action", STEPS)
def test_every_other_step_is_refused_with_the_status_and_what_can_be_done(
    status: Status, action: lifecycle.Action
) -> None:
    if status in lifecycle.ALLOWED[action]:
        return
    with pytest.raises(TransitionNotAllowed) as refusal:
        STEPS[action](load(HISTORIES[status]), ANNA)
    message = str(refusal.value)
    assert f"cannot {action} green_button, because it is {lifecycle.readable(status)}" in message
    for possible in lifecycle.possible_actions(status):
        assert possible in message


def test_starting_a_running_test_says_what_can_be_done() -> None:
    with pytest.raises(TransitionNotAllowed) as refusal:
        STEPS["start"](load(RUNNING), ANNA)
    assert str(refusal.value) == (
        "cannot start green_button, because it is Running; what can be done from there: pause, finish, reject"
    )


def test_finished_and_rejected_are_final() -> None:
    assert lifecycle.possible_actions(Status.FINISHED) == ()
    assert lifecycle.possible_actions(Status.REJECTED) == ()


@pytest.mark.parametrize(("history", "action", "fact", "status"), TAKEN)
@pytest.mark.parametrize("actor", [BORIS, SUPERUSER], ids=["manager", "superuser"])
def test_managers_and_superusers_steer(
    history: Sequence[SplitTestFact], action: lifecycle.Action, fact: SplitTestFact, status: Status, actor: Actor
) -> None:
    del status
    assert tuple(STEPS[action](load(history), actor)) == (fact,)


@pytest.mark.parametrize("action", STEPS)
def test_a_strangers_step_on_a_draft_looks_like_a_missing_test(action: lifecycle.Action) -> None:
    with pytest.raises(SplitTestNotFound) as hidden:
        STEPS[action](load(READY), STRANGER)
    with pytest.raises(SplitTestNotFound) as missing:
        STEPS[action](None, STRANGER)
    assert str(hidden.value) == str(missing.value)


@pytest.mark.parametrize("status", [status for status in HISTORIES if status is not Status.DRAFT])
@pytest.mark.parametrize("action", STEPS)
def test_a_strangers_step_on_a_visible_test_names_the_managers(status: Status, action: lifecycle.Action) -> None:
    with pytest.raises(NotAManager, match="ask anna, boris to do it"):
        STEPS[action](load(HISTORIES[status]), STRANGER)


def test_a_discarded_test_is_gone_for_its_manager_too() -> None:
    with pytest.raises(SplitTestNotFound):
        STEPS["publish"](load([*READY, DraftDiscarded(key=KEY)]), ANNA)


@pytest.mark.parametrize(
    ("history", "advice"),
    [
        (DRAFT, "propose settings first"),
        ((*DRAFT, PROPOSED), "wait until the proposed ones are prepared"),
        ((*DRAFT, PROPOSED, FAILED), "the users were away"),
    ],
)
def test_publishing_needs_prepared_settings(history: Sequence[SplitTestFact], advice: str) -> None:
    with pytest.raises(NoCurrentSettings, match=advice):
        STEPS["publish"](load(history), ANNA)


def test_a_test_without_prepared_settings_that_got_in_dev_all_the_same_cannot_start() -> None:
    with pytest.raises(NoCurrentSettings):
        STEPS["start"](load([*DRAFT, SplitTestPublished(key=KEY)]), ANNA)


def test_a_test_can_start_before_its_first_moment() -> None:
    started = lifecycle.start(load(IN_DEV), KEY, ANNA, now=START - timedelta(days=30))
    assert started == (SplitTestStarted(key=KEY),)


def test_a_test_whose_settings_ended_cannot_start_or_resume() -> None:
    with pytest.raises(SettingsEnded, match="propose settings with a later end"):
        lifecycle.start(load(IN_DEV), KEY, ANNA, now=END)
    with pytest.raises(SettingsEnded):
        lifecycle.resume(load(PAUSED), KEY, ANNA, now=END + timedelta(days=1))


def test_a_test_starts_until_the_last_moment_before_its_end() -> None:
    assert lifecycle.start(load(IN_DEV), KEY, ANNA, now=END - timedelta(microseconds=1))


def test_a_settings_group_that_waits_does_not_bar_a_start() -> None:
    waiting = SettingsGroupProposed(
        key=KEY, settings_group=2, starts_at=START, ends_at=END, conditions="[]", filters=(), variants=()
    )
    assert lifecycle.start(load([*IN_DEV, waiting]), KEY, ANNA, now=BEFORE_END)


def test_the_resulting_variant_must_be_a_current_one() -> None:
    with pytest.raises(UnknownVariant, match="choose one of control, green, or reject the test"):
        lifecycle.finish(load(RUNNING), KEY, ANNA, resulting_variant="red", scope="worldwide")


def test_a_result_is_applied_worldwide_or_by_conditions() -> None:
    with pytest.raises(UnknownScope, match="use worldwide or conditions"):
        lifecycle.finish(load(RUNNING), KEY, ANNA, resulting_variant="green", scope="everywhere")


def test_finish_keeps_its_result() -> None:
    finished = load(FINISHED)
    assert finished is not None
    assert finished.result is not None
    assert (finished.result.variant, finished.result.scope) == ("green", "worldwide")


DEPLOYED = CodeDeployed(key=KEY, hit_id="1", occurred_at=BEFORE_END, app="web", host="www1")


def test_the_first_production_hit_in_dev_is_recorded() -> None:
    facts = lifecycle.record_code_deployed(
        load(IN_DEV), KEY, hit_id="1", occurred_at=BEFORE_END, app="web", host="www1"
    )
    assert facts == (DEPLOYED,)


def test_what_a_hit_says_of_its_host_is_recorded_as_far_as_it_can_be_stored() -> None:
    (fact,) = lifecycle.record_code_deployed(
        load(IN_DEV), KEY, hit_id="1", occurred_at=BEFORE_END, app="web\0", host="www\n1"
    )
    assert (fact.app, fact.host) == ("web", "www1")


@pytest.mark.parametrize(
    "history", [(), DRAFT, RUNNING, FINISHED, (*IN_DEV, DEPLOYED), (*IN_DEV, DEPLOYED, SplitTestUnpublished(key=KEY))]
)
def test_other_hits_leave_nothing_to_record(history: Sequence[SplitTestFact]) -> None:
    assert lifecycle.record_code_deployed(load(history), KEY, hit_id="2", occurred_at=BEFORE_END) == ()


@pytest.mark.parametrize(("settings_group", "counts"), [(0, True), (1, False), (2, True), (3, False)])
def test_only_a_hit_of_a_settings_group_of_the_present_life_says_that_the_code_is_deployed(
    settings_group: int, *, counts: bool
) -> None:
    over = (SplitTestUnpublished(key=KEY), DraftDiscarded(key=KEY))
    renumbered = [
        replace(fact, settings_group=2) if isinstance(fact, (SettingsGroupProposed, SettingsGroupPrepared)) else fact
        for fact in IN_DEV
    ]
    second_life = load((*IN_DEV, *over, *renumbered))
    facts = lifecycle.record_code_deployed(
        second_life, KEY, hit_id="1", occurred_at=BEFORE_END, settings_group=settings_group
    )
    assert bool(facts) == counts
