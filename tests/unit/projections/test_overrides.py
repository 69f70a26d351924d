"""The read model of QA overrides: what is forced and by whom, and the one document that servers get."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import Engine

from events import facts, override_facts
from events.override_facts import ForcedVariantForgotten, OverridesExpired, UnitForgotten
from projections import overrides
from projections.overrides import DisabledUnit, DueOverrides, ForcedVariant
from tests.support.histories import (
    JUNE,
    KEY,
    MAY,
    any_history,
    created,
    disabled,
    draft_with_settings,
    enabled,
    forced,
    prepared,
    proposed,
    published,
    running,
)
from tests.support.read_models import BEGINNING, ReadModels, forget_everything

NOTHING: dict[str, Any] = {
    "production": {"forced": {}, "disabled": {}},
    "devel": {"forced": {}, "disabled": {}},
}
FINISHED = facts.SplitTestFinished(key=KEY, resulting_variant="red", scope="worldwide")
PLACE: dict[str, Any] = {"unit": "user:42", "environment": "devel"}


@pytest.fixture
def models(sqlite_database: Engine) -> ReadModels:
    return ReadModels(sqlite_database, projections=[overrides.PROJECTION])


def environments(models: ReadModels) -> dict[str, Any]:
    with models.engine.connect() as connection:
        document = overrides.document(connection)
    if document is None:
        return NOTHING
    fields = json.loads(document.document)
    assert (fields["format"], fields["kind"], fields["key"]) == (1, "overrides", "~overrides")
    assert document.position == fields["position"]
    return dict(fields["environments"])


def position(models: ReadModels) -> int:
    with models.engine.connect() as connection:
        document = overrides.document(connection)
    return document.position if document else 0


def forced_in(models: ReadModels) -> list[ForcedVariant]:
    with models.engine.connect() as connection:
        return overrides.forced(connection)


def test_the_document_is_what_the_guide_shows(models: ReadModels) -> None:
    models.given(
        *running(),
        *running("big_photo"),
        forced(None, unit="device:ab-1", environment="production"),
        forced("red", environment="production"),
        forced("control", key="big_photo", environment="production"),
        disabled("user:43", "production"),
        enabled(KEY, "user:43", "production"),
    )

    with models.engine.connect() as connection:
        document = overrides.document(connection)
    assert document is not None
    assert (document.key, document.position) == ("~overrides", 17)
    assert document.document == (
        '{"format":1,"kind":"overrides","key":"~overrides","position":17,"environments":{"production":{"forced":'
        '{"device:ab-1":{"green_button":null},"user:42":{"big_photo":"control","green_button":"red"}},'
        '"disabled":{"user:43":{"enabled":["green_button"]}}},"devel":{"forced":{},"disabled":{}}}}'
    )


def test_before_the_first_override_there_is_no_document_and_after_the_last_an_empty_one(models: ReadModels) -> None:
    models.given(*running())
    assert position(models) == 0

    models.given(forced(), UnitForgotten(**PLACE))
    assert environments(models) == NOTHING
    assert position(models) == 8


def test_servers_are_not_told_of_a_draft_until_it_is_published(models: ReadModels) -> None:
    models.given(*draft_with_settings(), forced(), disabled("user:43"), enabled(unit="user:43"))
    assert environments(models)["devel"] == {"forced": {}, "disabled": {"user:43": {"enabled": []}}}
    assert [each.in_force for each in forced_in(models)] == [False]

    models.given(facts.SplitTestPublished(key=KEY))
    assert environments(models)["devel"] == {
        "forced": {"user:42": {KEY: "red"}},
        "disabled": {"user:43": {"enabled": [KEY]}},
    }
    assert position(models) == 7

    models.given(facts.SplitTestUnpublished(key=KEY))
    assert environments(models)["devel"]["forced"] == {}


def test_servers_are_not_told_of_a_test_that_nobody_has_created(models: ReadModels) -> None:
    models.given(disabled(), enabled(), prepared())
    assert environments(models)["devel"]["disabled"] == {"user:42": {"enabled": []}}


@pytest.mark.parametrize("over", [FINISHED, facts.SplitTestRejected(key=KEY)], ids=lambda fact: type(fact).__name__)
def test_when_a_test_is_over_what_was_forced_is_dropped_and_what_is_enabled_stays(
    models: ReadModels, over: Any
) -> None:
    models.given(*running(), forced(), disabled("user:43"), enabled(unit="user:43"), over)

    assert environments(models)["devel"] == {"forced": {}, "disabled": {"user:43": {"enabled": [KEY]}}}
    assert forced_in(models) == []


def test_an_override_that_was_decided_while_its_test_ended_is_dropped_too(models: ReadModels) -> None:
    models.given(*running(), forced(), FINISHED, forced("control"))

    assert forced_in(models) == []
    assert position(models) == 8


def test_a_discarded_test_takes_all_with_it_and_a_new_one_of_its_key_begins_without(models: ReadModels) -> None:
    models.given(*published(), forced(), disabled("user:43"), enabled(unit="user:43"))
    models.given(facts.SplitTestUnpublished(key=KEY), facts.DraftDiscarded(key=KEY), *published())

    assert environments(models)["devel"] == {"forced": {}, "disabled": {"user:43": {"enabled": []}}}
    assert forced_in(models) == []


def test_a_variant_that_the_test_has_no_more_is_passed_over_until_it_comes_back(models: ReadModels) -> None:
    models.given(*running(), forced(), forced(None, unit="user:43"))
    blue = (facts.PreparedVariant(name="blue", split_groups=(1,)),)
    models.given(proposed(settings_group=2), prepared(settings_group=2, variants=blue))
    assert environments(models)["devel"]["forced"] == {"user:43": {KEY: None}}
    assert [(each.unit, each.in_force) for each in forced_in(models)] == [("user:42", False), ("user:43", True)]

    models.given(proposed(settings_group=3), prepared(settings_group=3))
    assert environments(models)["devel"]["forced"] == {"user:42": {KEY: "red"}, "user:43": {KEY: None}}


def test_disabling_again_begins_anew_and_forgetting_one_leaves_the_others(models: ReadModels) -> None:
    models.given(*running(), *running("big_photo"), forced(), forced("control", key="big_photo"))
    models.given(disabled(), enabled(), disabled(), ForcedVariantForgotten(key=KEY, **PLACE))

    assert environments(models)["devel"] == {
        "forced": {"user:42": {"big_photo": "control"}},
        "disabled": {"user:42": {"enabled": []}},
    }


def test_a_fact_that_changes_nothing_for_servers_leaves_the_position(models: ReadModels) -> None:
    models.given(*running(), forced(until=MAY))
    models.given(forced(until=JUNE), facts.SplitTestPaused(key=KEY), facts.SplitTestResumed(key=KEY))

    assert position(models) == 7
    [row] = forced_in(models)
    assert row == ForcedVariant(
        unit="user:42",
        environment="devel",
        key=KEY,
        variant="red",
        until=JUNE,
        actor="anna",
        at=row.at,
        test_status="running",
        in_force=True,
    )
    assert row.at > BEGINNING


def test_lists_can_be_narrowed(models: ReadModels) -> None:
    models.given(*running(), forced(), forced(unit="guest:1", environment="production"), disabled(), enabled())

    with models.engine.connect() as connection:
        assert [each.unit for each in overrides.forced(connection)] == ["guest:1", "user:42"]
        assert [each.unit for each in overrides.forced(connection, environment="devel")] == ["user:42"]
        assert [each.unit for each in overrides.forced(connection, unit="guest:1", key=KEY)] == ["guest:1"]
        assert overrides.forced(connection, key="other") == []
        [unit] = overrides.disabled(connection, unit="user:42")
        assert overrides.disabled(connection, environment="production") == []
        assert overrides.count(connection) == 3
    assert unit == DisabledUnit(
        unit="user:42", environment="devel", enabled=(KEY,), until=JUNE, actor="anna", at=unit.at
    )


def test_what_has_ended_is_due_until_it_is_taken_out(models: ReadModels) -> None:
    models.given(*running(), forced(until=JUNE), disabled("guest:1", until=MAY))

    with models.engine.connect() as connection:
        assert overrides.due(connection, now=BEGINNING) == [
            DueOverrides(unit="guest:1", environment="devel", ended_at=MAY)
        ]
        assert [each.unit for each in overrides.due(connection, now=JUNE)] == ["guest:1", "user:42"]
        assert [each.unit for each in overrides.due(connection, now=JUNE, limit=1)] == ["guest:1"]
    models.given(OverridesExpired(keys=(KEY,), **PLACE))
    with models.engine.connect() as connection:
        assert [each.unit for each in overrides.due(connection, now=JUNE)] == ["guest:1"]


def naive(history: Sequence[Any]) -> dict[str, Any]:  # noqa: C901 - plain on purpose
    """What servers should be told after `history`, by the plainest code that says it."""
    status: dict[str, str] = {}
    variants: dict[str, list[str]] = {}
    forced_by: dict[tuple[str, str], dict[str, str | None]] = {}
    enabled_by: dict[tuple[str, str], set[str]] = {}
    for fact in history:
        if isinstance(fact, facts.SettingsGroupPrepared):
            variants[fact.key] = [variant.name for variant in fact.variants]
        elif type(fact) in STATUSES:
            status[fact.key] = STATUSES[type(fact)]
            if status[fact.key] in {"finished", "rejected", "discarded"}:
                for tests in forced_by.values():
                    tests.pop(fact.key, None)
            if status[fact.key] == "discarded":
                variants[fact.key] = []
                for some in enabled_by.values():
                    some.discard(fact.key)
        elif isinstance(fact, facts.OverrideFact):
            _override(fact, status, forced_by, enabled_by)
    told = json.loads(json.dumps(NOTHING))
    for (environment, unit), tests in forced_by.items():
        shown = {
            key: variant
            for key, variant in tests.items()
            if status.get(key) in {"in_dev", "running", "paused"} and variant in [None, *variants.get(key, [])]
        }
        if shown:
            told[environment]["forced"][unit] = shown
    for (environment, unit), some in enabled_by.items():
        seen = [key for key in sorted(some) if status.get(key, "draft") not in {"draft", "discarded"}]
        told[environment]["disabled"][unit] = {"enabled": seen}
    return dict(told)


STATUSES = {
    facts.SplitTestCreated: "draft",
    facts.SplitTestPublished: "in_dev",
    facts.SplitTestUnpublished: "draft",
    facts.DraftDiscarded: "discarded",
    facts.SplitTestStarted: "running",
    facts.SplitTestPaused: "paused",
    facts.SplitTestResumed: "running",
    facts.SplitTestFinished: "finished",
    facts.SplitTestRejected: "rejected",
}


def _override(  # noqa: C901 - a case a fact
    fact: facts.OverrideFact,
    status: dict[str, str],
    forced_by: dict[tuple[str, str], dict[str, str | None]],
    enabled_by: dict[tuple[str, str], set[str]],
) -> None:
    place = (fact.environment, fact.unit)
    tests = forced_by.setdefault(place, {})
    match fact:
        case override_facts.VariantForced():
            tests[fact.key] = fact.variant
            if status.get(fact.key) in {"finished", "rejected", "discarded"}:
                del tests[fact.key]
        case override_facts.ForcedVariantForgotten():
            tests.pop(fact.key, None)
        case override_facts.SplitTestsDisabled():
            enabled_by[place] = set()
        case override_facts.SplitTestEnabled():
            if place in enabled_by and status.get(fact.key) != "discarded":
                enabled_by[place].add(fact.key)
        case override_facts.SplitTestsEnabledAgain():
            enabled_by.pop(place, None)
        case override_facts.UnitForgotten():
            tests.clear()
            enabled_by.pop(place, None)
        case override_facts.OverridesExpired():
            for key in fact.keys:
                tests.pop(key, None)
            if fact.disabling:
                enabled_by.pop(place, None)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(any_history)
def test_servers_are_told_what_the_plainest_code_would_tell_them(sqlite_database: Engine, history: list[Any]) -> None:
    forget_everything(sqlite_database, [overrides.PROJECTION])
    models = ReadModels(sqlite_database, projections=[overrides.PROJECTION])
    models.given(*history)

    assert environments(models) == naive(history)


def test_a_test_that_nobody_overrides_costs_servers_nothing(models: ReadModels) -> None:
    models.given(*running(), forced(key=KEY))
    before = position(models)
    models.given(created("other"), *running("big_photo"))

    assert position(models) == before
