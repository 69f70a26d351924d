"""When a process tells BI what became of its hits: after drops, once the broker is seen to be there, and at the end.

A process that drops nothing tells nothing. The counters are those since its beginning, so whatever a lost report said,
the next one says again.
"""

import logging
import os
import time
from collections.abc import Callable
from typing import Final

from usersplit._errors import __version__
from usersplit._hit_accounting import HitStats
from usersplit._hit_record import RANDOM_BYTES_PER_BATCH, HitIds, HitOrigin
from usersplit._hit_transport import HitTransport
from usersplit.hit_reports import HitReport, encode_hit_report

_logger = logging.getLogger("usersplit.hits")

LOOK_SECONDS: Final = 1.0
REPORT_SECONDS: Final = 30.0
"""A report is sent at most so often, but for the last one."""

_LAST_WORD_SECONDS: Final = 1.0


class HitReporter:
    """Tells of the hits of one process. For one thread at a time; nothing of it is on a caller's path."""

    def __init__(
        self,
        *,
        origin: HitOrigin,
        transport: HitTransport,
        now_ns: Callable[[], int] = time.time_ns,
        random_bytes: Callable[[int], bytes] = os.urandom,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._origin = origin
        self._transport = transport
        self._now_ns = now_ns
        self._random_bytes = random_bytes
        self._monotonic = monotonic
        self.begin()

    def begin(self) -> None:
        """Count from now on, under a name of its own: in a child process too, which must not speak for its parent."""
        now_ns = self._now_ns()
        self._counting_since = now_ns // 1000
        self._process = self._new_id(now_ns)
        self._look_at = self._report_at = float("-inf")
        self._told = 0
        self._delivered_before: int | None = None
        self._is_on_its_way = False

    def look(self, stats: Callable[[], HitStats]) -> None:
        """Send a report if it is time for one. Never blocks."""
        now = self._monotonic()
        if now < self._look_at or self._is_on_its_way:
            return
        self._look_at = now + LOOK_SECONDS
        counts = stats()
        if sum(counts.dropped.values()) <= self._told:
            return
        if self._delivered_before is None:
            self._delivered_before = counts.delivered
        # While nothing is delivered the broker is most likely away, and the numbers are still growing.
        if now >= self._report_at and counts.delivered > self._delivered_before:
            self._report_at = now + REPORT_SECONDS
            self._send(counts, is_final=False)

    def finish(self, counts: HitStats) -> None:
        """Say the last word, and wait a second at most until it is acknowledged."""
        if any(counts.dropped.values()):
            self._send(counts, is_final=True)
            self._transport.close_reports(_LAST_WORD_SECONDS if self._is_on_its_way else 0)

    def _send(self, counts: HitStats, *, is_final: bool) -> None:
        report = self._report(counts, is_final=is_final)
        process = self._process

        def tell(*, acknowledged: bool) -> None:
            if process != self._process:
                return  # said by a parent process
            self._is_on_its_way = False
            self._delivered_before = None
            if acknowledged:
                self._told = max(self._told, report.dropped)

        self._is_on_its_way = True
        try:
            record = (process.encode(), encode_hit_report(report))
            self._transport.send_report(record, lambda acknowledged: tell(acknowledged=acknowledged))
        except Exception:
            tell(acknowledged=False)
            _logger.exception("What became of the hits could not be reported; the next report says it again.")

    def _report(self, counts: HitStats, *, is_final: bool) -> HitReport:
        now_ns = self._now_ns()
        return HitReport(
            report_id=self._new_id(now_ns),
            process=self._process,
            counting_since=self._counting_since,
            reported_at=now_ns // 1000,
            is_final=is_final,
            app=self._origin.app,
            host=self._origin.host,
            environment=self._origin.environment_name,
            pid=os.getpid(),
            sdk_version=__version__,
            accepted=counts.accepted,
            delivered=counts.delivered,
            buffered=counts.buffered,
            spooled=counts.spooled,
            recovered=counts.recovered,
            dropped=sum(counts.dropped.values()),
            **{f"dropped_{reason}": count for reason, count in counts.dropped.items()},
        )

    def _new_id(self, now_ns: int) -> str:
        return HitIds(self._random_bytes(RANDOM_BYTES_PER_BATCH)).id(now_ns // 1_000_000, 0)
