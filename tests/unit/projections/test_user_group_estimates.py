"""The read model of user groups' estimates."""

import pytest
from sqlalchemy import Engine

from events import user_group_estimate_facts as facts
from events import user_group_facts
from projections import user_group_estimates, user_groups
from projections.user_group_estimates import UserGroupEstimate
from tests.support.histories import (
    KEY,
    active_group,
    conditions_changed,
    group_created,
    group_estimated,
    shared_with_test,
    whole_story_of_estimates,
)
from tests.support.read_models import ReadModels


@pytest.fixture
def models(sqlite_database: Engine) -> ReadModels:
    return ReadModels(sqlite_database, projections=[user_group_estimates.PROJECTION, user_groups.PROJECTION])


def estimate_in(models: ReadModels) -> UserGroupEstimate | None:
    with models.engine.connect() as connection:
        return user_group_estimates.get(connection, KEY)


def state_in(models: ReadModels) -> tuple[str, int | None, str]:
    found = estimate_in(models)
    assert found is not None
    return found.state, found.users, found.reason


def waiting_in(models: ReadModels) -> list[str]:
    with models.engine.connect() as connection:
        return user_group_estimates.waiting(connection)


def test_without_conditions_nothing_waits(models: ReadModels) -> None:
    models.given(group_created())
    assert (estimate_in(models), waiting_in(models)) == (None, [])


def test_conditions_wait_until_they_are_counted(models: ReadModels) -> None:
    models.given(*active_group("other"), *active_group())
    assert state_in(models) == ("waiting", None, "")
    assert waiting_in(models) == ["other", KEY]
    models.given(group_estimated(shared=(shared_with_test(),), assumed_filters=("platform",)))
    found = estimate_in(models)
    assert found is not None
    assert (found.state, found.users, found.settings_group) == ("counted", 1200, 1)
    assert (found.shared, found.assumed_filters) == ((shared_with_test(),), ("platform",))
    assert found.counted_at is not None
    assert waiting_in(models) == ["other"]


def test_a_failure_keeps_the_numbers_of_the_same_conditions(models: ReadModels) -> None:
    models.given(*active_group(), group_estimated())
    models.given(facts.UserGroupEstimateAsked(key=KEY, settings_group=1))
    assert state_in(models) == ("waiting", 1200, "")
    models.given(facts.UserGroupEstimateFailed(key=KEY, settings_group=1, reason="down"))
    assert state_in(models) == ("failed", 1200, "down")
    models.given(group_estimated(users=7))
    assert state_in(models) == ("counted", 7, "")


def test_numbers_of_other_conditions_are_nobodys(models: ReadModels) -> None:
    models.given(*active_group(), group_estimated(), conditions_changed(settings_group=2))
    assert state_in(models) == ("waiting", None, "")
    models.given(group_estimated(settings_group=1))
    assert state_in(models) == ("waiting", None, "")


def test_a_discarded_one_has_no_estimate(models: ReadModels) -> None:
    models.given(*active_group(), group_estimated(), user_group_facts.UserGroupSwitchedOff(key=KEY))
    models.given(user_group_facts.UserGroupDiscarded(key=KEY), group_estimated())
    assert estimate_in(models) is None


def test_the_changelog_says_what_was_counted_and_a_command_expects_the_version_of_before(models: ReadModels) -> None:
    models.given(*whole_story_of_estimates())
    with models.engine.connect() as connection:
        told = [entry.sentence for entry in user_groups.changelog(connection, KEY)]
        group = user_groups.get(connection, KEY)
    assert told[3:5] == [
        "The users of settings group 1 could not be counted: no users table.",
        "Asked to count the users of settings group 1 anew.",
    ]
    assert told[5] == (
        "Counted settings group 1: at most 1,200 users meet the conditions. It shares 300 users (25 % of ours) with "
        "big_photo and 12 users (1 % of ours) with a test that is still a Draft. Users are counted at most, for no "
        "column holds platform."
    )
    assert group is not None
    assert group.version == 5


def test_the_changelog_does_not_name_a_test_that_has_become_a_draft_since(models: ReadModels) -> None:
    hidden = shared_with_test()
    models.given(*active_group(), group_estimated(shared=(hidden,)))
    with models.engine.connect() as connection:
        named = user_groups.changelog(connection, KEY, visible={hidden.key})
        unnamed = user_groups.changelog(connection, KEY, visible=())
        assert named == user_groups.changelog(connection, KEY)
    assert hidden.key in named[-1].sentence
    assert hidden.key not in str(unnamed)
    assert "a test that is still a Draft" in unnamed[-1].sentence


def test_a_sentence_names_the_tests_that_share_the_most_and_the_changes_beside_it_all_of_them(
    models: ReadModels,
) -> None:
    shared = tuple(shared_with_test(f"test_{number}", 90 - number) for number in range(60))
    models.given(*active_group(), group_estimated(shared=shared))
    with models.engine.connect() as connection:
        told = user_groups.changelog(connection, KEY)[-1]
    assert told.sentence.endswith("86 users (7.17 % of ours) with test_4 and some with 55 other tests.")
    assert len(told.changes) == 61
