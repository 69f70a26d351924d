"""The wire of hits as one port, and its version in memory."""

from collections.abc import Callable
from typing import Protocol, TypeAlias

from usersplit.hits import Hit, decode_hit

Report: TypeAlias = Callable[[str], None]
"""Told once for every record that was sent: "" when it was acknowledged, else why it was not."""


class HitTransport(Protocol):
    """Carries encoded hits away. Used by one background thread at a time; nothing of it is on a caller's path."""

    def bind(self, report: Report) -> None:
        """Report to `report` from now on, from within `send`, `poll` and `close` only."""
        ...

    def send(self, *, key: bytes, value: bytes) -> bool:
        """Take one record, without waiting for its acknowledgement.

        Returns:
            False when there is no room now: `poll`, then send it again. It was not taken and is not reported.

        Raises:
            Exception: the record cannot be sent at all; it is not reported.
        """
        ...

    def poll(self, timeout_seconds: float) -> None:
        """Report what has been acknowledged or refused; wait at most so long for the first of it."""
        ...

    def close(self, timeout_seconds: float) -> None:
        """Wait at most so long for acknowledgements, then let go of the connection. Idempotent."""
        ...

    def abandon(self) -> None:
        """Forget a connection inherited from a parent process, without touching it, and without blocking."""
        ...


class MemoryHitTransport:
    """Keeps the records in memory, for tests of services.

    While `available` is False it takes nothing, like a broker that is away. While `error` is not "" every record is
    refused for that reason.
    """

    def __init__(self) -> None:
        self.records: list[tuple[bytes, bytes]] = []
        self.available = True
        self.error = ""
        self._report: Report = _nobody

    @property
    def hits(self) -> list[Hit]:
        """The hits that arrived, in order."""
        return [decode_hit(value) for _, value in self.records]

    def bind(self, report: Report) -> None:
        """See `HitTransport`."""
        self._report = report

    def send(self, *, key: bytes, value: bytes) -> bool:
        """See `HitTransport`."""
        if not self.available:
            return False
        if not self.error:
            self.records.append((key, value))
        self._report(self.error)
        return True

    def poll(self, timeout_seconds: float) -> None:
        """See `HitTransport`. Everything was reported already."""

    def close(self, timeout_seconds: float) -> None:
        """See `HitTransport`. The records stay, to be looked at."""

    def abandon(self) -> None:
        """See `HitTransport`. The parent's records are the parent's."""
        self.records = []


def _nobody(error: str) -> None:
    """Nobody is bound yet."""
