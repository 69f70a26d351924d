"""What an allocation is made from: the tests whose dates overlap, as of one position of the log, and users."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from logging import getLogger

from sqlalchemy import Connection, Engine

from domain.allocation.audience_counts import Audience, AudienceCounts, CountingFailed
from domain.allocation.request import AllocationRequest, OverlappingTest
from domain.errors import RuleBroken
from domain.keys import printable
from domain.settings_groups import seen_groups
from domain.split_test import SettingsGroup, SplitTest
from events.facts import PreparedVariant
from projections import current_settings
from projections.current_settings import CurrentSettings
from projections.registry import serving

_LONGEST_DETAIL = 300

_log = getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """The tests whose dates overlap, as they were at one position of the event log."""

    as_of_position: int
    settings: Sequence[CurrentSettings]


class PreparationInputs:
    """Reads what preparations need.

    Args:
        engine: the database of the read models.
        catch_up: brings the read models up to the event log.
        counts: knows the users.
    """

    def __init__(self, *, engine: Engine, catch_up: Callable[[], object], counts: AudienceCounts) -> None:
        self._engine = engine
        self._catch_up = catch_up
        self._counts = counts

    def neighbours(self, key: str, group: SettingsGroup) -> Neighbours:
        """Return the tests that `group` of the test `key` overlaps by dates, as of now."""
        self._catch_up()
        while True:
            with self._engine.connect() as connection:
                before = _read_model_position(connection)
                settings = current_settings.overlapping_by_dates(
                    connection, key=key, starts_at=group.starts_at, ends_at=group.ends_at
                )
                # Statements of one transaction may see different commits. Positions only grow, so two equal ones
                # prove that what was read between them belongs to that position.
                if before == _read_model_position(connection):
                    return Neighbours(as_of_position=before, settings=settings)

    def request(
        self, test: SplitTest, group: SettingsGroup, settings: Sequence[CurrentSettings], *, seed: int
    ) -> AllocationRequest:
        """Return what is to be allocated beside the tests with `settings`. Blocks as long as counting takes.

        Raises:
            RuleBroken: the users cannot be counted, or were not: see `domain.allocation.audience_counts`.
        """
        audience = Audience(key=test.key, conditions=group.conditions, filters=group.filters)
        return AllocationRequest(
            seed=seed,
            type=test.type,
            variants=group.variants,
            previous=seen_groups(test),
            reshuffle=group.reshuffle,
            overlapping=tuple(self._overlapping(audience, each) for each in settings),
            users=self._counted(audience, None),
        )

    def _overlapping(self, audience: Audience, settings: CurrentSettings) -> OverlappingTest:
        other = Audience(key=settings.key, conditions=settings.conditions, filters=settings.filters)
        return OverlappingTest(
            key=settings.key,
            type=settings.type,
            settings_group=settings.settings_group,
            variants=tuple(
                PreparedVariant(name=variant.name, split_groups=variant.split_groups, users=variant.users)
                for variant in settings.variants
            ),
            shared_users=self._counted(audience, other),
            # The fact will be read by people who must not know of other people's Drafts.
            is_named=settings.status != "draft",
        )

    def _counted(self, audience: Audience, other: Audience | None) -> Mapping[int, int] | None:
        # An outage of the users' database is none of ours: waiting for its end would hold up every other test.
        try:
            return self._counts.users(audience) if other is None else self._counts.shared_users(audience, other)
        except RuleBroken:
            raise
        except Exception as error:
            _log.exception("the users of %s were not counted", audience.key)
            raise CountingFailed(audience.key, described(error)) from error


def described(error: Exception) -> str:
    """Return what a person can use of an error that nobody foresaw: its kind, and the beginning of its first line."""
    said = printable(str(error).strip().partition("\n")[0])[:_LONGEST_DETAIL]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _read_model_position(connection: Connection) -> int:
    generation = serving(connection, current_settings.PROJECTION.name)
    return generation.position if generation else 0
