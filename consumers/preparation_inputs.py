"""What an allocation is made from: the tests whose dates overlap, as of one position of the log, and users."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from logging import getLogger

from sqlalchemy import Connection, Engine

from domain.allocation.audience_counts import Audience, AudienceCounts, CountedUsers, CountingFailed, SharedUsers
from domain.allocation.request import OverlappingTest
from domain.errors import RuleBroken
from domain.keys import printable
from events.facts import PreparedVariant
from projections import current_settings, split_group_rest
from projections.current_settings import CurrentSettings
from projections.registry import serving

_LONGEST_DETAIL = 300

_log = getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """The tests whose dates overlap, as they were at one position of the event log.

    Attributes:
        last_used: the position at which a split group was last let go, see `AllocationRequest.last_used`.
    """

    as_of_position: int
    settings: Sequence[CurrentSettings]
    last_used: Mapping[int, int]


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

    def neighbours(self, key: str, *, starts_at: datetime, ends_at: datetime) -> Neighbours:
        """Return the tests other than `key` that are not over and whose dates meet [starts_at, ends_at), as of now."""
        self._catch_up()
        while True:
            with self._engine.connect() as connection:
                before = _read_model_positions(connection)
                settings = current_settings.overlapping_by_dates(
                    connection, key=key, starts_at=starts_at, ends_at=ends_at
                )
                last_used = split_group_rest.last_used(connection)
                # Statements of one transaction may see different commits. Positions only grow, so two equal ones
                # prove that what was read between them belongs to that position.
                if before == _read_model_positions(connection):
                    return Neighbours(as_of_position=before[0], settings=settings, last_used=last_used)

    def counted(self, audience: Audience, settings: Sequence[CurrentSettings]) -> CountedUsers | None:
        """Return who meets the conditions of `audience` and of the tests with `settings`; None where nobody counts.

        Blocks as long as counting takes.

        Raises:
            RuleBroken: the users cannot be counted, or were not: see `domain.allocation.audience_counts`.
        """
        others = [Audience(key=each.key, conditions=each.conditions, filters=each.filters) for each in settings]
        # An outage of the users' database is none of ours: waiting for its end would hold up every other test.
        try:
            return self._counts.counted(audience, others)
        except RuleBroken:
            raise
        except Exception as error:
            _log.exception("the users of %s were not counted", audience.key)
            raise CountingFailed(audience.key, described(error)) from error


def overlapping(settings: Sequence[CurrentSettings], counted: CountedUsers | None) -> tuple[OverlappingTest, ...]:
    """Return the tests with `settings` as an allocation sees them, with the users that were counted."""
    shared: Sequence[SharedUsers | None] = [None] * len(settings) if counted is None else counted.shared
    return tuple(_overlapping(each, users) for each, users in zip(settings, shared, strict=True))


def _overlapping(settings: CurrentSettings, shared: SharedUsers | None) -> OverlappingTest:
    return OverlappingTest(
        key=settings.key,
        type=settings.type,
        settings_group=settings.settings_group,
        variants=tuple(
            PreparedVariant(name=variant.name, split_groups=variant.split_groups, users=variant.users)
            for variant in settings.variants
        ),
        shared_users=None if shared is None else shared.users,
        is_upper_bound=shared is not None and shared.is_upper_bound,
        # The fact will be read by people who must not know of other people's Drafts.
        is_named=settings.status != "draft",
    )


def described(error: Exception) -> str:
    """Return what a person can use of an error that nobody foresaw: its kind, and the beginning of its first line."""
    said = printable(str(error).strip().partition("\n")[0])[:_LONGEST_DETAIL]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _read_model_positions(connection: Connection) -> tuple[int, ...]:
    models = (current_settings.PROJECTION, split_group_rest.PROJECTION)
    generations = (serving(connection, model.name) for model in models)
    return tuple(generation.position if generation else 0 for generation in generations)
