"""Where callers leave their hits: bounded by count and by bytes, without a lock on the way of a usual hit."""

import threading
from collections import deque
from typing import Final

from usersplit._hit_accounting import Tally
from usersplit._hit_record import BufferedHit

BYTES_PER_HIT: Final = 512
"""What a usual hit takes at most: its tuple, its time, and all its texts together no longer than `USUAL_LENGTH`."""

USUAL_LENGTH: Final = 256


class HitBuffer:
    """The hits that callers logged and the background thread did not take yet.

    A usual hit is an append, if fewer than `limit` wait: the bytes are bounded by counting. A larger one is counted
    with its length, under a lock that is held for a moment, and lowers the limit for all.
    """

    def __init__(self, *, capacity: int, capacity_bytes: int) -> None:
        self.hits: deque[BufferedHit] = deque()
        self.full = Tally()
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes
        self.clear()

    def clear(self) -> None:
        """Start from nothing, in a child process too, where a thread that is gone may hold the lock."""
        self._lock = threading.RLock()
        self.hits.clear()
        self.full.reset()
        self._extra_bytes = 0
        self._set_limit()

    def add_large(self, hit: BufferedHit) -> bool:
        """Append a hit that is larger than usual; answer whether there was room."""
        extra_bytes = hit[-1]
        with self._lock:
            taken = BYTES_PER_HIT * (len(self.hits) + 1) + self._extra_bytes
            if len(self.hits) >= self._capacity or taken + extra_bytes > self._capacity_bytes:
                self.full.tick()
                return False
            self._extra_bytes += extra_bytes
            self._set_limit()
            self.hits.append(hit)
            return True

    def take(self, count: int) -> list[BufferedHit]:
        """Remove the oldest hits, `count` at most. For one thread at a time."""
        popleft = self.hits.popleft
        batch = [popleft() for _ in range(min(count, len(self.hits)))]
        if self._extra_bytes:
            with self._lock:
                self._extra_bytes -= sum(hit[-1] for hit in batch)
                self._set_limit()
        return batch

    @property
    def is_nearly_full(self) -> bool:
        """Whether three quarters of the room are taken."""
        return 4 * len(self.hits) >= 3 * self.limit

    def _set_limit(self) -> None:
        self.limit = min(self._capacity, (self._capacity_bytes - self._extra_bytes) // BYTES_PER_HIT)
