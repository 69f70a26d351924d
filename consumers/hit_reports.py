"""What services told of the hits they lost: the newest report of each process, and their sums.

A process that dropped nothing never reports, so these are no figures of all hits; those are in BI. What was in the
memory of a killed process is told by nobody.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from streams.messages import Message
from streams.ports import Broker
from streams.read_out import messages_until_now
from streams.topics import HIT_REPORTS
from usersplit.hit_reports import HitReport, MalformedHitReport, decode_hit_report

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LostHits:
    """What the processes of a service on one server lost, as far as they told.

    Attributes:
        app: the service; `environment` and `host` likewise as in its hits.
        processes: how many reported.
        given: hits that they were given to deliver, each once.
        delivered: hits that the broker acknowledged.
        dropped: hits that are lost, by reason; reasons without any are left out.
        waiting: hits that were on their way or on the disk when they were last heard of.
        last_at: when that was: microseconds of Unix time, UTC, by the service's clock.
    """

    app: str
    environment: str
    host: str
    processes: int
    given: int
    delivered: int
    dropped: Mapping[str, int]
    waiting: int
    last_at: int


def all_reports(broker: Broker, *, topic: str = HIT_REPORTS) -> list[HitReport]:
    """Return the reports that the topic holds now; see `read_report`.

    Raises:
        BrokerAway: nobody answered.
        UnknownTopic: the topic was never created.
    """
    read = map(read_report, messages_until_now(broker, topic))
    return [report for report in read if report is not None]


def read_report(message: Message) -> HitReport | None:
    """Return the report that `message` holds. None, and a warning: it is none, or one of a schema from the future."""
    try:
        return decode_hit_report(message.value or b"")
    except MalformedHitReport as error:
        _log.warning("%s/%d@%d is left out: %s", message.topic, message.partition, message.offset, error)
        return None


def newest_of(reports: Iterable[HitReport]) -> dict[str, HitReport]:
    """Return the newest report of every process, by process.

    The newest is the one that accounts for the most hits: counters only grow, and a clock may be set back.
    """
    newest: dict[str, HitReport] = {}
    for report in reports:
        known = newest.get(report.process)
        if known is None or _progress(known) <= _progress(report):
            newest[report.process] = report
    return newest


def lost_hits(reports: Iterable[HitReport], *, since: int = 0) -> list[LostHits]:
    """Return what each service lost on each server, sorted by service, environment and server.

    Args:
        reports: all that there are of its processes, in any order.
        since: only what was reported from then on, in microseconds of Unix time, and only of processes that were heard
            of: what a process adds to the last report before.
    """
    reports = list(reports)
    before = newest_of(report for report in reports if report.reported_at < since)
    groups: dict[tuple[str, str, str], list[tuple[HitReport, HitReport]]] = {}
    for report in newest_of(reports).values():
        known = before.get(report.process, HitReport())
        if report != known:
            groups.setdefault((report.app, report.environment, report.host), []).append((report, known))
    return [_sum(*place, group) for place, group in sorted(groups.items())]


def _sum(app: str, environment: str, host: str, spans: list[tuple[HitReport, HitReport]]) -> LostHits:
    dropped: Counter[str] = Counter()
    for report, before in spans:
        dropped.update(_by_reason(report))
        dropped.subtract(_by_reason(before))
    reports = [report for report, _ in spans]
    return LostHits(
        app=app,
        environment=environment,
        host=host,
        processes=len(reports),
        given=sum(_given(report) - _given(before) for report, before in spans),
        delivered=sum(report.delivered - before.delivered for report, before in spans),
        dropped={reason: count for reason, count in dropped.most_common() if count},
        waiting=sum(report.buffered + report.spooled for report in reports),
        last_at=max(report.reported_at for report in reports),
    )


def _by_reason(report: HitReport) -> dict[str, int]:
    known = dict(report.dropped_by_reason)
    # A newer SDK may know reasons that this program does not.
    return known | {"other": report.dropped - sum(known.values())}


def _given(report: HitReport) -> int:
    return report.accepted - report.recovered


def _progress(report: HitReport) -> tuple[bool, int, int]:
    return report.is_final, report.accepted, report.delivered + report.dropped
