"""Estimates of user groups: what waits to be counted, and what may be recorded."""

from collections.abc import Sequence

import pytest

from domain import user_group, user_group_estimate
from domain.errors import EstimateSuperseded, NoConditions, NotAManager, UserGroupNotFound
from domain.user_group import UserGroup
from domain.user_group_estimate import GroupEstimate
from events.user_group_estimate_facts import (
    UserGroupEstimateAsked,
    UserGroupEstimated,
    UserGroupEstimateFact,
    UserGroupEstimateFailed,
)
from events.user_group_facts import (
    UserGroupActivated,
    UserGroupConditionsChanged,
    UserGroupCreated,
    UserGroupDiscarded,
    UserGroupFact,
)
from tests.unit.domain.histories import ANNA, STRANGER

KEY = "premium_users"
CREATED = UserGroupCreated(key=KEY, name="Premium", author="anna", managers=("anna",))
FIRST = UserGroupConditionsChanged(key=KEY, settings_group=1, conditions="[]", filters=())
SECOND = UserGroupConditionsChanged(key=KEY, settings_group=2, conditions="[]", filters=())
ASKED = UserGroupEstimateAsked(key=KEY, settings_group=1)
COUNTED = UserGroupEstimated(key=KEY, settings_group=1, as_of_position=2, users=12)
FAILED = UserGroupEstimateFailed(key=KEY, settings_group=1, reason="down")


def given(
    group: Sequence[UserGroupFact], estimates: Sequence[UserGroupEstimateFact] = ()
) -> tuple[UserGroup | None, GroupEstimate | None]:
    return user_group.load(group), user_group_estimate.load(estimates)


@pytest.mark.parametrize(
    ("group", "estimates", "waiting"),
    [
        ((), (), 0),
        ((CREATED,), (), 0),
        ((CREATED, FIRST), (), 1),
        ((CREATED, FIRST), (COUNTED,), 0),
        ((CREATED, FIRST), (FAILED,), 0),
        ((CREATED, FIRST), (COUNTED, ASKED), 1),
        ((CREATED, FIRST), (FAILED, ASKED, COUNTED), 0),
        ((CREATED, FIRST, SECOND), (COUNTED,), 2),
        ((CREATED, FIRST, SECOND), (ASKED,), 2),
        ((CREATED, FIRST, UserGroupDiscarded(key=KEY)), (ASKED,), 0),
    ],
)
def test_new_conditions_and_those_that_somebody_asked_for_wait_to_be_counted(
    group: Sequence[UserGroupFact], estimates: Sequence[UserGroupEstimateFact], waiting: int
) -> None:
    assert user_group_estimate.waiting(*given(group, estimates)) == waiting


def test_what_was_counted_is_recorded() -> None:
    group, estimate = given((CREATED, FIRST))
    facts = user_group_estimate.estimated(
        group, estimate, KEY, settings_group=1, as_of_position=2, users=12, shared=(), assumed_filters=()
    )
    assert facts == (COUNTED,)


def test_a_failure_is_recorded_with_its_reason() -> None:
    group, estimate = given((CREATED, FIRST))
    assert user_group_estimate.estimate_failed(group, estimate, KEY, settings_group=1, reason=" down ") == (FAILED,)


@pytest.mark.parametrize("history", [(CREATED, FIRST, SECOND), (CREATED, FIRST, UserGroupDiscarded(key=KEY)), ()])
def test_what_does_not_wait_any_more_is_not_recorded(history: Sequence[UserGroupFact]) -> None:
    group, estimate = given(history)
    with pytest.raises(EstimateSuperseded):
        user_group_estimate.estimate_failed(group, estimate, KEY, settings_group=1, reason="down")
    with pytest.raises(EstimateSuperseded):
        user_group_estimate.estimated(
            group, estimate, KEY, settings_group=1, as_of_position=2, users=12, shared=(), assumed_filters=()
        )


def test_a_manager_asks_to_count_anew_and_nobody_else() -> None:
    group, _ = given((CREATED, FIRST, UserGroupActivated(key=KEY)))
    assert user_group_estimate.ask(group, KEY, ANNA) == (ASKED,)
    with pytest.raises(NotAManager):
        user_group_estimate.ask(group, KEY, STRANGER)


def test_a_draft_of_others_is_not_there_to_be_counted() -> None:
    group, _ = given((CREATED, FIRST))
    with pytest.raises(UserGroupNotFound):
        user_group_estimate.ask(group, KEY, STRANGER)


def test_without_conditions_there_is_nobody_to_count() -> None:
    group, _ = given((CREATED,))
    with pytest.raises(NoConditions):
        user_group_estimate.ask(group, KEY, ANNA)
