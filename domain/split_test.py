"""A split test as its facts tell it: the state, and how each fact changes it. What may happen is decided elsewhere.

`evolve` is total: it takes any fact in any state without raising, because the facts are history already. What makes no
sense in a state (a group prepared that nobody proposed) leaves it as it was.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from events import facts
from events.facts import FilterUsed, FinishScope, PreparedVariant, PropertyChange, ProposedVariant, SplitTestFact


class Status(StrEnum):
    """Where a split test is in its life."""

    DRAFT = "draft"
    IN_DEV = "in_dev"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    REJECTED = "rejected"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsGroup:
    """One immutable version of what is being tested; `prepared` is empty until split groups were drawn."""

    number: int
    starts_at: datetime
    ends_at: datetime
    conditions: str
    filters: tuple[FilterUsed, ...]
    variants: tuple[ProposedVariant, ...]
    reshuffle: bool = False
    prepared: tuple[PreparedVariant, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a finished test ended: the variant that stays, and for whom."""

    variant: str
    scope: FinishScope


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitTest:
    """The state of a split test after all of its facts.

    Attributes:
        managers: the circle that may edit and steer it, in the order they joined.
        current: the settings group in force, None while none was prepared.
        pending: the settings group that waits to be prepared, or whose preparation failed.
        failure: why the preparation of `pending` failed, empty while it waits.
        was_published: whether it ever left Draft, so that somebody may have seen its variants.
        last_settings_group: the highest number used so far; it goes on counting when a discarded key is used again.
        earlier_settings_groups: the highest number used before the key was discarded; groups of this life are above it.
        code_deployed: whether a production hit was seen since it was created.
        result: how it was finished.
    """

    key: str
    status: Status = Status.DRAFT
    name: str = ""
    description: str = ""
    type: str = ""
    issue_key: str = ""
    chat_room: str = ""
    author: str = ""
    managers: tuple[str, ...] = ()
    current: SettingsGroup | None = None
    pending: SettingsGroup | None = None
    failure: str = ""
    was_published: bool = False
    last_settings_group: int = 0
    earlier_settings_groups: int = 0
    code_deployed: bool = False
    result: Result | None = None


def load(history: Iterable[SplitTestFact]) -> SplitTest | None:
    """Return the state after `history`, None if nothing ever happened."""
    state: SplitTest | None = None
    for fact in history:
        state = evolve(state, fact)
    return state


def evolve(state: SplitTest | None, fact: SplitTestFact) -> SplitTest:  # noqa: C901, PLR0911, PLR0912 - one case a fact
    """Return the state after `fact`. Total: it never raises."""
    test = state or SplitTest(key=fact.key)
    match fact:
        case facts.SplitTestCreated():
            return _created(test, fact)
        case facts.PropertiesEdited():
            return _edited(test, fact.changes)
        case facts.ManagersChanged():
            return replace(test, managers=fact.managers)
        case facts.SettingsGroupProposed():
            return _proposed(test, fact)
        case facts.SettingsGroupPrepared():
            return _prepared(test, fact)
        case facts.SettingsGroupPreparationFailed():
            return replace(test, failure=fact.reason) if _is_pending(test, fact.settings_group) else test
        case facts.SettingsGroupPreparationRetried():
            return replace(test, failure="") if _is_pending(test, fact.settings_group) else test
        case facts.SplitTestPublished():
            return replace(test, status=Status.IN_DEV, was_published=True)
        case facts.SplitTestUnpublished():
            return replace(test, status=Status.DRAFT)
        case facts.DraftDiscarded():
            return _over(test, Status.DISCARDED)
        case facts.CodeDeployed():
            return replace(test, code_deployed=True)
        case facts.SplitTestStarted() | facts.SplitTestResumed():
            return replace(test, status=Status.RUNNING)
        case facts.SplitTestPaused():
            return replace(test, status=Status.PAUSED)
        case facts.SplitTestFinished():
            result = Result(variant=fact.resulting_variant, scope=fact.scope)
            return replace(_over(test, Status.FINISHED), result=result)
        case facts.SplitTestRejected():
            return _over(test, Status.REJECTED)
        case _:
            assert_never(fact)


def _created(test: SplitTest, fact: facts.SplitTestCreated) -> SplitTest:
    # A discarded key starts a new life, in which only the numbers of settings groups go on: a hit of the first life
    # must never look like one of the second.
    return SplitTest(
        key=test.key,
        name=fact.name,
        description=fact.description,
        type=fact.type,
        issue_key=fact.issue_key,
        chat_room=fact.chat_room,
        author=fact.author,
        managers=fact.managers,
        last_settings_group=test.last_settings_group,
        earlier_settings_groups=test.last_settings_group,
    )


def _edited(test: SplitTest, changes: tuple[PropertyChange, ...]) -> SplitTest:
    # Named one by one: a property that this program does not know must not become a TypeError in a fold.
    after = {change.name: change.after for change in changes}
    return replace(
        test,
        name=after.get("name", test.name),
        description=after.get("description", test.description),
        type=after.get("type", test.type),
        issue_key=after.get("issue_key", test.issue_key),
        chat_room=after.get("chat_room", test.chat_room),
    )


def _proposed(test: SplitTest, fact: facts.SettingsGroupProposed) -> SplitTest:
    group = SettingsGroup(
        number=fact.settings_group,
        starts_at=fact.starts_at,
        ends_at=fact.ends_at,
        conditions=fact.conditions,
        filters=fact.filters,
        variants=fact.variants,
        reshuffle=fact.reshuffle,
    )
    last = max(test.last_settings_group, fact.settings_group)
    return replace(test, pending=group, failure="", last_settings_group=last)


def _prepared(test: SplitTest, fact: facts.SettingsGroupPrepared) -> SplitTest:
    if test.pending is None or test.pending.number != fact.settings_group:
        return test
    return replace(test, current=replace(test.pending, prepared=fact.variants), pending=None, failure="")


def _is_pending(test: SplitTest, settings_group: int) -> bool:
    return test.pending is not None and test.pending.number == settings_group


def _over(test: SplitTest, status: Status) -> SplitTest:
    # Nothing that was still waiting to be prepared can come into force after the end.
    return replace(test, status=status, pending=None, failure="")
