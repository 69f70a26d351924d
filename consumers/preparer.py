"""Prepares settings groups: draws their split groups, counts users and overlaps, and makes them the current ones.

One settings group at a time: read which tests overlap, draw, append one fact at the version that was looked at. Any
number of preparers may run at once: the first to append wins, the others look again and find nothing to do.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from logging import getLogger
from threading import Event
from typing import Literal

from sqlalchemy import Connection, Engine

from commands.preparation import PreparationCommands
from consumers.outages import DATABASE_AWAY
from domain.allocation.audience_counts import Audience, AudienceCounts, NobodyCounted
from domain.allocation.free_first import allocate as allocate_free_first
from domain.allocation.request import AllocationRequest, Allocator, OverlappingTest
from domain.errors import RuleBroken
from domain.settings_groups import waiting
from domain.split_test import SettingsGroup, SplitTest
from events.errors import VersionConflict
from events.facts import PreparedVariant
from events.registry import FactRegistry
from events.store import EventStore
from projections import current_settings
from projections.current_settings import CurrentSettings
from projections.registry import serving

_log = getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where the preparation of a settings group is; `detail` is the reason of a failure, or how much was done."""

    key: str
    settings_group: int
    step: Literal["overlaps", "split_groups", "prepared", "failed"]
    detail: str = ""


_NOBODY_COUNTED = NobodyCounted()


def _untold(progress: Progress) -> None:
    del progress


@dataclass(frozen=True, slots=True, kw_only=True)
class _Neighbours:
    """The tests whose dates overlap, as they were at one position of the event log."""

    as_of_position: int
    settings: Sequence[CurrentSettings]


class Preparer:
    """Prepares settings groups that wait. One thread; any number of processes.

    Args:
        engine: the database of the read models.
        store: the event log.
        registry: decodes it.
        catch_up: brings the read models up to the event log.
        now: the clock.
        seeds: gives the seed of each draw, not negative.
        counts: knows the users.
        allocate: draws split groups.
        progress: told of every step.
    """

    def __init__(  # noqa: PLR0913 - the ports of a process, wired by name
        self,
        *,
        engine: Engine,
        store: EventStore,
        registry: FactRegistry,
        catch_up: Callable[[], object],
        now: Callable[[], datetime],
        seeds: Callable[[], int],
        counts: AudienceCounts = _NOBODY_COUNTED,
        allocate: Allocator = allocate_free_first,
        progress: Callable[[Progress], None] = _untold,
    ) -> None:
        self._engine = engine
        self._commands = PreparationCommands(store=store, registry=registry, now=now)
        self._catch_up = catch_up
        self._allocate = allocate
        self._counts = counts
        self._seeds = seeds
        self._progress = progress

    def prepare(self, key: str) -> bool:
        """Prepare the settings group of `key` that waits. Blocks as long as counting takes.

        Returns:
            Whether it became the current one by this call. False: nothing waits (another preparer may have been
            faster), or the preparation failed and the reason was recorded.

        Raises:
            sqlalchemy.exc.OperationalError: the database did not answer. Nothing was recorded; try again.
            Exception: whatever else is no rule: a programming error, an outage of the users' database. Likewise.
        """
        while True:
            test, version = self._commands.load(key)
            group = waiting(test)
            if test is None or group is None:
                return False
            try:
                return self._prepare_at(test, group, version)
            except VersionConflict:
                continue  # somebody wrote to the test: what was drawn is worthless, look again

    def prepare_all(self) -> int:
        """Prepare every settings group that waits now, and return how many became current. Raises as `prepare`."""
        self._catch_up()
        with self._engine.connect() as connection:
            pending = current_settings.pending(connection)
        return sum(self.prepare(each.key) for each in pending)

    def run(self, stop: Event, *, idle_seconds: float = 0.5) -> None:
        """Prepare what waits until `stop` is set. A database that does not answer is asked again, with a warning.

        Raises:
            Exception: see `prepare`. The process ends, and whoever supervises it starts it again.
        """
        while not stop.is_set():
            try:
                self.prepare_all()
            except DATABASE_AWAY as error:
                _log.warning("the database does not answer, preparing again in %s s: %s", idle_seconds, error)
            stop.wait(idle_seconds)

    def _prepare_at(self, test: SplitTest, group: SettingsGroup, version: int) -> bool:
        try:
            self._draw_and_record(test, group, version)
        except RuleBroken as error:
            self._commands.record_failed(
                test.key, settings_group=group.number, reason=str(error), expected_version=version
            )
            self._tell(test, group, "failed", str(error))
            return False
        self._tell(test, group, "prepared")
        return True

    def _draw_and_record(self, test: SplitTest, group: SettingsGroup, version: int) -> None:
        neighbours = self._neighbours(test.key, group)
        self._tell(test, group, "overlaps", f"{len(neighbours.settings)} tests overlap by dates")
        audience = Audience(key=test.key, conditions=group.conditions, filters=group.filters)
        seed = self._seeds()
        request = AllocationRequest(
            seed=seed,
            type=test.type,
            variants=group.variants,
            previous=test.current.prepared if test.current else (),
            overlapping=tuple(self._overlapping(audience, settings) for settings in neighbours.settings),
        )
        allocation = self._allocate(request)
        self._tell(test, group, "split_groups", f"{allocation.kept_groups} split groups stay as they were")
        self._commands.record_prepared(
            test.key,
            settings_group=group.number,
            seed=seed,
            as_of_position=neighbours.as_of_position,
            variants=self._estimated(audience, allocation.variants),
            overlaps=allocation.overlaps,
            expected_version=version,
        )

    def _neighbours(self, key: str, group: SettingsGroup) -> _Neighbours:
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
                    return _Neighbours(as_of_position=before, settings=settings)

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
            shared_users=self._counts.shared_users(audience, other),
            # The fact will be read by people who must not know of other people's Drafts.
            is_named=settings.status != "draft",
        )

    def _estimated(self, audience: Audience, variants: tuple[PreparedVariant, ...]) -> tuple[PreparedVariant, ...]:
        users = self._counts.users(audience)
        if users is None:
            return variants
        return tuple(
            replace(variant, users=sum(users.get(number, 0) for number in variant.split_groups)) for variant in variants
        )

    def _tell(
        self,
        test: SplitTest,
        group: SettingsGroup,
        step: Literal["overlaps", "split_groups", "prepared", "failed"],
        detail: str = "",
    ) -> None:
        self._progress(Progress(key=test.key, settings_group=group.number, step=step, detail=detail))


def _read_model_position(connection: Connection) -> int:
    generation = serving(connection, current_settings.PROJECTION.name)
    return generation.position if generation else 0
