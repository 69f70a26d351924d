"""How far each consumer is, as operators see it on a page."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

ConsumerState: TypeAlias = Literal["up to date", "behind", "late", "nobody reads", "not known"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerStanding:
    """A process that follows the log or a topic.

    Attributes:
        name: as its process is called.
        does: what it makes of what it reads.
        state: `late` where the oldest of what it has not read has waited for long.
        behind: how much it has not read yet, None where that is not known.
        unit: what that is counted in: facts, hits, settings groups.
        since: when the oldest of it was recorded, None where that is not known.
        members: how many processes read together, None where that is not known.
        advice: how to go on, or why something is not known; empty if all is well.
    """

    name: str
    does: str
    state: ConsumerState
    behind: int | None
    unit: str = "facts"
    since: datetime | None = None
    members: int | None = None
    advice: str = ""
