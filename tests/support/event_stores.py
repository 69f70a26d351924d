"""What the suites of the event store write: short facts, under a clock that stands still."""

from collections.abc import Sequence
from datetime import UTC, datetime

from events.facts import SplitTestPaused, SplitTestPublished, SplitTestResumed, SplitTestStarted
from events.store import Command, Provenance, StoredEvent

NOW = datetime(2026, 5, 3, 14, 5, 6, 789012, tzinfo=UTC)
BY_ANNA = Provenance(actor="anna", recorded_at=NOW)
ORDER = Command(command_id="order-1", fingerprint="start green_button", answer="started")


def published(key: str = "green_button") -> SplitTestPublished:
    """Return a fact for one append."""
    return SplitTestPublished(key=key)


def some_facts(count: int, key: str = "green_button") -> list[object]:
    """Return `count` facts for one append. Whether a real test could live so is none of the store's business."""
    kinds = (SplitTestStarted, SplitTestPaused, SplitTestResumed)
    return [kinds[number % len(kinds)](key=key) for number in range(count)]


def positions(events: Sequence[StoredEvent]) -> list[int]:
    """Return the events' places in the log."""
    return [event.position for event in events]


def versions(events: Sequence[StoredEvent]) -> list[int]:
    """Return the events' places in their streams."""
    return [event.version for event in events]
