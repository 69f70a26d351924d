"""The wire of hits as one port, and its version in memory."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from usersplit.hit_reports import HitReport, decode_hit_report
from usersplit.hits import Hit, decode_hit

Record: TypeAlias = tuple[bytes, bytes]
"""A hit as it travels: the key (the unit's id) and the value."""


class Refusal(NamedTuple):
    """A record that was sent and not delivered.

    Attributes:
        record: what was sent.
        error: why it was refused.
        permanent: it would be refused again, whenever it is sent.
    """

    record: Record
    error: str
    permanent: bool


class HitTransport(Protocol):
    """Carries encoded hits away. Used by one background thread at a time; nothing of it is on a caller's path."""

    def bind(self, refused: Callable[[Refusal], None]) -> None:
        """Tell `refused` of every record that is not delivered, from within `send`, `poll` and `close` only."""
        ...

    def send(self, records: Sequence[Record]) -> int:
        """Take records from the front, without waiting for acknowledgements; return how many.

        Fewer than all: there is no room now. `poll`, then send the rest. A record that cannot be sent at all is
        taken, and refused at once.
        """
        ...

    def poll(self, timeout_seconds: float) -> None:
        """Learn what has been acknowledged or refused; wait at most so long for the first of it."""
        ...

    def outstanding(self) -> int:
        """Return how many records were taken, and are neither acknowledged nor refused yet; never too few."""
        ...

    def close(self, timeout_seconds: float) -> None:
        """Wait at most so long for acknowledgements, refuse the rest, let go of the connection. Idempotent."""
        ...

    def send_report(self, report: Record, told: Callable[[bool], None]) -> None:
        """Send a report of what became of hits (`usersplit.hit_reports`), which is no hit: `outstanding` leaves it out.

        Never blocks. `told` learns once whether it was acknowledged, from within `send_report`, `poll` and
        `close_reports` only. A report that raises counts as one that was not.
        """
        ...

    def close_reports(self, timeout_seconds: float) -> None:
        """Wait at most so long for the acknowledgement of a report. Comes after `close`, for the last report does."""
        ...

    def abandon(self) -> None:
        """Forget a connection inherited from a parent process, without touching it, and without blocking."""
        ...


class MemoryHitTransport:
    """Keeps the records in memory, for tests of services.

    While `available` is False it takes nothing, like a broker that is away. While `error` is not "" every record is
    refused for that reason, for good if `permanent`. Reports meet the same; those that arrive are in `reports`.
    """

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.report_records: list[Record] = []
        self.available = True
        self.error = ""
        self.permanent = True
        self._refused: Callable[[Refusal], None] = _nobody

    @property
    def hits(self) -> list[Hit]:
        """The hits that arrived, in order."""
        return [decode_hit(value) for _, value in self.records]

    @property
    def reports(self) -> list[HitReport]:
        """The reports of what became of hits that arrived, in order."""
        return [decode_hit_report(value) for _, value in self.report_records]

    def bind(self, refused: Callable[[Refusal], None]) -> None:
        """See `HitTransport`."""
        self._refused = refused

    def send(self, records: Sequence[Record]) -> int:
        """See `HitTransport`."""
        if not self.available:
            return 0
        for record in records:
            if self.error:
                self._refused(Refusal(record, self.error, self.permanent))
            else:
                self.records.append(record)
        return len(records)

    def poll(self, timeout_seconds: float) -> None:
        """See `HitTransport`. Everything was acknowledged already."""

    def outstanding(self) -> int:
        """See `HitTransport`."""
        return 0

    def close(self, timeout_seconds: float) -> None:
        """See `HitTransport`. The records stay, to be looked at."""

    def send_report(self, report: Record, told: Callable[[bool], None]) -> None:
        """See `HitTransport`."""
        is_taken = self.available and not self.error
        if is_taken:
            self.report_records.append(report)
        told(is_taken)

    def close_reports(self, timeout_seconds: float) -> None:
        """See `HitTransport`. The reports stay, to be looked at."""

    def abandon(self) -> None:
        """See `HitTransport`. The parent's records are the parent's."""
        self.records = []
        self.report_records = []


def _nobody(refusal: Refusal) -> None:
    """Nobody is bound yet."""
