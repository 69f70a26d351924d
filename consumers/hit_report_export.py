"""The consumer that brings hit reports into BI: one row a report, so that lost hits stand beside those that arrived."""

from datetime import UTC, datetime, timedelta
from logging import getLogger
from typing import Final

from consumers.hit_reports import read_report
from consumers.topic_export import TopicExport
from streams.messages import Message
from streams.ports import Broker
from streams.topics import HIT_REPORTS
from usersplit.hit_reports import HitReport
from warehouse.dimensions import DimensionRows, DimensionWarehouse, HitReportRow

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_10000_MICROSECONDS: Final = 253_402_300_800_000_000

_log = getLogger(__name__)


class HitReportsFollower(TopicExport):
    """Follows the topic of hit reports. What is no report that BI can hold is left out with a warning."""

    def __init__(self, *, broker: Broker, warehouse: DimensionWarehouse, topic: str = HIT_REPORTS) -> None:
        super().__init__(broker=broker, warehouse=warehouse, topic=topic, fold=_ReportsFold)


class _ReportsFold:
    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], HitReportRow] = {}

    def take(self) -> DimensionRows:
        rows, self._rows = list(self._rows.values()), {}
        return DimensionRows(hit_reports=rows)

    def apply(self, message: Message) -> None:
        report = read_report(message)
        if report is None:
            return
        if fault := _fault_of(report):
            _log.warning("%s/%d@%d is left out: %s", message.topic, message.partition, message.offset, fault)
            return
        self._rows[report.process, report.report_id] = _row(report)


def _fault_of(report: HitReport) -> str:
    texts = (report.process, report.report_id, report.app, report.environment, report.host, report.sdk_version)
    if any("\0" in text for text in texts):
        return "a text holds the character U+0000"
    if not all(0 <= moment < _YEAR_10000_MICROSECONDS for moment in (report.counting_since, report.reported_at)):
        return "a moment lies outside the years 1970 to 9999"
    return ""


def _row(report: HitReport) -> HitReportRow:
    known = sum(report.dropped_by_reason.values())
    return HitReportRow(
        process=report.process,
        report_id=report.report_id,
        counting_since=_moment(report.counting_since),
        reported_at=_moment(report.reported_at),
        is_final=report.is_final,
        app=report.app,
        environment=report.environment,
        host=report.host,
        sdk_version=report.sdk_version,
        accepted=report.accepted,
        recovered=report.recovered,
        delivered=report.delivered,
        waiting=report.buffered + report.spooled,
        dropped=report.dropped,
        dropped_buffer_full=report.dropped_buffer_full,
        dropped_closed=report.dropped_closed,
        dropped_encoding_failed=report.dropped_encoding_failed,
        dropped_delivery_failed=report.dropped_delivery_failed,
        dropped_close_deadline=report.dropped_close_deadline,
        dropped_spool_full=report.dropped_spool_full,
        dropped_spool_damaged=report.dropped_spool_damaged,
        dropped_other=report.dropped - known,
    )


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
