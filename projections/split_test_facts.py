"""The facts of split tests among all facts of the log, and what several models read in them in the same way."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, TypeAlias, get_args

from events.facts import (
    DraftDiscarded,
    PropertiesEdited,
    SplitTestCreated,
    SplitTestFact,
    SplitTestFinished,
    SplitTestPaused,
    SplitTestPublished,
    SplitTestRejected,
    SplitTestResumed,
    SplitTestStarted,
    SplitTestUnpublished,
)
from events.store import RecordedFact

Status: TypeAlias = Literal["draft", "in_dev", "running", "paused", "finished", "rejected", "discarded"]

STATUS_AFTER: Final[Mapping[type, Status]] = MappingProxyType(
    {
        SplitTestCreated: "draft",
        SplitTestPublished: "in_dev",
        SplitTestUnpublished: "draft",
        DraftDiscarded: "discarded",
        SplitTestStarted: "running",
        SplitTestPaused: "paused",
        SplitTestResumed: "running",
        SplitTestFinished: "finished",
        SplitTestRejected: "rejected",
    }
)
"""The status that a fact leaves its test in; a fact that is not here leaves it as it was."""

_FACTS_OF_SPLIT_TESTS: Final = frozenset(get_args(SplitTestFact))


def of_split_tests(facts: Sequence[RecordedFact]) -> list[RecordedFact]:
    """Return those of `facts` that are about a split test, in order."""
    return [recorded for recorded in facts if type(recorded.fact) in _FACTS_OF_SPLIT_TESTS]


def keys_of(facts: Sequence[RecordedFact]) -> set[str]:
    """Return the keys of the split tests that `facts` are about."""
    return {recorded.fact.key for recorded in facts}


def new_type(fact: PropertiesEdited) -> str | None:
    """Return the type that the test has after the edit, None if the edit did not touch it."""
    return next((change.after for change in fact.changes if change.name == "type"), None)
