"""Tells of a preparation's steps in the database, where other processes see them."""

from collections.abc import Callable
from datetime import datetime
from logging import getLogger

from sqlalchemy import Engine

from consumers.outages import DATABASE_AWAY
from consumers.preparer import Progress
from events.database import write_transaction
from projections import preparation_steps

_log = getLogger(__name__)


class PreparationProgressWriter:
    """What a `consumers.preparer.Preparer` tells its progress to. Safe to share between threads."""

    def __init__(self, engine: Engine, *, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._now = now

    def __call__(self, progress: Progress) -> None:
        """Write down a step. A database that is away loses the step; it will hold up the preparation itself soon."""
        try:
            with write_transaction(self._engine) as connection:
                preparation_steps.tell(
                    connection,
                    progress.key,
                    settings_group=progress.settings_group,
                    step=progress.step,
                    detail=progress.detail,
                    at=self._now(),
                )
        except DATABASE_AWAY as error:
            _log.warning("the progress of %s is not shown: %s", progress.key, error)
