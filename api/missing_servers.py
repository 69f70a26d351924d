"""Which live servers have not laid out which config yet, remembered for a moment.

To find out is a join of every document with every server, and the same for everybody. So it is looked up once a second
at most while nothing is written, and at once after every fact: who publishes a test sees in red where it is missing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Annotated, Final, TypeAlias

from fastapi import Depends, Request
from sqlalchemy import Connection

from projections import laid_out
from projections.errors import ProjectionsError
from projections.reading import standing_of

FRESH_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingServers:
    """Which live servers have not laid out the newest config of which test; `live` is how many there are."""

    live: int = 0
    by_key: Mapping[str, Sequence[str]] = field(default_factory=dict)


class MissingServersMemory:
    """Looks it up where it has to. Safe to share between threads.

    Args:
        monotonic: the clock that never jumps.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = Lock()
        self._found = MissingServers()
        self._head = -1
        self._until = 0.0

    def read(self, connection: Connection) -> MissingServers:
        """Return how it is, as of the reading on this connection; reports of the last second may be missing."""
        head = standing_of(connection).head
        if self._is_fresh(head):
            return self._found
        with self._lock:
            if not self._is_fresh(head):
                until = self._monotonic() + FRESH_SECONDS
                self._found = _look_up(connection)
                self._head, self._until = head, until
            return self._found

    def _is_fresh(self, head: int) -> bool:
        return self._head >= head and self._monotonic() < self._until


def _look_up(connection: Connection) -> MissingServers:
    live = len(laid_out.live_servers(connection))
    if not live:
        return MissingServers()
    try:
        return MissingServers(live=live, by_key=laid_out.not_laid_out(connection))
    except ProjectionsError:  # while the configs to compare with are being rebuilt for a new release
        return MissingServers(live=live)


async def _memory(request: Request) -> MissingServersMemory:
    memory: MissingServersMemory = request.app.state.missing_servers
    return memory


MissingServersHere: TypeAlias = Annotated[MissingServersMemory, Depends(_memory)]
"""The memory, as an argument of an endpoint."""
