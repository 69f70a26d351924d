"""Prepares settings groups: draws their split groups, counts users and overlaps, and makes them the current ones.

One settings group at a time: read which tests overlap, draw, append one fact at the version that was looked at. Any
number of preparers may run: a lock lets one of them prepare at a time, and the others look again and find less to do.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from logging import getLogger
from threading import Event
from typing import Final

from sqlalchemy import Engine

from commands.preparation import PreparationCommands
from consumers.leadership import LeaderLock, leader_lock
from consumers.one_by_one import one_by_one
from consumers.outages import DATABASE_AWAY
from consumers.preparation_draw import PreparationDraw
from consumers.preparation_inputs import described
from consumers.preparation_lock import LOCK, LockLost, PreparationLock
from consumers.repeated import Repeated
from domain.errors import RuleBroken
from domain.settings_groups import waiting
from domain.split_test import SettingsGroup, SplitTest
from events.errors import VersionConflict
from events.registry import FactRegistry
from events.store import EventStore
from projections import current_settings
from projections.preparation_steps import PreparationStep

_TO_TRY_AGAIN: Final[tuple[type[Exception], ...]] = (*DATABASE_AWAY, VersionConflict, LockLost)
"""What says nothing about the settings group, which was at the wrong place at the wrong time."""

_log = getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where the preparation of a settings group is; `detail` is the reason of a failure, or how much was done."""

    key: str
    settings_group: int
    step: PreparationStep
    detail: str = ""


def _untold(progress: Progress) -> None:
    del progress


def _nothing_else(stop: Event) -> None:
    del stop


class Preparer:
    """Prepares settings groups that wait. Any number of threads and processes.

    Args:
        engine: the database of the read models.
        store: the event log.
        registry: decodes it.
        catch_up: brings the read models up to the event log.
        now: the clock.
        draw: counts users and draws split groups.
        progress: told of every step.
        lock: held by one preparation at a time; None is the lock of `engine`'s database.
    """

    def __init__(  # noqa: PLR0913 - the ports of a process, wired by name
        self,
        *,
        engine: Engine,
        store: EventStore,
        registry: FactRegistry,
        catch_up: Callable[[], object],
        now: Callable[[], datetime],
        draw: PreparationDraw,
        progress: Callable[[Progress], None] = _untold,
        lock: LeaderLock | None = None,
    ) -> None:
        self._engine = engine
        self._commands = PreparationCommands(store=store, registry=registry, now=now)
        self._catch_up = catch_up
        self._draw = draw
        self._progress = progress
        self._lock = PreparationLock(lock or leader_lock(engine, LOCK))

    def prepare(self, key: str, *, stop: Event | None = None) -> bool:
        """Prepare the settings group of `key` that waits. Blocks while others prepare, and as long as counting takes.

        Whatever is wrong with this one settings group, an error of the program included, is recorded as its failure
        with the reason: its manager reads it and can retry, and no other test waits behind it.

        Args:
            key: of the test.
            stop: ends the wait for others, once it is set.

        Returns:
            Whether it became the current one by this call. False: nothing waits (another preparer may have been
            faster), the preparation failed and the reason was recorded, or it is time to stop.

        Raises:
            sqlalchemy.exc.OperationalError, events.errors.DatabaseUnavailable: the database did not answer. It is not
                known whether anything was recorded; try again.
            Exception: the test could not be read, or its failure could not be recorded.
        """
        stop = stop or Event()
        while True:
            test, _ = self._commands.load(key)
            group = waiting(test)
            if group is None:
                return False
            tell = _Teller(self._progress, key, group.number)
            with self._lock.held(stop, partial(tell, "waiting", "another preparation is under way")) as ours:
                try:
                    return ours and self._prepare_now(key)
                except VersionConflict:
                    continue  # somebody wrote to the test: what was drawn is worthless, look again
                except LockLost as error:
                    _log.warning("%s: %s", key, error)

    def prepare_all(self, *, stop: Event | None = None) -> int:
        """Prepare every settings group that waits now, until `stop` is set; return how many became current.

        Raises:
            Exception: see `prepare`. An outage ends the call at once; for anything else the other tests do not wait:
                they are prepared first, and then the first error is raised.
        """
        stop = stop or Event()
        self._catch_up()
        with self._engine.connect() as connection:
            waiting = [each.key for each in current_settings.pending(connection)]
        return one_by_one(waiting, partial(self.prepare, stop=stop), stop=stop, what_fails="cannot be prepared")

    def run(self, stop: Event, *, idle_seconds: float = 0.5, also: Callable[[Event], object] = _nothing_else) -> None:
        """Prepare what waits until `stop` is set. A database that does not answer is asked again, with a warning.

        Args:
            stop: ends it.
            idle_seconds: between two looks at what waits.
            also: done after each look, under the same rules.

        Raises:
            Exception: see `prepare_all`. The process ends, and whoever supervises it starts it again.
        """
        told = Repeated()
        while not stop.is_set():
            try:
                self.prepare_all(stop=stop)
                also(stop)
            except DATABASE_AWAY as error:
                if told.is_due(str(error)):
                    _log.warning("the database does not answer, preparing again in %s s: %s", idle_seconds, error)
            stop.wait(idle_seconds)

    def _prepare_now(self, key: str) -> bool:
        test, version = self._commands.load(key)
        group = waiting(test)
        if test is None or group is None:
            return False
        tell = _Teller(self._progress, key, group.number)
        try:
            self._draw_and_record(test, group, version, tell)
        except _TO_TRY_AGAIN:
            raise
        except RuleBroken as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 - its reason becomes a fact, and its traceback is logged
            _log.exception("an error of the program ended the preparation of %s", test.key)
            reason = f"an error of this program ({described(error)}); report it: the program's log has the details"
        else:
            tell("prepared")
            return True
        self._commands.record_failed(test.key, settings_group=group.number, reason=reason, expected_version=version)
        tell("failed", reason)
        return False

    def _draw_and_record(self, test: SplitTest, group: SettingsGroup, version: int, tell: "_Teller") -> None:
        drawn = self._draw.draw(test, group, tell)
        self._lock.check()
        self._commands.record_prepared(
            test.key,
            settings_group=group.number,
            seed=drawn.seed,
            as_of_position=drawn.as_of_position,
            variants=drawn.variants,
            overlaps=drawn.overlaps,
            kept_groups=drawn.kept_groups,
            moved=drawn.moved,
            assumed_filters=drawn.assumed_filters,
            base_rate=drawn.base_rate,
            expected_version=version,
        )


class _Teller:
    """Tells of one preparation's steps."""

    def __init__(self, progress: Callable[[Progress], None], key: str, settings_group: int) -> None:
        self._progress = progress
        self._key = key
        self._settings_group = settings_group

    def __call__(self, step: PreparationStep, detail: str = "") -> None:
        self._progress(Progress(key=self._key, settings_group=self._settings_group, step=step, detail=detail))
