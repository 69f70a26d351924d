"""What the audience service answers, and the port behind which pages and the API find it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias

from events.facts import GroupsMoved, Overlap, PreparedVariant
from events.user_group_estimate_facts import SharedWithTest

Told: TypeAlias = Callable[[str, str], object]
"""Told of each step of a preview once it is done: its name, and what it brought."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a proposal would become if it were prepared now.

    Chance decides which of equally good split groups are drawn. The preparation itself draws others, so its users may
    differ by a few; nothing else does.

    Attributes:
        settings_group: the number that it would have.
        variants: with the split groups that were drawn, their users and smallest effects.
        overlaps: with other tests, the most shared users first.
        kept_groups: how many split groups would stay with the variant that has them now.
        moved: where the others would go.
        assumed_filters: filters of the visit that are taken to be met: with any of them users are upper bounds.
        base_rate: for which the smallest effects hold.
        users: who meet the conditions, in the test or not.
    """

    settings_group: int
    variants: tuple[PreparedVariant, ...]
    overlaps: tuple[Overlap, ...]
    kept_groups: int
    moved: tuple[GroupsMoved, ...]
    assumed_filters: tuple[str, ...]
    base_rate: float
    users: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPreview:
    """What a user group with given conditions is now.

    Attributes:
        users: who meet the conditions.
        shared: with tests that are not over, the most users first; a Draft is told without its key.
        assumed_filters: filters of the visit that are taken to be met: with any of them users are upper bounds.
    """

    users: int
    shared: tuple[SharedWithTest, ...]
    assumed_filters: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedNow:
    """How many of the users who meet edited conditions meet those of another test too, whatever their split groups."""

    key: str
    users: int
    is_same_type: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveAnswer:
    """The numbers of conditions that are being edited.

    Attributes:
        users: who meet them.
        shared: with each other test that they overlap, the most users first; tests that share nobody are left out.
        as_of: the moment that the numbers are exact of.
        assumed_filters: filters of the visit that no column holds: the numbers are upper bounds.
    """

    users: int
    shared: Sequence[SharedNow]
    as_of: datetime
    assumed_filters: tuple[str, ...]


class AudienceService(Protocol):
    """Numbers about users, for pages and the API. Changes nothing. Safe to share between threads."""

    def live_numbers(
        self,
        conditions: object,
        *,
        key: str = "",
        type: str = "",  # noqa: A002 - the glossary's word
        starts_at: datetime | None = None,
        ends_at: datetime | None = None,
    ) -> LiveAnswer:
        """Return how many users meet `conditions`, decoded JSON, and how many of them are in other tests' too.

        Usually at once; the first question about an attribute counts anew, which takes about a second for ten million
        users. Drafts of others are not told.

        Args:
            conditions: as in a proposal.
            key: the test that is edited, which is not compared with itself.
            type: its type, to mark tests of the same type.
            starts_at: with `ends_at`: only tests whose dates meet these, aware.
            ends_at: excluded.

        Raises:
            usersplit.conditions.ConditionsError: the conditions break a rule.
            audience.errors.AudienceError: nobody can count them, such as a filter without a column.
            warehouse.errors.WarehouseError: the users' database does not answer.
        """
        ...

    def preview(
        self,
        key: str,
        proposal: object,
        *,
        type: str = "web",  # noqa: A002 - the glossary's word
        base_rate: float | None = None,
        told: Told | None = None,
    ) -> Preview:
        """Return what `proposal`, a document as `domain.settings` describes it, would become for the test `key`.

        There need be no such test yet; then it is of type `type`. Takes as long as a preparation.

        Raises:
            WrongSettings, usersplit.conditions.ConditionsError: the document breaks a rule.
            SettingsAreFinal: the test is Finished or Rejected.
            AudienceNotCountable, CountingFailed: the reason for which a preparation would fail.
            audience.estimate.BaseRateWrong: the base rate is no share between 0 and 1.
        """
        ...

    def preview_group(self, key: str, conditions: object) -> GroupPreview:
        """Return what the user group `key` would be with `conditions`, decoded JSON; there need be no such group yet.

        Takes as long as counting for a preparation.

        Raises:
            usersplit.conditions.ConditionsError, ConditionsTooLong: the conditions break a rule.
            AudienceNotCountable, CountingFailed: the reason for which an estimate would fail.
        """
        ...
