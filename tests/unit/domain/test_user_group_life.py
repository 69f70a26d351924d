"""User groups: given these facts, when this is asked for, then those facts, or a named error and nothing."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from domain import user_group_life
from domain.errors import (
    KeyTaken,
    LastManager,
    NameMissing,
    NoConditions,
    NotAManager,
    NothingChanges,
    RuleBroken,
    TransitionNotAllowed,
    UserGroupNotFound,
    WrongKey,
    WrongProperty,
)
from domain.people import Actor
from domain.settings_errors import ConditionsTooLong
from domain.user_group import UserGroup, UserGroupStatus, load
from domain.user_group_life import NewUserGroup, ProposedConditions, read_conditions
from events.shared_facts import FilterUsed, PropertyChange
from events.user_group_facts import (
    UserGroupActivated,
    UserGroupConditionsChanged,
    UserGroupCreated,
    UserGroupDiscarded,
    UserGroupEdited,
    UserGroupFact,
    UserGroupManagersChanged,
    UserGroupSwitchedOff,
)
from tests.unit.domain.histories import ANNA, BORIS, STRANGER, SUPERUSER
from usersplit.conditions import Catalog, Filter, UnknownFilter, parse

KEY = "premium_users"
CATALOG = Catalog([Filter("country_id", "integer", "user")])
TREE = [{"filter": "country_id", "operator": "in", "value": ["50"]}]
TEXT = '[{"filter": "country_id", "operator": "in", "value": ["50"]}]'
FILTERS = (FilterUsed(name="country_id", type="integer", scope="user"),)

CREATED = UserGroupCreated(key=KEY, name="Premium", author="anna", managers=("anna", "boris"))
CONDITIONS = UserGroupConditionsChanged(key=KEY, settings_group=1, conditions=TEXT, filters=FILTERS)
DRAFT: tuple[UserGroupFact, ...] = (CREATED, CONDITIONS)
ACTIVE: tuple[UserGroupFact, ...] = (*DRAFT, UserGroupActivated(key=KEY))
OFF: tuple[UserGroupFact, ...] = (*ACTIVE, UserGroupSwitchedOff(key=KEY))
DISCARDED: tuple[UserGroupFact, ...] = (*OFF, UserGroupDiscarded(key=KEY))
HISTORIES = {"draft": DRAFT, "active": ACTIVE, "off": OFF, "discarded": DISCARDED}

Decide = Callable[[UserGroup | None, Actor], Sequence[UserGroupFact]]
STEPS: dict[str, tuple[Decide, UserGroupFact]] = {
    "activate": (lambda state, who: user_group_life.activate(state, KEY, who), UserGroupActivated(key=KEY)),
    "switch off": (lambda state, who: user_group_life.switch_off(state, KEY, who), UserGroupSwitchedOff(key=KEY)),
    "discard": (lambda state, who: user_group_life.discard(state, KEY, who), UserGroupDiscarded(key=KEY)),
}
EDITS: dict[str, Decide] = {
    "edit": lambda state, who: user_group_life.edit(state, KEY, who, {"name": "Payers"}),
    "change managers": lambda state, who: user_group_life.change_managers(state, KEY, who, add=["clara"]),
    "change conditions": lambda state, who: user_group_life.change_conditions(
        state, KEY, who, read_conditions([], CATALOG)
    ),
}


def test_somebody_creates_a_draft_and_is_the_first_of_its_managers() -> None:
    wanted = NewUserGroup(key=KEY, name=" Premium ", managers=["boris", "anna"])

    assert user_group_life.create(None, ANNA, wanted) == (CREATED,)


@pytest.mark.parametrize("history", [DRAFT, ACTIVE, OFF])
def test_a_key_is_taken_whoever_asks(history: tuple[UserGroupFact, ...]) -> None:
    with pytest.raises(KeyTaken):
        user_group_life.create(load(history), STRANGER, NewUserGroup(key=KEY, name="Mine"))


@pytest.mark.parametrize(
    ("key", "name", "broken"), [("a/b", "Premium", WrongKey), ("~x", "Premium", WrongKey), (KEY, " ", NameMissing)]
)
def test_what_cannot_be_created_is_refused_by_name(key: str, name: str, broken: type[RuleBroken]) -> None:
    with pytest.raises(broken):
        user_group_life.create(None, ANNA, NewUserGroup(key=key, name=name))


def test_a_discarded_key_begins_a_new_life_whose_settings_groups_go_on_counting() -> None:
    again = load((*DISCARDED, CREATED))

    assert again == UserGroup(key=KEY, name="Premium", author="anna", managers=("anna", "boris"), last_settings_group=1)
    [changed] = user_group_life.change_conditions(again, KEY, ANNA, read_conditions(TREE, CATALOG))
    assert changed.settings_group == 2


@pytest.mark.parametrize("status", HISTORIES)
@pytest.mark.parametrize("action", STEPS)
def test_steps_go_where_the_lifecycle_goes_and_nowhere_else(status: str, action: str) -> None:
    decide, fact = STEPS[action]
    state = load(HISTORIES[status])
    allowed = {"activate": {"draft", "off"}, "switch off": {"active"}, "discard": {"draft", "off"}}[action]

    if status in allowed:
        assert decide(state, BORIS) == (fact,)
    else:
        with pytest.raises(UserGroupNotFound if status == "discarded" else TransitionNotAllowed):
            decide(state, BORIS)


def test_the_refusal_of_a_step_says_what_can_be_done() -> None:
    with pytest.raises(TransitionNotAllowed, match=r"cannot discard premium_users, because it is Active; .*switch off"):
        user_group_life.discard(load(ACTIVE), KEY, ANNA)


def test_without_conditions_it_cannot_be_active() -> None:
    with pytest.raises(NoConditions, match="propose them first"):
        user_group_life.activate(load((CREATED,)), KEY, ANNA)


def test_new_conditions_are_a_new_settings_group_that_keeps_the_tree_as_it_was_given() -> None:
    assert user_group_life.change_conditions(load((CREATED,)), KEY, ANNA, read_conditions(TREE, CATALOG)) == (
        CONDITIONS,
    )
    [everybody] = user_group_life.change_conditions(load(ACTIVE), KEY, ANNA, read_conditions([], CATALOG))
    assert (everybody.settings_group, everybody.conditions, everybody.filters) == (2, "[]", ())


def test_the_same_conditions_in_other_white_space_change_nothing() -> None:
    proposed = ProposedConditions(conditions=parse(TREE, CATALOG), text=TEXT.replace(" ", ""))

    with pytest.raises(NothingChanges):
        user_group_life.change_conditions(load(OFF), KEY, ANNA, proposed)


def test_conditions_that_cannot_be_evaluated_or_laid_out_are_refused() -> None:
    with pytest.raises(UnknownFilter):
        read_conditions([{"filter": "gone", "operator": "eq", "value": "1"}], CATALOG)
    with pytest.raises(ConditionsTooLong):
        ProposedConditions(conditions=parse([], CATALOG), text=" " * (1024 * 1024 + 1))


def test_an_edit_records_what_is_different_and_refuses_what_is_not() -> None:
    state = load(ACTIVE)

    assert user_group_life.edit(state, KEY, ANNA, {"name": "Premium", "description": "Who pays"}) == (
        UserGroupEdited(key=KEY, changes=(PropertyChange(name="description", before="", after="Who pays"),)),
    )
    for changes, broken in (({"name": "Premium"}, NothingChanges), ({"type": "web"}, WrongProperty)):
        with pytest.raises(broken):
            user_group_life.edit(state, KEY, ANNA, changes)


def test_the_circle_of_managers_changes_and_is_never_empty() -> None:
    assert user_group_life.change_managers(load(DRAFT), KEY, BORIS, add=["clara"], remove=["anna"]) == (
        UserGroupManagersChanged(key=KEY, added=("clara",), removed=("anna",), managers=("boris", "clara")),
    )
    with pytest.raises(LastManager):
        user_group_life.change_managers(load(DRAFT), KEY, BORIS, remove=["anna", "boris"])


@pytest.mark.parametrize("decide", [*EDITS.values(), *(step for step, _ in STEPS.values())])
def test_a_strangers_draft_does_not_exist_and_an_active_one_is_not_theirs(decide: Decide) -> None:
    with pytest.raises(UserGroupNotFound):
        decide(load(DRAFT), STRANGER)
    with pytest.raises(UserGroupNotFound):
        decide(None, SUPERUSER)
    with pytest.raises(NotAManager, match="ask anna, boris"):
        decide(load(ACTIVE), STRANGER)


@pytest.mark.parametrize("decide", EDITS.values(), ids=EDITS)
@pytest.mark.parametrize("status", ["draft", "active", "off"])
def test_edits_are_possible_in_every_status_for_superusers_too(decide: Decide, status: str) -> None:
    assert decide(load(HISTORIES[status]), SUPERUSER)


def test_who_left_the_circle_still_sees_what_they_wrote() -> None:
    left = UserGroupManagersChanged(key=KEY, added=(), removed=("anna",), managers=("boris",))
    state = load((*DRAFT, left))

    assert user_group_life.require_visible(state, KEY, ANNA) is state
    with pytest.raises(NotAManager):
        user_group_life.discard(state, KEY, ANNA)


@pytest.mark.parametrize(
    "fact", [*DRAFT, *ACTIVE[2:], *OFF[3:], *DISCARDED[4:], UserGroupEdited(key=KEY, changes=())], ids=repr
)
def test_any_fact_may_come_first(fact: Any) -> None:
    state = load([fact])
    assert state is not None
    assert state.key == KEY
    assert isinstance(state.status, UserGroupStatus)
