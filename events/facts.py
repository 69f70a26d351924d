"""The facts of a split test's life: what happened, in the past tense, as immutable records of primitives.

A fact is never changed once released: a new meaning is a new version with an upcaster (`events.registry`), a new field
has a default. Every fact carries what a reader needs to understand it alone (the values before and after, the types of
the filters in use at that time), so that projections never look anything up.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from events.override_facts import OverrideFact
from events.shared_facts import REGISTRY, FilterScope, FilterUsed, Moment, PropertyChange
from events.user_group_estimate_facts import UserGroupEstimateFact
from events.user_group_facts import UserGroupFact

__all__ = [
    "REGISTRY",
    "CodeDeployed",
    "DraftDiscarded",
    "Fact",
    "FilterScope",
    "FilterUsed",
    "FinishScope",
    "GroupsMoved",
    "ManagersChanged",
    "Moment",
    "Overlap",
    "OverrideFact",
    "PreparedVariant",
    "PropertiesEdited",
    "PropertyChange",
    "ProposedVariant",
    "SettingsGroupPreparationFailed",
    "SettingsGroupPreparationRetried",
    "SettingsGroupPrepared",
    "SettingsGroupProposed",
    "SplitTestCreated",
    "SplitTestFact",
    "SplitTestFinished",
    "SplitTestPaused",
    "SplitTestPublished",
    "SplitTestRejected",
    "SplitTestResumed",
    "SplitTestStarted",
    "SplitTestUnpublished",
    "UserGroupEstimateFact",
    "UserGroupFact",
    "split_test_stream",
]

FinishScope: TypeAlias = Literal["worldwide", "conditions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedVariant:
    """A variant as the manager asked for it. `groups` counts split groups: 24 of the 2400 are one percent."""

    name: str
    groups: int
    is_control: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedVariant:
    """A variant with the split groups it owns (sorted, each 1..2400) and the users estimated to carry them.

    `users` is None while no users table is connected: an estimate that was not made is not a zero.

    `smallest_effect` is the smallest increase of the rate that so many users show against the variant compared with
    (control, else the first one), as a share: 0.004 at a base rate of 0.1 finds 10.4 % against 10.0 %. None for that
    variant itself, where nobody counted, and where no difference at all could be found.
    """

    name: str
    split_groups: tuple[int, ...]
    users: int | None = None
    smallest_effect: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantOverlap:
    """What one variant of ours shares with one variant of another test: split groups, and users where counted."""

    ours: str
    theirs: str
    shared_groups: int
    shared_users: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """How a settings group overlaps with another test: split groups in both, and users in both where counted.

    `key` is empty, and `settings_group` 0, where the other test was a Draft: its managers alone may know of it.

    Attributes:
        shared_users: who meet both tests' conditions and are in a split group of both; None where nobody counted.
        their_users: users of the other test, as its own preparation estimated them; None where it did not.
        is_upper_bound: whether fewer may be shared than counted, because a filter of the visit in either test's
            conditions has no column in the users table.
        by_variant: which variants share how much, in the order of ours; empty for a Draft, and pairs that share no
            group are left out.
    """

    key: str
    settings_group: int
    shared_groups: int
    shared_users: int | None = None
    same_type: bool = False
    their_users: int | None = None
    is_upper_bound: bool = False
    by_variant: tuple[VariantOverlap, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupsMoved:
    """How many split groups went from one variant to another when a settings group took the place of the one before.

    `before` is empty for groups that join the test, `after` for groups that leave it. With both names, their users see
    another variant than they saw.
    """

    before: str
    after: str
    groups: int


@REGISTRY.register("SplitTestCreated", version=1)
@dataclass(frozen=True, slots=True, kw_only=True)
class SplitTestCreated:
    """A manager created a split test; it is a Draft that its author, its managers and superusers see."""

    key: str
    name: str
    author: str
    managers: tuple[str, ...]
    description: str = ""
    type: str = "web"
    issue_key: str = ""
    chat_room: str = ""


@REGISTRY.register("PropertiesEdited", version=1)
@dataclass(frozen=True, slots=True, kw_only=True)
class PropertiesEdited:
    """Name, description, type, issue key or chat room were edited."""

    key: str
    changes: tuple[PropertyChange, ...]


@REGISTRY.register("ManagersChanged", version=1)
@dataclass(frozen=True, slots=True, kw_only=True)
class ManagersChanged:
    """The circle of test managers changed; `managers` is the whole circle after it."""

    key: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    managers: tuple[str, ...]


@REGISTRY.register("SettingsGroupProposed", version=1)
@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsGroupProposed:
    """A new settings group was asked for. It waits to be prepared; the current one stays in force until then.

    Attributes:
        settings_group: its number within the test: 1, 2, 3 …
        starts_at: first moment of the test (aware, UTC), included.
        ends_at: end of the test (aware, UTC), excluded.
        conditions: the boolean tree, JSON text exactly as it was given; `[]` is everybody.
        filters: the catalog's word on every filter the conditions use.
        variants: names with counts of split groups, at most one control.
        split_equally: whether the manager gave one total, split equally, rather than a percent per variant.
        reshuffle: whether all split groups are to be drawn anew, rather than kept where they can be.
    """

    key: str
    settings_group: int
    starts_at: Moment
    ends_at: Moment
    conditions: str
    filters: tuple[FilterUsed, ...]
    variants: tuple[ProposedVariant, ...]
    split_equally: bool = False
    reshuffle: bool = False


@REGISTRY.register("SettingsGroupPrepared", version=1)
@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsGroupPrepared:
    """Split groups were drawn, the estimate and the overlaps counted; the settings group became the current one.

    Attributes:
        seed: the seed of the draw; the same seed over the same overlapping tests draws the same groups.
        as_of_position: the position of the event log whose overlapping tests were considered.
        kept_groups: how many split groups stay with the variant that had them in the settings group before; 0 where
            there was none, or where nobody had seen it yet.
        moved: where the other groups of either went, the most first; empty likewise.
        assumed_filters: filters of the visit that no column of the users table holds, taken to be met by everybody:
            with any of them the numbers of users are upper bounds.
        base_rate: the share of users who do already what tests are about, for which the smallest effects hold; None
            where nobody counted users.
    """

    key: str
    settings_group: int
    seed: int
    as_of_position: int
    variants: tuple[PreparedVariant, ...]
    overlaps: tuple[Overlap, ...] = ()
    kept_groups: int = 0
    moved: tuple[GroupsMoved, ...] = ()
    assumed_filters: tuple[str, ...] = ()
    base_rate: float | None = None


@REGISTRY.register("SettingsGroupPreparationFailed", version=1)
@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsGroupPreparationFailed:
    """The settings group could not be prepared; the settings in force stay, and it can be retried."""

    key: str
    settings_group: int
    reason: str


@REGISTRY.register("SettingsGroupPreparationRetried", version=1)
@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsGroupPreparationRetried:
    """A manager asked to prepare the failed settings group once more."""

    key: str
    settings_group: int


@REGISTRY.register("SplitTestPublished", version=1)
@dataclass(frozen=True, slots=True, kw_only=True)
class SplitTestPublished:
    """Draft → In Dev: developers see it, and test users get its variants."""

    key: str


@REGISTRY.register("SplitTestUnpublished", version=1)
@dataclass(frozen=True, slots=True, kw_only=True)
class SplitTestUnpublished:
    """In Dev → Draft."""

    key: str


@REGISTRY.register("DraftDiscarded", version=1)
@dataclass(frozen=True, slots=True, kw_only=True)
class DraftDiscarded:
    """The Draft is gone; its key is free again."""

    key: str


@REGISTRY.register("CodeDeployed", version=1)
@dataclass(frozen=True, slots=True, kw_only=True)
class CodeDeployed:
    """The first production hit arrived for a test In Dev: its code is deployed, and it can be started."""

    key: str
    hit_id: str
    occurred_at: Moment
    app: str = ""
    host: str = ""


@REGISTRY.register("SplitTestStarted", version=1)
@dataclass(frozen=True, slots=True, kw_only=True)
class SplitTestStarted:
    """In Dev → Running."""

    key: str


@REGISTRY.register("SplitTestPaused", version=1)
@dataclass(frozen=True, slots=True, kw_only=True)
class SplitTestPaused:
    """Running → Paused: nobody gets a variant."""

    key: str


@REGISTRY.register("SplitTestResumed", version=1)
@dataclass(frozen=True, slots=True, kw_only=True)
class SplitTestResumed:
    """Paused → Running."""

    key: str


@REGISTRY.register("SplitTestFinished", version=1)
@dataclass(frozen=True, slots=True, kw_only=True)
class SplitTestFinished:
    """Running or Paused → Finished: the resulting variant goes to everybody, or to those who meet the conditions."""

    key: str
    resulting_variant: str
    scope: FinishScope


@REGISTRY.register("SplitTestRejected", version=1)
@dataclass(frozen=True, slots=True, kw_only=True)
class SplitTestRejected:
    """Running or Paused → Rejected: the old behaviour stays. Not the same as choosing the control variant."""

    key: str


SplitTestFact: TypeAlias = (
    SplitTestCreated
    | PropertiesEdited
    | ManagersChanged
    | SettingsGroupProposed
    | SettingsGroupPrepared
    | SettingsGroupPreparationFailed
    | SettingsGroupPreparationRetried
    | SplitTestPublished
    | SplitTestUnpublished
    | DraftDiscarded
    | CodeDeployed
    | SplitTestStarted
    | SplitTestPaused
    | SplitTestResumed
    | SplitTestFinished
    | SplitTestRejected
)


Fact: TypeAlias = SplitTestFact | UserGroupFact | UserGroupEstimateFact | OverrideFact
"""Every fact that the log may hold."""


def split_test_stream(key: str) -> str:
    """Return the name of the stream that holds the facts of the split test `key`."""
    return f"split_test/{key}"
