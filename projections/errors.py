"""What can go wrong between the log and the read models."""

from typing import Final

from sqlalchemy.exc import InterfaceError, OperationalError

from events.errors import DatabaseUnavailable

OUTAGES: Final = (DatabaseUnavailable, OperationalError, InterfaceError)
"""What says that a database is in trouble, not a projection: the transaction is lost, and can be tried again."""


class ProjectionsError(Exception):
    """The root of this room's errors.

    ProjectionsError
    ├── NoLiveGeneration      nothing was projected yet
    ├── ProjectionOutdated    the stored rows were made by another version of the code
    ├── LogBehindProjection   the log ends before the position that the projection stands at
    ├── RebuildFailed         a rebuild met a fact that it could not apply; nothing changed for readers
    ├── RebuildSuperseded     another rebuild of the same projection was started meanwhile
    ├── NothingToPause        the projection is not live
    └── NothingToResume       the projection is not paused
    """


class NoLiveGeneration(ProjectionsError):
    """There are no rows to read yet."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the projection {name} was never built: run the projector once, then read again")
        self.name = name


class ProjectionOutdated(ProjectionsError):
    """The rows that serve readers were written by another version of the projection's code."""

    def __init__(self, name: str, *, stored: int, code: int) -> None:
        super().__init__(
            f"the projection {name} is stored in version {stored} and this program reads version {code}: "
            f"rebuild {name} with the newer program"
        )
        self.name = name
        self.stored = stored
        self.code = code


class LogBehindProjection(ProjectionsError):
    """The projection stands beyond the end of the log, as after restoring an older dump of the log alone."""

    def __init__(self, position: int, head: int) -> None:
        super().__init__(
            f"the projection stands at position {position} and the log ends at {head}: was an older log restored? "
            "Rebuild the projection from the log that is in force"
        )
        self.position = position
        self.head = head


class RebuildFailed(ProjectionsError):
    """A rebuild stopped at a fact; its half-built tables were removed and readers noticed nothing."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"the rebuild of {name} failed and changed nothing for readers: {reason}")
        self.name = name
        self.reason = reason


class RebuildSuperseded(ProjectionsError):
    """Another rebuild of the same projection took over; this one wrote nothing that readers will see."""

    def __init__(self, name: str, generation: int) -> None:
        super().__init__(
            f"generation {generation} of the projection {name} was taken away by another rebuild: wait for that one, "
            "and start one at a time"
        )
        self.name = name
        self.generation = generation


class NothingToPause(ProjectionsError):
    """Only a live projection can be paused."""

    def __init__(self, name: str, state: str) -> None:
        super().__init__(f"the projection {name} is {state}, and only a live one can be paused; look at `projections`")
        self.name = name


class NothingToResume(ProjectionsError):
    """Only a paused projection can be resumed."""

    def __init__(self, name: str, state: str) -> None:
        super().__init__(
            f"the projection {name} is {state}, and only a paused one can be resumed; look at `projections`"
        )
        self.name = name
