"""QA overrides: given these facts, when this is asked for, then those facts, or a named error and nothing."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain import overriding
from domain.errors import NoCurrentSettings, RuleBroken, SplitTestNotFound, UnknownVariant
from domain.override_errors import (
    MayNotOverride,
    NothingToForget,
    SplitTestIsOver,
    SplitTestsNotDisabled,
    TooManyOverrides,
    WrongEnvironment,
    WrongUnit,
    WrongUntil,
)
from domain.overrides import Disabling, Forced, Overrides, load
from domain.people import Actor
from domain.settings_errors import NaiveMoment
from domain.split_test import load as load_split_test
from events.facts import SplitTestFact
from events.override_facts import (
    ForcedVariantForgotten,
    OverrideFact,
    OverridesExpired,
    SplitTestEnabled,
    SplitTestsDisabled,
    SplitTestsEnabledAgain,
    UnitForgotten,
    VariantForced,
)
from tests.unit.domain.histories import (
    ANNA,
    DRAFT,
    FINISHED,
    IN_DEV,
    KEY,
    PAUSED,
    READY,
    REJECTED,
    RUNNING,
    STRANGER,
    SUPERUSER,
)

QA = Actor(name="vera", may_override=True)
NOW = datetime(2026, 5, 3, 12, tzinfo=UTC)
WEEK = NOW + timedelta(days=7)
UNIT = "user:42"
FORCED = VariantForced(unit=UNIT, environment="devel", key=KEY, variant="green", until=WEEK)
DISABLED = SplitTestsDisabled(unit=UNIT, environment="devel", until=WEEK)
ENABLED = SplitTestEnabled(unit=UNIT, environment="devel", key=KEY)


def force(
    *history: OverrideFact, test: Sequence[SplitTestFact] = RUNNING, actor: Actor = QA, **given: Any
) -> tuple[VariantForced, ...]:
    wanted = {"unit": UNIT, "environment": "devel", "key": KEY, "variant": "green", "until": None} | given
    return overriding.force(load(history), load_split_test(test), actor, now=NOW, **wanted)


def enable(
    *history: OverrideFact, test: Sequence[SplitTestFact] = RUNNING, actor: Actor = QA
) -> tuple[SplitTestEnabled, ...]:
    return overriding.enable(
        load(history), load_split_test(test), actor, unit=UNIT, environment="devel", key=KEY, now=NOW
    )


@pytest.mark.parametrize("test", [IN_DEV, RUNNING, PAUSED])
@pytest.mark.parametrize("variant", ["green", "control", None])
def test_a_unit_is_forced_into_a_variant_or_into_none_for_a_week(
    test: tuple[SplitTestFact, ...], variant: str | None
) -> None:
    assert force(test=test, variant=variant) == (
        VariantForced(unit=UNIT, environment="devel", key=KEY, variant=variant, until=WEEK),
    )


def test_forcing_the_same_again_renews_the_term() -> None:
    later = NOW + timedelta(days=30)
    assert force(FORCED, until=later) == (
        VariantForced(unit=UNIT, environment="devel", key=KEY, variant="green", until=later),
    )


def test_a_manager_of_a_draft_can_force_it_before_others_know_of_it() -> None:
    assert force(test=READY, actor=Actor(name="anna", may_override=True))
    with pytest.raises(SplitTestNotFound):
        force(test=READY)


@pytest.mark.parametrize("unit", ["device:ab-1", "guest:7f", "user:a:b", "user:" + "x" * 200, "user:анна 1"])
def test_units_are_users_devices_and_guests(unit: str) -> None:
    assert force(unit=unit)[0].unit == unit


@pytest.mark.parametrize(
    "unit", ["42", "", "user", "user:", "bot:1", "user: 1", "user:1 ", "user:1\n", "user:\x00", "user:" + "x" * 201]
)
def test_what_is_no_unit_is_refused(unit: str) -> None:
    with pytest.raises(WrongUnit, match="user:42, device:ab-1 or guest:7f3a"):
        force(unit=unit)


@pytest.mark.parametrize(
    ("given", "broken"),
    [
        ({"environment": "staging"}, WrongEnvironment),
        ({"test": ()}, SplitTestNotFound),
        ({"test": FINISHED}, SplitTestIsOver),
        ({"test": REJECTED}, SplitTestIsOver),
        ({"test": DRAFT, "actor": SUPERUSER}, NoCurrentSettings),
        ({"variant": "blue"}, UnknownVariant),
        ({"variant": ""}, UnknownVariant),
        ({"until": NOW}, WrongUntil),
        ({"until": NOW + timedelta(days=367)}, WrongUntil),
        ({"until": NOW.replace(tzinfo=None)}, NaiveMoment),
        ({"actor": ANNA}, MayNotOverride),
    ],
    ids=repr,
)
def test_what_cannot_be_forced_is_refused_by_name(given: dict[str, Any], broken: type[RuleBroken]) -> None:
    with pytest.raises(broken):
        force(**given)


def test_the_refusal_of_a_variant_names_those_there_are() -> None:
    with pytest.raises(UnknownVariant, match="has no variant 'blue'; choose one of control, green, or force no var"):
        force(variant="blue")


def test_a_unit_has_a_bounded_number_of_forced_and_of_enabled_tests() -> None:
    keys = [f"test-{number}" for number in range(overriding.MAX_OF_UNIT)]
    forced = [VariantForced(unit=UNIT, environment="devel", key=key, variant=None, until=WEEK) for key in keys]
    enabled = [SplitTestEnabled(unit=UNIT, environment="devel", key=key) for key in keys]

    with pytest.raises(TooManyOverrides):
        force(*forced)
    with pytest.raises(TooManyOverrides):
        enable(DISABLED, *enabled)
    assert force(*forced[1:])
    assert force(*forced[1:], FORCED)


def test_what_was_forced_is_taken_back_for_one_test_or_for_all() -> None:
    state = load([FORCED, DISABLED])
    place = {"unit": UNIT, "environment": "devel"}

    assert overriding.forget(state, None, QA, **place, key=KEY) == (
        ForcedVariantForgotten(unit=UNIT, environment="devel", key=KEY),
    )
    assert overriding.forget(state, None, QA, **place) == (UnitForgotten(unit=UNIT, environment="devel"),)
    with pytest.raises(NothingToForget, match="nothing of other is forced for user:42 in devel"):
        overriding.forget(state, None, QA, **place, key="other")
    with pytest.raises(NothingToForget):
        overriding.forget(load([FORCED, UnitForgotten(unit=UNIT, environment="devel")]), None, QA, **place)


def test_of_a_test_that_has_become_a_draft_of_others_nothing_is_told_and_it_goes_with_all_the_rest() -> None:
    state, draft = load([FORCED]), load_split_test(DRAFT)
    place = {"unit": UNIT, "environment": "devel"}

    with pytest.raises(NothingToForget, match=f"nothing of {KEY} is forced"):
        overriding.forget(state, draft, QA, **place, key=KEY)
    assert overriding.forget(state, draft, SUPERUSER, **place, key=KEY)
    assert overriding.forget(state, load_split_test(FINISHED), QA, **place, key=KEY)
    assert overriding.forget(state, None, QA, **place) == (UnitForgotten(unit=UNIT, environment="devel"),)


def test_all_tests_are_disabled_for_a_unit_and_one_is_enabled() -> None:
    assert overriding.disable(QA, unit=UNIT, environment="devel", until=None, now=NOW) == (DISABLED,)
    assert enable(DISABLED) == (ENABLED,)
    assert load([DISABLED, ENABLED]) == Overrides(
        unit=UNIT, environment="devel", disabling=Disabling(until=WEEK, enabled=frozenset({KEY}))
    )


def test_disabling_again_forgets_which_tests_were_enabled() -> None:
    assert load([DISABLED, ENABLED, DISABLED]) == load([DISABLED])


def test_nothing_is_enabled_where_nothing_is_disabled_any_more() -> None:
    over = SplitTestsDisabled(unit=UNIT, environment="devel", until=NOW)
    again = SplitTestsEnabledAgain(unit=UNIT, environment="devel")
    for history in ([], [over], [DISABLED, again]):
        with pytest.raises(SplitTestsNotDisabled):
            enable(*history)
    with pytest.raises(SplitTestNotFound):
        enable(DISABLED, test=READY)


def test_all_tests_are_enabled_again_and_what_is_forced_stays() -> None:
    state = load([FORCED, DISABLED])
    [again] = overriding.enable_all(state, QA, unit=UNIT, environment="devel")

    assert load([FORCED, DISABLED, again]) == load([FORCED])
    with pytest.raises(SplitTestsNotDisabled):
        overriding.enable_all(load([FORCED]), QA, unit=UNIT, environment="devel")


@pytest.mark.parametrize(
    "decide",
    [
        lambda who: force(FORCED, actor=who),
        lambda who: enable(DISABLED, actor=who),
        lambda who: overriding.forget(load([FORCED]), None, who, unit=UNIT, environment="devel"),
        lambda who: overriding.disable(who, unit=UNIT, environment="devel", until=None, now=NOW),
        lambda who: overriding.enable_all(load([DISABLED]), who, unit=UNIT, environment="devel"),
    ],
)
def test_only_who_may_override_does(decide: Callable[[Actor], Sequence[OverrideFact]]) -> None:
    assert decide(QA)
    assert decide(SUPERUSER)
    with pytest.raises(MayNotOverride, match="stranger may not override"):
        decide(STRANGER)


def test_what_is_over_expires_and_the_rest_stays() -> None:
    other = VariantForced(unit=UNIT, environment="devel", key="other", variant="x", until=WEEK + timedelta(seconds=1))
    history: list[OverrideFact] = [FORCED, other, DISABLED]
    [expired] = overriding.expire(load(history), now=WEEK)

    assert expired == OverridesExpired(unit=UNIT, environment="devel", keys=(KEY,), disabling=True)
    assert load([*history, expired]) == Overrides(
        unit=UNIT, environment="devel", forced={"other": Forced(variant="x", until=other.until)}
    )
    for nothing in (None, load(history), load([*history, expired])):
        assert overriding.expire(nothing, now=WEEK - timedelta(seconds=1)) == ()


@pytest.mark.parametrize("fact", [FORCED, DISABLED, ENABLED, UnitForgotten(unit=UNIT, environment="devel")], ids=repr)
def test_any_fact_may_come_first(fact: OverrideFact) -> None:
    state = load([fact])
    assert state is not None
    assert (state.unit, state.environment) == (UNIT, "devel")
