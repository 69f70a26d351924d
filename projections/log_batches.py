"""Batches of decoded facts from the log, cut before the first event that nobody may step over."""

from dataclasses import dataclass
from typing import TypeAlias

from events.errors import CorruptPayload, PositionGap, UnknownFact
from events.registry import FactRegistry
from events.store import EventStore, RecordedFact, recorded
from projections.errors import LogBehindProjection

Obstacle: TypeAlias = PositionGap | CorruptPayload | UnknownFact | LogBehindProjection


@dataclass(frozen=True, slots=True, kw_only=True)
class LogBatch:
    """A stretch of the log.

    Attributes:
        after: the position before it.
        reached: the position of its last event, decoded or skipped; `after` if it is empty.
        facts: the decoded facts in it.
        unknown: the unknown facts that were skipped.
        obstacle: what the log holds right behind it, if that can be neither decoded nor skipped.
    """

    after: int
    reached: int
    facts: tuple[RecordedFact, ...]
    unknown: tuple[UnknownFact, ...] = ()
    obstacle: Obstacle | None = None

    @property
    def is_empty(self) -> bool:
        """Say whether the log held nothing behind `after`: no event, and no obstacle either."""
        return self.reached == self.after and self.obstacle is None


def read_batch(store: EventStore, registry: FactRegistry, *, after: int, limit: int, skip_unknown: bool) -> LogBatch:
    """Read at most `limit` events behind `after`.

    Whoever follows the log skips unknown facts, because a newer program may already write them; a rebuild does not,
    because its rows would stay wrong (rule 6 of the pipeline).
    """
    events = store.read(after=after, limit=limit)
    if not events and after > (head := store.head()):
        return LogBatch(after=after, reached=after, facts=(), obstacle=LogBehindProjection(after, head))
    facts: list[RecordedFact] = []
    unknown: list[UnknownFact] = []
    obstacle: Obstacle | None = None
    reached = after
    for event in events:
        try:
            if event.position != reached + 1:
                raise PositionGap(reached + 1, event.position)  # noqa: TRY301 - one way out for all three obstacles
            facts.append(recorded(event, registry))
        except UnknownFact as error:
            if not skip_unknown:
                obstacle = error
                break
            unknown.append(error)
        except (PositionGap, CorruptPayload) as error:
            obstacle = error
            break
        reached = event.position
    return LogBatch(after=after, reached=reached, facts=tuple(facts), unknown=tuple(unknown), obstacle=obstacle)
