"""Override expiry: what QA overrode ends by itself, as a fact of its own.

It asks the read model every few seconds what has ended and gives the command for those units alone. Read model and log
may differ by a moment: the command looks at the log, and records nothing where nothing is over. Any number may run.
"""

from collections.abc import Callable
from datetime import datetime
from logging import getLogger
from threading import Event
from typing import Final

from sqlalchemy import Engine

from commands.overrides import OverrideCommands
from consumers.outages import DATABASE_AWAY
from events.errors import VersionConflict
from projections import overrides
from projections.errors import ProjectionsError

_ASK_LATER: Final[tuple[type[Exception], ...]] = (*DATABASE_AWAY, ProjectionsError)
_LONGEST_RETRY_SECONDS: Final = 60.0

_log = getLogger(__name__)


class OverrideExpiry:
    """Takes out overrides whose time is over.

    Args:
        engine: the database of the read models.
        commands: record it.
        now: the clock.
        every_seconds: how often it looks.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        commands: OverrideCommands,
        now: Callable[[], datetime],
        every_seconds: float = 10.0,
    ) -> None:
        self._engine = engine
        self._commands = commands
        self._now = now
        self._every_seconds = every_seconds

    def run(self, stop: Event) -> None:
        """Look again and again until `stop` is set. A database that is away is asked again, ever more slowly."""
        wait = self._every_seconds
        while not stop.is_set():
            try:
                self.step()
                wait = self._every_seconds
            except _ASK_LATER as error:
                wait = min(2 * wait, _LONGEST_RETRY_SECONDS)
                _log.warning("override expiry: what has ended cannot be read or recorded, trying again: %s", error)
            stop.wait(wait)

    def step(self) -> int:
        """Take out what is over by now; return of how many units something was.

        Raises:
            DatabaseUnavailable, sqlalchemy.exc.OperationalError: the database does not answer.
            ProjectionsError: the read model is not there (yet).
        """
        with self._engine.connect() as connection:
            due = overrides.due(connection, now=self._now())
        expired = 0
        for each in due:
            try:
                expired += self._commands.expire(unit=each.unit, environment=each.environment) is not None
            except VersionConflict:
                continue  # somebody overrides that very unit now: the next look tells what has ended then
        if expired:
            _log.info("override expiry: something ended for %d units", expired)
        return expired
