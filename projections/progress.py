"""How far a long reading of the log has come, in figures that a person waiting for it wants."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

Stage: TypeAlias = Literal["starting", "building", "switching", "dropping", "done"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A moment of a rebuild.

    Attributes:
        name: the projection.
        stage: what begins now.
        done: events applied.
        total: events in the log, as last seen; it grows while others write.
        elapsed_seconds: since the rebuild began.
    """

    name: str
    stage: Stage
    done: int
    total: int
    elapsed_seconds: float

    @property
    def events_per_second(self) -> float:
        """The rate so far, 0 before any time went by."""
        return self.done / self.elapsed_seconds if self.elapsed_seconds > 0 else 0.0

    @property
    def remaining_seconds(self) -> float | None:
        """The time left at the rate so far, None before there is one."""
        rate = self.events_per_second
        return max(self.total - self.done, 0) / rate if rate > 0 else None


ReportProgress: TypeAlias = Callable[[Progress], None]


def report_nothing(progress: Progress) -> None:
    """Ignore the progress."""
    del progress
