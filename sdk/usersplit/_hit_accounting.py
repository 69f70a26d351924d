"""Counting hits so that none is lost without a word."""

import itertools
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

DropReason: TypeAlias = Literal[
    "buffer_full",
    "closed",
    "encoding_failed",
    "delivery_failed",
    "close_deadline",
    "spool_full",
    "spool_damaged",
]
"""Why a hit was dropped.

buffer_full: more hits were logged than could be taken, by count or by bytes, e.g. while the broker is away.
closed: it was logged after the logger was closed.
encoding_failed: it has a value that the schema of hits cannot hold.
delivery_failed: the broker refused it.
close_deadline: it was not known to be delivered when the time for closing was over.
spool_full: it was in the oldest segment of the spool when that reached its cap.
spool_damaged: it was in the spool and cannot be read any more.
"""

DROP_REASONS: Final[tuple[DropReason, ...]] = get_args(DropReason)


@dataclass(frozen=True, slots=True, kw_only=True)
class HitStats:
    """What became of all hits of this process: `accepted == delivered + sum(dropped.values()) + buffered + spooled`.

    Attributes:
        accepted: hits that were logged, and those that were recovered.
        delivered: hits that the transport acknowledged.
        dropped: hits that were given up, by reason.
        buffered: hits on their way, in memory or with the transport.
        spooled: hits that wait on the disk.
        recovered: hits found in the spools of processes that are gone. They were accepted there too, so the hits that
            all processes together were given are the sum of `accepted - recovered`.
        duplicates: exposures that were not logged, because this process had logged the same one before. They are no
            part of `accepted`: nothing is missing without them.
    """

    accepted: int
    delivered: int
    dropped: Mapping[DropReason, int]
    buffered: int
    spooled: int = 0
    recovered: int = 0
    duplicates: int = 0


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


class HitAccount:
    """Where the hits that left the buffer are. Every method moves hits as one step, under `lock`.

    After `settle` nothing moves any more: what is reported late was counted as dropped already.
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Count from zero, in a child process too, where a thread that is gone may hold the lock."""
        self.lock = threading.RLock()
        self.settled = False
        self.last_error = ""
        self.in_hand = 0
        self.spooled = 0
        self._taken = self._delivered = self._recovered = 0
        self._dropped: dict[DropReason, int] = dict.fromkeys(DROP_REASONS, 0)

    def take(self, count: int) -> None:
        """From the buffer into the hand. The caller holds the lock while it empties the buffer."""
        self._taken += count
        self.in_hand += count

    def deliver(self, count: int) -> None:
        """From the hand to the broker."""
        with self.lock:
            if not self.settled:
                self.in_hand -= count
                self._delivered += count

    def drop(self, reason: DropReason, count: int, error: str = "") -> None:
        """From the hand to nowhere."""
        with self.lock:
            if not self.settled:
                self.in_hand -= count
                self._dropped[reason] += count
        self.last_error = error or self.last_error

    def spool(self, count: int) -> None:
        """From the hand to the disk."""
        with self.lock:
            if not self.settled:
                self.in_hand -= count
                self.spooled += count

    def replayed(self, delivered: int, refused: int, error: str) -> None:
        """From the disk to the broker, which refused some."""
        with self.lock:
            if not self.settled:
                self.spooled -= delivered + refused
                self._delivered += delivered
                self._dropped["delivery_failed"] += refused
        self.last_error = error or self.last_error

    def lose_spooled(self, reason: DropReason, count: int) -> None:
        """From the disk to nowhere."""
        with self.lock:
            if not self.settled:
                self.spooled -= count
                self._dropped[reason] += count

    def recover(self, count: int) -> None:
        """Found on the disk."""
        with self.lock:
            if not self.settled:
                self._taken += count
                self._recovered += count
                self.spooled += count

    def settle(self) -> None:
        """Drop what is in the hand; what is on the disk stays there, for another process."""
        with self.lock:
            if not self.settled:
                self.drop("close_deadline", self.in_hand)
                self.settled = True

    def give_up(self, reason: DropReason, count: int) -> None:
        """From the buffer to nowhere; after `settle` too. The caller holds the lock while it empties the buffer."""
        self._taken += count
        self._dropped[reason] += count

    def stats(self, *, waiting: int, full: int, late: int, duplicates: int) -> HitStats:
        """Return the counts with those of the callers' side. The caller holds the lock while it counts them."""
        # Acceptance is what a caller does in one step: an append, or a tick of one of the tallies.
        return HitStats(
            accepted=self._taken + waiting + full + late,
            delivered=self._delivered,
            dropped={
                **self._dropped,
                "buffer_full": self._dropped["buffer_full"] + full,
                "closed": self._dropped["closed"] + late,
            },
            buffered=waiting + self.in_hand,
            spooled=self.spooled,
            recovered=self._recovered,
            duplicates=duplicates,
        )
