"""Histories of split tests to begin from: given these facts."""

from datetime import UTC, datetime

from domain.people import Actor
from events.facts import (
    PreparedVariant,
    ProposedVariant,
    SettingsGroupPreparationFailed,
    SettingsGroupPrepared,
    SettingsGroupProposed,
    SplitTestCreated,
    SplitTestFact,
    SplitTestFinished,
    SplitTestPaused,
    SplitTestPublished,
    SplitTestRejected,
    SplitTestStarted,
)

KEY = "green_button"
ANNA = Actor(name="anna")
"""The author."""
BORIS = Actor(name="boris")
"""The second manager."""
STRANGER = Actor(name="stranger")
SUPERUSER = Actor(name="root", is_superuser=True)

START = datetime(2026, 5, 1, tzinfo=UTC)
END = datetime(2026, 6, 1, tzinfo=UTC)
BEFORE_END = datetime(2026, 5, 15, tzinfo=UTC)

CREATED = SplitTestCreated(key=KEY, name="Green button", author="anna", managers=("anna", "boris"))
PROPOSED = SettingsGroupProposed(
    key=KEY,
    settings_group=1,
    starts_at=START,
    ends_at=END,
    conditions="[]",
    filters=(),
    variants=(ProposedVariant(name="control", groups=3, is_control=True), ProposedVariant(name="green", groups=3)),
)
PREPARED = SettingsGroupPrepared(
    key=KEY,
    settings_group=1,
    seed=7,
    as_of_position=2,
    variants=(
        PreparedVariant(name="control", split_groups=(1, 2, 3)),
        PreparedVariant(name="green", split_groups=(4, 5, 6)),
    ),
)
FAILED = SettingsGroupPreparationFailed(key=KEY, settings_group=1, reason="the users were away")

DRAFT: tuple[SplitTestFact, ...] = (CREATED,)
READY: tuple[SplitTestFact, ...] = (CREATED, PROPOSED, PREPARED)
IN_DEV: tuple[SplitTestFact, ...] = (*READY, SplitTestPublished(key=KEY))
RUNNING: tuple[SplitTestFact, ...] = (*IN_DEV, SplitTestStarted(key=KEY))
PAUSED: tuple[SplitTestFact, ...] = (*RUNNING, SplitTestPaused(key=KEY))
FINISHED: tuple[SplitTestFact, ...] = (
    *RUNNING,
    SplitTestFinished(key=KEY, resulting_variant="green", scope="worldwide"),
)
REJECTED: tuple[SplitTestFact, ...] = (*RUNNING, SplitTestRejected(key=KEY))
