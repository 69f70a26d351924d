from datetime import timedelta

import pytest
from sqlalchemy import Engine

from events import facts
from projections import changelog
from projections.changelog import ChangelogEntry
from tests.support.histories import (
    JUNE,
    KEY,
    code_deployed,
    created,
    prepared,
    proposed,
    published,
    running,
    whole_life,
)
from tests.support.read_models import BEGINNING, ReadModels


@pytest.fixture
def models(sqlite_database: Engine) -> ReadModels:
    return ReadModels(sqlite_database, projections=[changelog.PROJECTION])


def entries(models: ReadModels, key: str = KEY, *, limit: int = 200, after: int = 0) -> list[ChangelogEntry]:
    with models.engine.connect() as connection:
        return changelog.entries(connection, key, limit=limit, after=after)


def last(models: ReadModels) -> ChangelogEntry:
    return entries(models)[-1]


def test_an_entry_says_who_when_and_what(models: ReadModels) -> None:
    models.given(created(issue_key="SHOP-1"), actor="anna")
    assert entries(models) == [
        ChangelogEntry(
            position=1,
            at=BEGINNING + timedelta(minutes=1),
            actor="anna",
            key=KEY,
            sentence="Created the Draft “Green button” of type web.",
            changes=(
                ("status", "", "Draft"),
                ("name", "", "Green button"),
                ("type", "", "web"),
                ("issue key", "", "SHOP-1"),
                ("managers", "", "anna"),
            ),
        )
    ]


def test_an_edit_shows_every_property_before_and_after(models: ReadModels) -> None:
    changes = (
        facts.PropertyChange(name="name", before="Green button", after="Blue button"),
        facts.PropertyChange(name="issue_key", before="", after="SHOP-1"),
    )
    models.given(created(), facts.PropertiesEdited(key=KEY, changes=changes))
    assert last(models).sentence == "Edited the properties: name Green button → Blue button; issue key (none) → SHOP-1."
    assert last(models).changes == (("name", "Green button", "Blue button"), ("issue key", "", "SHOP-1"))


def test_a_long_value_is_cut_in_the_sentence_and_whole_in_the_changes(models: ReadModels) -> None:
    change = facts.PropertyChange(name="description", before="", after="long\n" * 1000)
    models.given(created(), facts.PropertiesEdited(key=KEY, changes=(change,)))
    assert len(last(models).sentence) < 200
    assert last(models).changes == (("description", "", "long\n" * 1000),)


def test_managers_that_come_and_go_are_named(models: ReadModels) -> None:
    models.given(
        created(), facts.ManagersChanged(key=KEY, added=("ivan", "olga"), removed=("anna",), managers=("ivan", "olga"))
    )
    assert last(models).sentence == "Changed the managers: added ivan, olga and removed anna."
    assert last(models).changes == (("managers", "anna", "ivan, olga"),)


def test_the_first_proposal_is_summed_up(models: ReadModels) -> None:
    models.given(created(), proposed())
    assert last(models).sentence == (
        "Proposed settings group 1: from 2026-05-01 00:00 UTC until 2026-06-01 00:00 UTC, "
        "for is_test_user = Yes; control 50 % (control), red 50 %."
    )
    assert ("end", "", "2026-06-01 00:00 UTC") in last(models).changes


def test_a_further_proposal_shows_what_differs_from_the_one_before(models: ReadModels) -> None:
    variants = (
        facts.ProposedVariant(name="control", groups=960, is_control=True),
        facts.ProposedVariant(name="blue", groups=80),
    )
    models.given(
        created(),
        proposed(),
        prepared(),
        proposed(settings_group=2, ends_at=JUNE + timedelta(hours=36), conditions="[]", filters=(), variants=variants),
    )
    assert last(models).changes == (
        ("end", "2026-06-01 00:00 UTC", "2026-06-02 12:00 UTC"),
        ("conditions", "is_test_user = Yes", "everybody"),
        ("variant control", "50 % (control)", "40 % (control)"),
        ("variant blue", "", "3.333 %"),
        ("variant red", "50 %", ""),
    )
    assert last(models).sentence.startswith("Proposed settings group 2. Against settings group 1: end 2026-06-01")
    assert "variant blue (none) → 3.333 %" in last(models).sentence


def test_conditions_that_todays_rules_refuse_are_shown_as_json(models: ReadModels) -> None:
    models.given(created(), proposed(conditions='[ {"filter": "gone"} ]', filters=()))
    assert ("conditions", "", '[{"filter":"gone"}]') in last(models).changes


def test_preparation_tells_split_groups_estimate_and_overlaps(models: ReadModels) -> None:
    overlaps = (
        facts.Overlap(
            key="other", settings_group=1, shared_groups=3, shared_users=59, same_type=True, their_users=1_000_000
        ),
        facts.Overlap(key="", settings_group=0, shared_groups=2, shared_users=1, is_upper_bound=True),
        facts.Overlap(key="third", settings_group=2, shared_groups=1),
    )
    models.given(created(), proposed(), prepared(overlaps=overlaps))
    assert last(models).sentence == (
        "Settings group 1 is prepared and is now the current one. control owns 3 split groups with 300 users and red "
        "owns 3 split groups with 290 users. It shares 3 split groups and 59 users (10 % of ours, 0.0059 % of theirs, "
        "same type) with other, 2 split groups and at most 1 users (0.169 % of ours) with a test that is still a Draft "
        "and 1 split group with third."
    )
    assert last(models).changes[0] == ("current settings group", "", "1")
    assert ("overlap with third", "", "1 split group") in last(models).changes


def test_what_the_users_of_a_variant_can_show_is_told_and_whether_there_may_be_fewer(models: ReadModels) -> None:
    variants = (
        facts.PreparedVariant(name="control", split_groups=(1,), users=14_751),
        facts.PreparedVariant(name="red", split_groups=(2,), users=14_751, smallest_effect=0.01),
    )
    models.given(created(), proposed(), prepared(variants=variants, base_rate=0.1, assumed_filters=("app", "platform")))
    assert ("smallest effect of red", "", "1 points (10 % → 11 %)") in last(models).changes
    assert last(models).sentence.endswith("Users are counted at most, for no column holds app and platform.")


def test_a_later_preparation_tells_what_it_takes_the_place_of(models: ReadModels) -> None:
    owns_more = (facts.PreparedVariant(name="control", split_groups=(1, 2)),)
    models.given(*published(), proposed(settings_group=2), prepared(settings_group=2, variants=owns_more))
    assert "is now the current one instead of settings group 1. control owns 2 split groups." in last(models).sentence
    assert last(models).changes == (
        ("current settings group", "1", "2"),
        ("split groups of control", "3", "2"),
        ("split groups of red", "3", ""),
    )


def test_a_failed_preparation_tells_its_reason_and_what_stays(models: ReadModels) -> None:
    failed = facts.SettingsGroupPreparationFailed(key=KEY, settings_group=1, reason="There are too few groups.")
    models.given(created(), proposed(), failed)
    assert last(models).sentence == (
        "Settings group 1 could not be prepared: There are too few groups; none is in force."
    )
    models.given(facts.SettingsGroupPreparationRetried(key=KEY, settings_group=1))
    assert last(models).sentence == "Asked to prepare settings group 1 once more."


def test_deployed_code_tells_where_it_was_seen(models: ReadModels) -> None:
    models.given(*published(), code_deployed())
    assert last(models).sentence == (
        "The code is deployed: the first production hit came from store on web-3 at 2026-05-03 14:05 UTC."
    )


def test_each_step_shows_the_status_before_and_after(models: ReadModels) -> None:
    models.given(*running(), facts.SplitTestPaused(key=KEY))
    assert [entry.sentence for entry in entries(models) if entry.changes[0][0] == "status"][1:] == [
        "Published the test; test users get its variants: status Draft → In Dev.",
        "Started the test: status In Dev → Running.",
        "Paused the test; nobody gets a variant: status Running → Paused.",
    ]


def test_the_result_is_told_with_its_scope(models: ReadModels) -> None:
    models.given(*running(), facts.SplitTestFinished(key=KEY, resulting_variant="red", scope="worldwide"))
    assert last(models).sentence == ("Finished the test with red for everybody, worldwide: status Running → Finished.")
    assert last(models).changes == (("status", "Running", "Finished"), ("result", "", "red, for everybody, worldwide"))


def test_there_is_one_entry_for_every_fact(models: ReadModels) -> None:
    models.given(*whole_life())
    assert len(models.stored()["changelog"]) == len(whole_life())
    assert all(entry.sentence.endswith(".") for entry in entries(models))


def test_a_key_that_is_used_again_begins_a_new_life_and_the_earlier_one_is_shown_to_nobody(models: ReadModels) -> None:
    models.given(created(name="Secret"), proposed(), facts.DraftDiscarded(key=KEY))
    assert entries(models) == []
    models.given(created(name="Open"), proposed(settings_group=2))
    assert [entry.position for entry in entries(models)] == [4, 5]
    assert "Proposed settings group 2: from" in last(models).sentence, "nothing of the earlier life is compared"
    assert len(models.stored()["changelog"]) == 5


def test_a_long_changelog_is_read_in_pages(models: ReadModels) -> None:
    models.given(*whole_life())
    first = entries(models, limit=3)
    second = entries(models, limit=3, after=first[-1].position)
    assert [entry.position for entry in first + second] == [3, 4, 5, 6, 7, 8]


def test_tests_that_are_not_visible_any_more_are_not_named(models: ReadModels) -> None:
    overlap = facts.Overlap(key="secret", settings_group=1, shared_groups=9, shared_users=100)
    models.given(created(), proposed(), prepared(overlaps=(overlap,)))
    assert "secret" in last(models).sentence
    with models.engine.connect() as connection:
        hidden = changelog.entries(connection, KEY, visible={KEY})[-1]
    assert "secret" not in f"{hidden.sentence} {hidden.changes}"
    assert "a test that is still a Draft" in hidden.sentence


def test_conditions_can_be_read_in_other_words(models: ReadModels) -> None:
    models.given(created(), proposed(), proposed(settings_group=2, conditions="[]", filters=()))

    def read(text: str, filters: tuple[facts.FilterUsed, ...]) -> str:
        return f"{len(filters)} filters" if filters else f"all of {text}"

    with models.engine.connect() as connection:
        _, first, second = changelog.entries(connection, KEY, read=read)
    assert "for 1 filters; " in first.sentence
    assert ("conditions", "1 filters", "all of []") in second.changes


def test_an_entry_says_whether_a_person_decided_it(models: ReadModels) -> None:
    models.given(*published(), code_deployed())
    assert [entry.is_decided for entry in entries(models)] == [True, True, False, True, False]
