"""A hit report as BI keeps it; tests change what they are about."""

from datetime import UTC, datetime
from typing import Final

from warehouse.dimensions import HitReportRow

_MOMENT: Final = datetime(2026, 5, 3, 12, 30, tzinfo=UTC)

A_REPORT: Final = HitReportRow(
    process="p1",
    report_id="r1",
    counting_since=_MOMENT,
    reported_at=_MOMENT,
    is_final=False,
    app="shop",
    environment="production",
    host="web-1",
    sdk_version="0.1.0",
    accepted=100,
    recovered=0,
    delivered=70,
    waiting=5,
    dropped=25,
    dropped_buffer_full=20,
    dropped_closed=4,
    dropped_encoding_failed=0,
    dropped_delivery_failed=0,
    dropped_close_deadline=0,
    dropped_spool_full=0,
    dropped_spool_damaged=0,
    dropped_other=1,
)
