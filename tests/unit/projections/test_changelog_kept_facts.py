"""What the changelog keeps of facts: its rows depend on the facts' fields, so a new field means a new version."""

from typing import Any, get_args

import pytest

from events import facts
from projections import changelog
from projections.changelog_entries import keep, read_kept
from projections.changelog_sentences import Before, tell
from projections.proposals import proposal_of
from tests.support.histories import KEY, prepared, proposed, whole_life

OF_VERSION_3 = {
    "SplitTestCreated": "key name author managers description type issue_key chat_room",
    "PropertiesEdited": "key changes",
    "ManagersChanged": "key added removed managers",
    "SettingsGroupPreparationFailed": "key settings_group reason",
    "SettingsGroupPreparationRetried": "key settings_group",
    "SplitTestPublished": "key",
    "SplitTestUnpublished": "key",
    "DraftDiscarded": "key",
    "CodeDeployed": "key hit_id occurred_at app host",
    "SplitTestStarted": "key",
    "SplitTestPaused": "key",
    "SplitTestResumed": "key",
    "SplitTestFinished": "key resulting_variant scope",
    "SplitTestRejected": "key",
}
IN_SHAPES_OF_THEIR_OWN = {"SettingsGroupProposed", "SettingsGroupPrepared"}


def test_facts_are_kept_with_the_fields_they_had_when_this_version_was_made() -> None:
    fields = {
        kind.__name__: " ".join(kind.__dataclass_fields__)
        for kind in get_args(facts.SplitTestFact)
        if kind.__name__ not in IN_SHAPES_OF_THEIR_OWN
    }
    assert fields == OF_VERSION_3, "raise the version of the changelog, and write the new fields down here"
    assert changelog.PROJECTION.version == 3


@pytest.mark.parametrize("fact", whole_life(), ids=lambda fact: type(fact).__name__)
def test_what_is_kept_is_read_again_and_told(fact: Any) -> None:
    read = read_kept(type(fact).__name__, keep(fact))
    assert tell(read, Before()).sentence.endswith(".")
    if type(fact).__name__ not in IN_SHAPES_OF_THEIR_OWN:
        assert read == fact


def test_of_settings_only_what_a_sentence_needs_is_kept() -> None:
    everybody = facts.PreparedVariant(name="all", split_groups=tuple(range(1, 2401)))
    assert len(keep(prepared(variants=(everybody,)))) < 200
    assert read_kept("SettingsGroupProposed", keep(proposed())) == proposal_of(proposed())


def test_groups_that_moved_are_told() -> None:
    moved = (
        facts.GroupsMoved(before="control", after="red", groups=7),
        facts.GroupsMoved(before="", after="red", groups=1),
        facts.GroupsMoved(before="red", after="", groups=2),
    )
    kept = keep(prepared(kept_groups=20, moved=moved, variants=()))
    assert tell(read_kept("SettingsGroupPrepared", kept), Before()).sentence == (
        "Settings group 1 is prepared and is now the current one. 20 split groups stay with their variants, "
        "7 split groups move from control to red, 1 split group join red and 2 split groups leave red."
    )


def test_a_wish_to_draw_all_groups_anew_is_told() -> None:
    told = tell(proposal_of(proposed(reshuffle=True)), Before(proposed=proposal_of(proposed())))
    assert ("split groups", "", "all drawn anew") in told.changes
    assert KEY not in told.sentence
