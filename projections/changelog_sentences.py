"""What the changelog says of each fact, and the values before and after it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, assert_never

import msgspec

from events.facts import (
    CodeDeployed,
    DraftDiscarded,
    ManagersChanged,
    PropertiesEdited,
    SettingsGroupPreparationFailed,
    SettingsGroupPreparationRetried,
    SettingsGroupPrepared,
    SettingsGroupProposed,
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
from projections import readable
from projections.proposals import Proposal, proposal_of, read_proposal, write_json
from projections.settings_changes import settings_changes, settings_summary
from projections.split_test_facts import STATUS_AFTER, Status

Change: TypeAlias = tuple[str, str, str]
"""What changed, its value before, and its value after; "" where there was or is none."""

_SCOPES = {"worldwide": "everybody, worldwide", "conditions": "everybody who meets the conditions"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What is remembered of a test from before a fact, as texts: few facts need them read. "" is nothing.

    Attributes:
        status: the test's status.
        proposed: its newest proposal, see `projections.proposals`.
        prepared: its current settings group, see `write_prepared`.
    """

    status: Status | Literal[""]
    proposed: str
    prepared: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A sentence for people, and its changes for tables."""

    sentence: str
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    settings_group: int
    split_groups: Mapping[str, int]


_prepared_decoder = msgspec.json.Decoder(_Prepared)


def write_prepared(fact: SettingsGroupPrepared) -> str:
    """Return what is remembered of a prepared settings group: its number, and how many split groups variants own."""
    counts = {variant.name: len(variant.split_groups) for variant in fact.variants}
    return write_json(_Prepared(settings_group=fact.settings_group, split_groups=counts))


def tell(fact: SplitTestFact, before: Before) -> Told:  # noqa: C901, PLR0911, PLR0912 - one line for each kind of fact
    """Return what to say of `fact`. Total: odd orders of facts lead to odd sentences, not to errors."""
    match fact:
        case SplitTestCreated():
            return _created(fact)
        case PropertiesEdited():
            return _edited(fact)
        case ManagersChanged():
            return _managers_changed(fact)
        case SettingsGroupProposed():
            return _proposed(fact, read_proposal(before.proposed) if before.proposed else None)
        case SettingsGroupPrepared():
            return _prepared(fact, _read_prepared(before.prepared))
        case SettingsGroupPreparationFailed():
            return _preparation_failed(fact, _read_prepared(before.prepared))
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


def _edited(fact: PropertiesEdited) -> Told:
    changes = tuple((change.name.replace("_", " "), change.before, change.after) for change in fact.changes)
    return Told(sentence=f"Edited the properties: {readable.listed_changes(changes)}.", changes=changes)


def _managers_changed(fact: ManagersChanged) -> Told:
    before = (*(name for name in fact.managers if name not in fact.added), *fact.removed)
    steps = [
        f"{verb} {', '.join(names)}" for verb, names in (("added", fact.added), ("removed", fact.removed)) if names
    ]
    return Told(
        sentence=f"Changed the managers: {' and '.join(steps) or 'no difference'}.",
        changes=(("managers", ", ".join(before), ", ".join(fact.managers)),),
    )


def _proposed(fact: SettingsGroupProposed, before: Proposal | None) -> Told:
    proposal = proposal_of(fact)
    changes = settings_changes(before, proposal)
    if before is None:
        return Told(
            sentence=f"Proposed settings group {fact.settings_group}: {settings_summary(proposal)}.", changes=changes
        )
    difference = readable.listed_changes(changes) or "no difference"
    return Told(
        sentence=f"Proposed settings group {fact.settings_group}. Against settings group {before.settings_group}: "
        f"{difference}.",
        changes=changes,
    )


def _prepared(fact: SettingsGroupPrepared, before: _Prepared) -> Told:
    owned = {variant.name: len(variant.split_groups) for variant in fact.variants}
    changes: list[Change] = [("current settings group", _number(before.settings_group), str(fact.settings_group))]
    for name in sorted(before.split_groups.keys() | owned.keys()):
        earlier, now = _split_groups(before.split_groups.get(name)), _split_groups(owned.get(name))
        if earlier != now:
            changes.append((f"split groups of {name}", earlier, now))
    changes += [
        (f"estimate of {variant.name}", "", f"{variant.users:,} users")
        for variant in fact.variants
        if variant.users is not None
    ]
    changes += [
        (f"overlap with {readable.other_test(overlap)}", "", readable.shared(overlap)) for overlap in fact.overlaps
    ]
    return Told(sentence=_prepared_sentence(fact, before), changes=tuple(changes))


def _prepared_sentence(fact: SettingsGroupPrepared, before: _Prepared) -> str:
    instead = f" instead of settings group {before.settings_group}" if before.settings_group else ""
    sentences = [f"Settings group {fact.settings_group} is prepared and is now the current one{instead}."]
    if fact.variants:
        owned = [
            f"{variant.name} owns {readable.split_groups(len(variant.split_groups))}"
            + ("" if variant.users is None else f" with {variant.users:,} users")
            for variant in fact.variants
        ]
        sentences.append(f"{readable.sentence_of(owned)}.")
    if fact.overlaps:
        shared = [f"{readable.shared(overlap)} with {readable.other_test(overlap)}" for overlap in fact.overlaps]
        sentences.append(f"It shares {readable.sentence_of(shared)}.")
    return " ".join(sentences)


def _preparation_failed(fact: SettingsGroupPreparationFailed, before: _Prepared) -> Told:
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


def _step(fact: SplitTestFact, before: Before, done: str, more: Sequence[Change] = ()) -> Told:
    status = ("status", readable.status(before.status), readable.status(STATUS_AFTER[type(fact)]))
    return Told(sentence=f"{done}: {readable.listed_changes([status])}.", changes=(status, *more))


def _read_prepared(text: str) -> _Prepared:
    return _prepared_decoder.decode(text) if text else _Prepared(settings_group=0, split_groups={})


def _number(settings_group: int) -> str:
    return str(settings_group) if settings_group else ""


def _split_groups(count: int | None) -> str:
    return "" if count is None else str(count)
