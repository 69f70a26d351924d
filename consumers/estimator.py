"""Counts the user groups that wait to be counted: new conditions, and those that a manager asked to count anew.

Nothing waits for it: conditions of user groups are in force at once. Any number of estimators may run; where two count
one user group, the first one's answer is recorded, and the other's thrown away.
"""

from collections.abc import Callable
from datetime import datetime
from logging import getLogger
from threading import Event

from sqlalchemy import Engine

from commands.user_group_estimates import UserGroupEstimateCommands
from consumers.one_by_one import one_by_one
from consumers.outages import DATABASE_AWAY
from consumers.preparation_inputs import described
from consumers.user_group_counting import UserGroupCounting
from domain.errors import EstimateSuperseded, RuleBroken
from domain.user_group import UserGroup
from events.errors import VersionConflict
from events.registry import FactRegistry
from events.store import EventStore
from projections import user_group_estimates

_log = getLogger(__name__)


class Estimator:
    """Counts user groups. Any number of threads and processes.

    Args:
        engine: the database of the read models.
        store: the event log.
        registry: decodes it.
        catch_up: brings the read models up to the event log.
        now: the clock.
        counting: counts one of them.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        store: EventStore,
        registry: FactRegistry,
        catch_up: Callable[[], object],
        now: Callable[[], datetime],
        counting: UserGroupCounting,
    ) -> None:
        self._engine = engine
        self._commands = UserGroupEstimateCommands(store=store, registry=registry, now=now)
        self._catch_up = catch_up
        self._counting = counting

    def estimate(self, key: str) -> bool:
        """Count the user group `key`, if it waits to be counted. Blocks as long as counting takes.

        Whatever is wrong with this one user group, an error of the program included, is recorded as its failure with
        the reason: its manager reads it and can ask anew, and no other group waits behind it.

        Returns:
            Whether its numbers were recorded by this call.

        Raises:
            sqlalchemy.exc.OperationalError, events.errors.DatabaseUnavailable: the database did not answer; try again.
            Exception: the user group could not be read, or its failure could not be recorded.
        """
        while True:
            group, settings_group, version = self._commands.waiting(key)
            if group is None or not settings_group:
                return False
            try:
                return self._estimate_now(group, settings_group, version)
            except (VersionConflict, EstimateSuperseded):
                continue  # something happened to it meanwhile: look again

    def estimate_all(self, stop: Event | None = None) -> int:
        """Count every user group that waits now, until `stop` is set; return how many were counted.

        Raises:
            Exception: see `estimate`. An outage ends the call at once; for anything else the other groups do not wait:
                they are counted first, and then the first error is raised.
        """
        stop = stop or Event()
        self._catch_up()
        with self._engine.connect() as connection:
            waiting = user_group_estimates.waiting(connection)
        return one_by_one(waiting, self.estimate, stop=stop, what_fails="(a user group) cannot be counted")

    def _estimate_now(self, group: UserGroup, settings_group: int, version: int) -> bool:
        current = group.current
        if current is None:
            return False
        try:
            counted = self._counting.count(group.key, conditions=current.conditions, filters=current.filters)
        except DATABASE_AWAY:
            raise
        except RuleBroken as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 - its reason becomes a fact, and its traceback is logged
            _log.exception("an error of the program ended the counting of the user group %s", group.key)
            reason = f"an error of this program ({described(error)}); report it: the program's log has the details"
        else:
            if counted is None:
                return False
            self._commands.record_estimated(
                group.key,
                settings_group=settings_group,
                as_of_position=counted.as_of_position,
                users=counted.users,
                shared=counted.shared,
                assumed_filters=counted.assumed_filters,
                expected_version=version,
            )
            return True
        self._commands.record_failed(group.key, settings_group=settings_group, reason=reason, expected_version=version)
        return False
