from datetime import timedelta

import pytest
from sqlalchemy import Engine

from events import facts
from projections import current_settings
from projections.current_settings import CurrentSettings, PendingSettings
from projections.errors import NoLiveGeneration
from tests.support.histories import (
    CONDITIONS,
    FILTERS,
    JUNE,
    KEY,
    MAY,
    created,
    draft_with_settings,
    prepared,
    proposed,
    published,
    running,
)
from tests.support.read_models import ReadModels


@pytest.fixture
def models(sqlite_database: Engine) -> ReadModels:
    return ReadModels(sqlite_database, projections=[current_settings.PROJECTION])


def settings(models: ReadModels, key: str = KEY) -> CurrentSettings:
    with models.engine.connect() as connection:
        found = current_settings.get(connection, key)
    assert found is not None
    return found


def overlapping(models: ReadModels, starts_in_days: int, ends_in_days: int, key: str = "mine") -> list[str]:
    with models.engine.connect() as connection:
        found = current_settings.overlapping_by_dates(
            connection,
            key=key,
            starts_at=MAY + timedelta(days=starts_in_days),
            ends_at=MAY + timedelta(days=ends_in_days),
        )
    return [each.key for each in found]


def pending(models: ReadModels) -> list[PendingSettings]:
    with models.engine.connect() as connection:
        return current_settings.pending(connection)


def test_reading_before_anything_was_projected_says_to_run_the_projector(models: ReadModels) -> None:
    with models.engine.connect() as connection, pytest.raises(NoLiveGeneration, match="run the projector"):
        current_settings.get(connection, KEY)


def test_a_new_draft_has_no_settings(models: ReadModels) -> None:
    models.given(created(type="mobile"))
    found = settings(models)
    assert (found.status, found.type, found.settings_group, found.variants) == ("draft", "mobile", 0, ())
    assert (found.starts_at, found.ends_at, found.conditions, found.pending_group) == (None, None, "[]", None)


def test_an_unknown_key_has_none(models: ReadModels) -> None:
    models.given(created())
    with models.engine.connect() as connection:
        assert current_settings.get(connection, "unknown") is None


def test_a_proposal_waits_and_the_settings_in_force_stay(models: ReadModels) -> None:
    models.given(*draft_with_settings(), proposed(settings_group=2, ends_at=JUNE + timedelta(days=1)))
    found = settings(models)
    assert (found.settings_group, found.ends_at) == (1, JUNE)
    assert (found.pending_group, found.pending_state) == (2, "proposed")
    assert pending(models) == [PendingSettings(key=KEY, settings_group=2)]


def test_a_prepared_group_becomes_current_with_all_that_was_proposed_and_drawn(models: ReadModels) -> None:
    overlap = facts.Overlap(key="other", settings_group=3, shared_groups=12, shared_users=1000, same_type=True)
    models.given(created(), proposed(), prepared(seed=2**100, overlaps=(overlap,)))
    found = settings(models)
    assert (found.settings_group, found.starts_at, found.ends_at) == (1, MAY, JUNE)
    assert (found.conditions, found.filters) == (CONDITIONS, FILTERS)
    assert [(each.name, each.is_control, each.groups, each.split_groups, each.users) for each in found.variants] == [
        ("control", True, 1200, (1, 3, 5), 300),
        ("red", False, 1200, (2, 4, 2400), 290),
    ]
    assert (found.seed, found.overlaps, found.position) == (2**100, (overlap,), 3)
    assert (found.pending_group, found.pending_state) == (None, "")
    assert pending(models) == []


def test_a_failed_preparation_keeps_its_reason_until_it_is_retried(models: ReadModels) -> None:
    failed = facts.SettingsGroupPreparationFailed(key=KEY, settings_group=1, reason="no users table")
    models.given(created(), proposed(), failed)
    assert (settings(models).pending_state, settings(models).pending_reason) == ("failed", "no users table")
    assert pending(models) == []
    models.given(facts.SettingsGroupPreparationRetried(key=KEY, settings_group=1))
    assert (settings(models).pending_state, settings(models).pending_reason) == ("proposed", "")
    assert pending(models) == [PendingSettings(key=KEY, settings_group=1)]


def test_a_newer_proposal_takes_the_place_of_one_that_waits(models: ReadModels) -> None:
    models.given(created(), proposed(), proposed(settings_group=2))
    assert pending(models) == [PendingSettings(key=KEY, settings_group=2)]
    models.given(prepared(settings_group=1))
    assert settings(models).settings_group == 0, "a superseded group never becomes current"


def test_what_has_waited_longest_is_prepared_first(models: ReadModels) -> None:
    models.given(created("b"), created("a"), proposed("b"), proposed("a"))
    assert [each.key for each in pending(models)] == ["b", "a"]


def test_nothing_waits_for_a_test_that_is_over(models: ReadModels) -> None:
    models.given(*running(), proposed(settings_group=2), facts.SplitTestRejected(key=KEY))
    assert pending(models) == []


def test_the_status_follows_the_life_of_the_test(models: ReadModels) -> None:
    models.given(*running())
    for fact, status in (
        (facts.SplitTestPaused(key=KEY), "paused"),
        (facts.SplitTestResumed(key=KEY), "running"),
        (facts.SplitTestFinished(key=KEY, resulting_variant="red", scope="worldwide"), "finished"),
    ):
        models.given(fact)
        assert settings(models).status == status


def test_a_discarded_draft_is_gone_and_its_key_starts_afresh(models: ReadModels) -> None:
    models.given(*draft_with_settings(), facts.DraftDiscarded(key=KEY))
    with models.engine.connect() as connection:
        assert current_settings.get(connection, KEY) is None
    models.given(created())
    assert settings(models).settings_group == 0


def test_an_edit_of_the_type_is_seen(models: ReadModels) -> None:
    edit = facts.PropertyChange(name="type", before="web", after="server")
    models.given(created(), facts.PropertiesEdited(key=KEY, changes=(edit,)))
    assert settings(models).type == "server"


def test_dates_overlap_as_half_open_intervals(models: ReadModels) -> None:
    models.given(*running("other"))
    assert overlapping(models, -5, 0) == [], "ends as the other begins"
    assert overlapping(models, -5, 1) == ["other"]
    assert overlapping(models, 30, 40) == ["other"]
    assert overlapping(models, 31, 40) == [], "begins as the other ends"
    assert overlapping(models, 10, 11) == ["other"]


def test_a_test_does_not_overlap_with_itself_nor_with_tests_that_are_over_or_unprepared(models: ReadModels) -> None:
    models.given(*running("over"), facts.SplitTestRejected(key="over"), created("bare"), proposed("bare"))
    models.given(*draft_with_settings("draft"), *published("in_dev"), *running("mine"))
    assert overlapping(models, 0, 1) == ["draft", "in_dev"]


def test_what_waits_to_be_prepared_can_be_read_as_it_was_proposed(models: ReadModels) -> None:
    models.given(created(), proposed(), prepared())
    with models.engine.connect() as connection:
        assert current_settings.pending_proposal(connection, KEY) is None
    models.given(proposed(settings_group=2, ends_at=JUNE + timedelta(days=1)))
    with models.engine.connect() as connection:
        waiting = current_settings.pending_proposal(connection, KEY)
    assert waiting is not None
    assert (waiting.settings_group, waiting.ends_at) == (2, JUNE + timedelta(days=1))


def test_the_variants_of_all_tests_that_are_not_over_are_read_at_once(models: ReadModels) -> None:
    models.given(*running(), created("bare"), *running("over"), facts.SplitTestRejected(key="over"))
    with models.engine.connect() as connection:
        assert current_settings.variants_of_open_tests(connection) == {KEY: ("control", "red"), "bare": ()}
