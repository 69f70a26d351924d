"""What the changelog of a user group keeps of each fact, and what it says of it."""

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, get_args

import msgspec

from events.user_group_estimate_facts import (
    UserGroupEstimateAsked,
    UserGroupEstimated,
    UserGroupEstimateFact,
    UserGroupEstimateFailed,
)
from events.user_group_facts import (
    UserGroupActivated,
    UserGroupConditionsChanged,
    UserGroupCreated,
    UserGroupDiscarded,
    UserGroupEdited,
    UserGroupFact,
    UserGroupManagersChanged,
    UserGroupSwitchedOff,
)
from projections import readable
from projections.changelog_sentences import Change, Told, tell_managers, tell_properties
from projections.settings_changes import ReadConditions, conditions_text

STATUS_AFTER: Final[Mapping[type, str]] = {
    UserGroupCreated: "draft",
    UserGroupActivated: "active",
    UserGroupSwitchedOff: "off",
    UserGroupDiscarded: "discarded",
}
"""The status that a fact leaves its user group in; a fact that is not here leaves it as it was."""

_STEPS: Final[Mapping[type, str]] = {
    UserGroupActivated: "Activated the user group; whoever meets the conditions is in it",
    UserGroupSwitchedOff: "Switched the user group off; nobody is in it",
    UserGroupDiscarded: "Discarded the user group; its key is free again",
}

FACTS: Final = frozenset(get_args(UserGroupFact))
TOLD: Final = FACTS | frozenset(get_args(UserGroupEstimateFact))
"""What has a line in the changelog: the user group's own facts, and those of counting it."""

_decoders: Final[Mapping[str, msgspec.json.Decoder[Any]]] = {kind.__name__: msgspec.json.Decoder(kind) for kind in TOLD}


def read_kept(kind: str, text: str) -> UserGroupFact | UserGroupEstimateFact:
    """Return the fact of the class `kind` that was kept as JSON."""
    fact: UserGroupFact | UserGroupEstimateFact = _decoders[kind].decode(text)
    return fact


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupBefore:
    """What is known of a user group from before a fact: its status, and its conditions."""

    status: str = ""
    conditions: UserGroupConditionsChanged | None = None

    def after(self, fact: UserGroupFact | UserGroupEstimateFact) -> "GroupBefore":
        """Return what is known after it."""
        if isinstance(fact, UserGroupConditionsChanged):
            return replace(self, conditions=fact)
        status = STATUS_AFTER.get(type(fact))
        return self if status is None else replace(self, status=status)


def without_hidden(
    fact: UserGroupFact | UserGroupEstimateFact, visible: Container[str] | None
) -> UserGroupFact | UserGroupEstimateFact:
    """Return the fact without the names of tests that may not be named; None: all may."""
    if visible is None or not isinstance(fact, UserGroupEstimated):
        return fact
    shared = tuple(each if each.key in visible else replace(each, key="", by_variant=()) for each in fact.shared)
    return replace(fact, shared=shared)


def tell(  # noqa: PLR0911 - one line for each kind of fact
    fact: UserGroupFact | UserGroupEstimateFact, before: GroupBefore, read: ReadConditions | None = None
) -> Told:
    """Return what to say of `fact`. Total: odd orders of facts lead to odd sentences, not to errors.

    `read` makes conditions readable, see `projections.settings_changes`.
    """
    match fact:
        case UserGroupCreated():
            return _created(fact)
        case UserGroupEdited():
            return tell_properties(fact.changes)
        case UserGroupManagersChanged():
            return tell_managers(added=fact.added, removed=fact.removed, managers=fact.managers)
        case UserGroupConditionsChanged():
            return _conditions_changed(fact, before.conditions, read or conditions_text)
        case UserGroupEstimated():
            return _estimated(fact)
        case UserGroupEstimateFailed():
            return Told(
                sentence=f"The users of settings group {fact.settings_group} could not be counted: {fact.reason}.",
                changes=(("reason", "", fact.reason),),
            )
        case UserGroupEstimateAsked():
            return Told(sentence=f"Asked to count the users of settings group {fact.settings_group} anew.")
        case _:
            status = ("status", readable.status(before.status), readable.status(STATUS_AFTER[type(fact)]))
            return Told(sentence=f"{_STEPS[type(fact)]}: {readable.listed_changes([status])}.", changes=(status,))


def _created(fact: UserGroupCreated) -> Told:
    given = (("name", fact.name), ("description", fact.description), ("managers", ", ".join(fact.managers)))
    return Told(
        sentence=f"Created the user group {readable.quoted(fact.name)}, a Draft.",
        changes=(("status", "", "Draft"), *((what, "", value) for what, value in given if value)),
    )


def _conditions_changed(
    fact: UserGroupConditionsChanged, before: UserGroupConditionsChanged | None, read: ReadConditions
) -> Told:
    earlier = "" if before is None else read(before.conditions, before.filters)
    after = read(fact.conditions, fact.filters)
    changes: list[Change] = []
    if earlier != after:
        changes.append(("conditions", earlier, after))
    number = "" if before is None else str(before.settings_group)
    changes.append(("current settings group", number, str(fact.settings_group)))
    return Told(
        sentence=f"Changed the conditions; settings group {fact.settings_group} is in force: "
        f"{readable.listed_changes(changes[:1])}.",
        changes=tuple(changes),
    )


def _estimated(fact: UserGroupEstimated) -> Told:
    users = readable.users(fact.users, is_upper_bound=bool(fact.assumed_filters))
    shared = [(readable.other_test(each), readable.shared_with_test(each, fact.users)) for each in fact.shared]
    sentences = [f"Counted settings group {fact.settings_group}: {users} meet the conditions."]
    if shared:
        sentences.append(f"It shares {readable.tests_shared([f'{users} with {test}' for test, users in shared])}.")
    if fact.assumed_filters:
        unknown = readable.sentence_of(fact.assumed_filters)
        sentences.append(f"Users are counted at most, for no column holds {unknown}.")
    return Told(
        sentence=" ".join(sentences),
        changes=(("users", "", users), *((f"shared with {test}", "", users) for test, users in shared)),
    )
