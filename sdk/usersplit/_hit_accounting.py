"""Counting hits so that none is lost without a word: accepted = delivered + dropped + buffered, at all times."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

DropReason: TypeAlias = Literal["buffer_full", "closed", "encoding_failed", "delivery_failed", "close_deadline"]
"""Why a hit was dropped.

buffer_full: more hits were logged than the transport could take, e.g. while the broker is away.
closed: it was logged after the logger was closed.
encoding_failed: it has a value that the schema of hits cannot hold.
delivery_failed: the broker refused it.
close_deadline: it was not known to be delivered when the time for closing was over.
"""

DROP_REASONS: Final[tuple[DropReason, ...]] = get_args(DropReason)


@dataclass(frozen=True, slots=True, kw_only=True)
class HitStats:
    """What became of all hits of this process: `accepted == delivered + sum(dropped.values()) + buffered`.

    Attributes:
        accepted: hits that were logged.
        delivered: hits that the transport acknowledged.
        dropped: hits that were given up, by reason.
        buffered: hits on their way, in the buffer or with the transport.
    """

    accepted: int
    delivered: int
    dropped: Mapping[DropReason, int]
    buffered: int


class Tally:
    """A counter that any thread raises without a lock, and that one thread at a time reads.

    `itertools.count` is advanced in one step of the interpreter, where `n += 1` is several and loses counts. It can
    only be read by advancing it, so the looks are counted too, and subtracted.
    """

    __slots__ = ("_looks", "tick")

    def __init__(self) -> None:
        self.tick = itertools.count().__next__
        self._looks = 0

    def value(self) -> int:
        """Return how often `tick` was called. Not for two threads at once."""
        ticks = self.tick() - self._looks
        self._looks += 1
        return ticks

    def reset(self) -> None:
        """Start again from zero."""
        self._looks = self.tick() + 1
