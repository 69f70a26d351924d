"""What the changelog says of each fact, and the values before and after it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, assert_never

from events.facts import (
    CodeDeployed,
    DraftDiscarded,
    ManagersChanged,
    PropertiesEdited,
    PropertyChange,
    SettingsGroupPreparationFailed,
    SettingsGroupPreparationRetried,
    SplitTestCreated,
    SplitTestFinished,
    SplitTestPaused,
    SplitTestPublished,
    SplitTestRejected,
    SplitTestResumed,
    SplitTestStarted,
    SplitTestUnpublished,
)
from projections import readable
from projections.changelog_entries import NOTHING_PREPARED, KeptFact, PreparedSummary
from projections.proposals import Proposal
from projections.settings_changes import ReadConditions, settings_changes, settings_summary
from projections.split_test_facts import STATUS_AFTER, Status

Change: TypeAlias = tuple[str, str, str]
"""What changed, its value before, and its value after; "" where there was or is none."""

_SCOPES = {"worldwide": "everybody, worldwide", "conditions": "everybody who meets the conditions"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A sentence for people, and its changes for tables."""

    sentence: str
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What is known of a test from before a fact: its status, its newest proposal, its current settings group."""

    status: Status | Literal[""] = ""
    proposed: Proposal | None = None
    prepared: PreparedSummary = NOTHING_PREPARED

    def after(self, fact: KeptFact) -> "Before":
        """Return what is known after it."""
        match fact:
            case Proposal():
                return replace(self, proposed=fact)
            case PreparedSummary():
                return replace(self, prepared=fact)
            case _:
                status = STATUS_AFTER.get(type(fact))
                return self if status is None else replace(self, status=status)


def tell(  # noqa: C901, PLR0911, PLR0912 - one line for each kind of fact
    fact: KeptFact, before: Before, read: ReadConditions | None = None
) -> Told:
    """Return what to say of `fact`. Total: odd orders of facts lead to odd sentences, not to errors.

    `read` makes conditions readable, see `settings_changes`.
    """
    match fact:
        case SplitTestCreated():
            return _created(fact)
        case PropertiesEdited():
            return tell_properties(fact.changes)
        case ManagersChanged():
            return tell_managers(added=fact.added, removed=fact.removed, managers=fact.managers)
        case Proposal():
            return _proposed(fact, before.proposed, read)
        case PreparedSummary():
            return _prepared(fact, before.prepared)
        case SettingsGroupPreparationFailed():
            return _preparation_failed(fact, before.prepared)
        case SettingsGroupPreparationRetried():
            return Told(sentence=f"Asked to prepare settings group {fact.settings_group} once more.")
        case CodeDeployed():
            return _code_deployed(fact)
        case SplitTestPublished():
            return _step(fact, before, "Published the test; test users get its variants")
        case SplitTestUnpublished():
            return _step(fact, before, "Took the test back; others do not see it any more")
        case DraftDiscarded():
            return _step(fact, before, "Discarded the Draft; its key is free again")
        case SplitTestStarted():
            return _step(fact, before, "Started the test")
        case SplitTestPaused():
            return _step(fact, before, "Paused the test; nobody gets a variant")
        case SplitTestResumed():
            return _step(fact, before, "Resumed the test")
        case SplitTestFinished():
            scope = _SCOPES[fact.scope]
            result = (("result", "", f"{fact.resulting_variant}, for {scope}"),)
            return _step(fact, before, f"Finished the test with {fact.resulting_variant} for {scope}", result)
        case SplitTestRejected():
            return _step(fact, before, "Rejected the test; the old behaviour stays")
        case _:  # pragma: no cover - mypy proves that every fact is told
            assert_never(fact)


def _created(fact: SplitTestCreated) -> Told:
    properties = (
        ("name", fact.name),
        ("description", fact.description),
        ("type", fact.type),
        ("issue key", fact.issue_key),
        ("chat room", fact.chat_room),
        ("managers", ", ".join(fact.managers)),
    )
    return Told(
        sentence=f"Created the Draft {readable.quoted(fact.name)} of type {fact.type}.",
        changes=(("status", "", "Draft"), *((what, "", value) for what, value in properties if value)),
    )


def tell_properties(edited: Sequence[PropertyChange]) -> Told:
    """Return what to say of edited properties."""
    changes = tuple((change.name.replace("_", " "), change.before, change.after) for change in edited)
    return Told(sentence=f"Edited the properties: {readable.listed_changes(changes)}.", changes=changes)


def tell_managers(*, added: Sequence[str], removed: Sequence[str], managers: Sequence[str]) -> Told:
    """Return what to say of a change in a circle of managers, which is `managers` after it."""
    before = (*(name for name in managers if name not in added), *removed)
    steps = [f"{verb} {', '.join(names)}" for verb, names in (("added", added), ("removed", removed)) if names]
    return Told(
        sentence=f"Changed the managers: {' and '.join(steps) or 'no difference'}.",
        changes=(("managers", ", ".join(before), ", ".join(managers)),),
    )


def _proposed(proposal: Proposal, before: Proposal | None, read: ReadConditions | None) -> Told:
    changes = settings_changes(before, proposal, read)
    if before is None:
        summary = settings_summary(proposal, read)
        return Told(sentence=f"Proposed settings group {proposal.settings_group}: {summary}.", changes=changes)
    difference = readable.listed_changes(changes) or "no difference"
    return Told(
        sentence=f"Proposed settings group {proposal.settings_group}. Against settings group {before.settings_group}: "
        f"{difference}.",
        changes=changes,
    )


def _prepared(prepared: PreparedSummary, before: PreparedSummary) -> Told:
    owned = {variant.name: variant.split_groups for variant in prepared.variants}
    owned_before = {variant.name: variant.split_groups for variant in before.variants}
    changes: list[Change] = [("current settings group", _number(before.settings_group), str(prepared.settings_group))]
    for name in sorted(owned_before.keys() | owned.keys()):
        earlier, now = _split_groups(owned_before.get(name)), _split_groups(owned.get(name))
        if earlier != now:
            changes.append((f"split groups of {name}", earlier, now))
    changes += [
        (f"estimate of {variant.name}", "", f"{variant.users:,} users")
        for variant in prepared.variants
        if variant.users is not None
    ]
    if prepared.base_rate is not None:
        changes += [
            (
                f"smallest effect of {variant.name}",
                "",
                readable.smallest_effect(variant.smallest_effect, prepared.base_rate),
            )
            for variant in prepared.variants
            if variant.smallest_effect is not None
        ]
    ours = _users(prepared)
    changes += [
        (f"overlap with {readable.other_test(overlap)}", "", readable.shared(overlap, ours))
        for overlap in prepared.overlaps
    ]
    return Told(sentence=_prepared_sentence(prepared, before), changes=tuple(changes))


def _prepared_sentence(prepared: PreparedSummary, before: PreparedSummary) -> str:
    instead = f" instead of settings group {before.settings_group}" if before.settings_group else ""
    sentences = [f"Settings group {prepared.settings_group} is prepared and is now the current one{instead}."]
    if prepared.variants:
        owned = [
            f"{variant.name} owns {readable.split_groups(variant.split_groups)}"
            + ("" if variant.users is None else f" with {variant.users:,} users")
            for variant in prepared.variants
        ]
        sentences.append(f"{readable.sentence_of(owned)}.")
    if prepared.kept_groups or prepared.moved:
        sentences.append(f"{readable.moves(prepared.kept_groups, prepared.moved)}.")
    if prepared.overlaps:
        ours = _users(prepared)
        shared = [
            f"{readable.shared(overlap, ours)} with {readable.other_test(overlap)}" for overlap in prepared.overlaps
        ]
        sentences.append(f"It shares {readable.tests_shared(shared)}.")
    if prepared.assumed_filters:
        unknown = readable.sentence_of(prepared.assumed_filters)
        sentences.append(f"Users are counted at most, for no column holds {unknown}.")
    return " ".join(sentences)


def _users(prepared: PreparedSummary) -> int | None:
    counted = [variant.users for variant in prepared.variants if variant.users is not None]
    return sum(counted) if counted else None


def _preparation_failed(fact: SettingsGroupPreparationFailed, before: PreparedSummary) -> Told:
    reason = fact.reason.rstrip(".")
    stays = f"settings group {before.settings_group} stays in force" if before.settings_group else "none is in force"
    return Told(
        sentence=f"Settings group {fact.settings_group} could not be prepared: {reason}; {stays}.",
        changes=((f"preparation of settings group {fact.settings_group}", "", f"failed: {fact.reason}"),),
    )


def _code_deployed(fact: CodeDeployed) -> Told:
    source = [f"{word} {name}" for word, name in (("from", fact.app), ("on", fact.host)) if name]
    came = " ".join(["the first production hit came", *source])
    return Told(
        sentence=f"The code is deployed: {came} at {readable.moment(fact.occurred_at)}.",
        changes=(("code deployed", "", " ".join([readable.moment(fact.occurred_at), *source])),),
    )


def _step(fact: KeptFact, before: Before, done: str, more: Sequence[Change] = ()) -> Told:
    status = ("status", readable.status(before.status), readable.status(STATUS_AFTER[type(fact)]))
    return Told(sentence=f"{done}: {readable.listed_changes([status])}.", changes=(status, *more))


def _number(settings_group: int) -> str:
    return str(settings_group) if settings_group else ""


def _split_groups(count: int | None) -> str:
    return "" if count is None else str(count)
