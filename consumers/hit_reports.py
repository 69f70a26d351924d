"""What services told of the hits they lost: the newest report of each process, and their sums.

A process that dropped nothing never reports, so these are no figures of all hits; those are in BI. What was in the
memory of a killed process is told by nobody.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

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


def newest_reports(broker: Broker, *, topic: str = HIT_REPORTS) -> list[HitReport]:
    """Return the newest report of every process that ever reported, as long as the topic keeps them.

    The newest is the one that accounts for the most hits: counters only grow, and a clock may be set back. What is no
    report, or one of a schema from the future, is left out with a warning.

    Raises:
        BrokerAway: nobody answered.
        UnknownTopic: the topic was never created.
    """
    newest: dict[str, HitReport] = {}
    for message in messages_until_now(broker, topic):
        try:
            report = decode_hit_report(message.value or b"")
        except MalformedHitReport as error:
            _log.warning("%s/%d@%d is left out: %s", message.topic, message.partition, message.offset, error)
            continue
        known = newest.get(report.process)
        if known is None or _progress(known) <= _progress(report):
            newest[report.process] = report
    return list(newest.values())


def lost_hits(reports: Iterable[HitReport]) -> list[LostHits]:
    """Return the sums of `reports`, one of each process, sorted by service, environment and server."""
    groups: dict[tuple[str, str, str], list[HitReport]] = {}
    for report in reports:
        groups.setdefault((report.app, report.environment, report.host), []).append(report)
    return [_sum(*place, group) for place, group in sorted(groups.items())]


def _sum(app: str, environment: str, host: str, reports: list[HitReport]) -> LostHits:
    dropped: Counter[str] = Counter()
    for report in reports:
        known = report.dropped_by_reason
        dropped.update(known)
        # A newer SDK may know reasons that this program does not.
        dropped["other"] += report.dropped - sum(known.values())
    return LostHits(
        app=app,
        environment=environment,
        host=host,
        processes=len(reports),
        given=sum(report.accepted - report.recovered for report in reports),
        delivered=sum(report.delivered for report in reports),
        dropped={reason: count for reason, count in dropped.most_common() if count},
        waiting=sum(report.buffered + report.spooled for report in reports),
        last_at=max(report.reported_at for report in reports),
    )


def _progress(report: HitReport) -> tuple[bool, int, int]:
    return report.is_final, report.accepted, report.delivered + report.dropped
