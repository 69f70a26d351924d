"""A service tells BI what became of its hits: after it lost some, and at the end. Who lost none says nothing."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import get_args
from uuid import UUID

import pytest

from usersplit import DropReason, HitLogger, HitStats, MemoryHitTransport
from usersplit._hit_accounting import DROP_REASONS
from usersplit._hit_record import HitOrigin
from usersplit._hit_reporting import LOOK_SECONDS, REPORT_SECONDS, HitReporter
from usersplit._hit_transport import Record
from usersplit.hit_reports import HitReport

MOMENT_NS = 1_777_900_000_123_456_789
STATS = HitStats(accepted=0, delivered=0, dropped=dict.fromkeys(DROP_REASONS, 0), buffered=0)


class SlowTransport(MemoryHitTransport):
    """Answers a report when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Callable[[bool], None]] = []

    def send_report(self, report: Record, told: Callable[[bool], None]) -> None:
        self.report_records.append(report)
        self.waiting.append(told)

    def answer(self, *, acknowledged: bool) -> None:
        self.waiting.pop()(acknowledged)


class Service:
    """A reporter, its clock and its counts."""

    def __init__(self, transport: MemoryHitTransport) -> None:
        self.transport = transport
        self.seconds = 0.0
        self.stats = STATS
        self.reporter = HitReporter(
            origin=HitOrigin(app="coconut-store", host="web1", environment_name="production"),
            transport=transport,
            now_ns=lambda: MOMENT_NS + int(self.seconds * 1e9),
            monotonic=lambda: self.seconds,
        )

    def count(self, *, delivered: int = 0, buffer_full: int = 0) -> None:
        """Deliver and drop so many, let the time of a look pass, and look."""
        dropped = self.stats.dropped["buffer_full"] + buffer_full
        self.stats = replace(
            self.stats,
            accepted=self.stats.accepted + delivered + buffer_full,
            delivered=self.stats.delivered + delivered,
            dropped={**self.stats.dropped, "buffer_full": dropped},
        )
        self.seconds += LOOK_SECONDS
        self.reporter.look(lambda: self.stats)

    def told(self) -> list[tuple[int, int]]:
        return [(report.delivered, report.dropped) for report in self.transport.reports]


@pytest.fixture
def service() -> Service:
    return Service(MemoryHitTransport())


@pytest.fixture
def opened() -> Iterator[Callable[..., HitLogger]]:
    made: list[HitLogger] = []

    def open_logger(transport: MemoryHitTransport, capacity: int = 1000) -> HitLogger:
        made.append(
            HitLogger(
                transport,
                app="coconut-store",
                host="web1",
                environment_name="production",
                capacity=capacity,
                interval_seconds=0.005,
            )
        )
        return made[-1]

    yield open_logger
    for logger in made:
        logger.close(0)


def log(logger: HitLogger, count: int) -> None:
    for number in range(count):
        logger.log(test_key="green_button", variant="red", unit_type="user", unit_id=number)


def balanced(report: HitReport) -> bool:
    return report.accepted == report.delivered + report.dropped + report.buffered + report.spooled


def test_a_service_that_loses_nothing_reports_nothing(opened: Callable[..., HitLogger]) -> None:
    transport = MemoryHitTransport()
    logger = opened(transport)
    log(logger, 100)
    logger.close()
    assert len(transport.hits) == 100
    assert transport.reports == []


def test_the_last_report_says_what_became_of_every_hit(opened: Callable[..., HitLogger]) -> None:
    transport = MemoryHitTransport()
    transport.available = False
    logger = opened(transport, capacity=10)
    log(logger, 2000)
    while not logger.stats().dropped["buffer_full"]:
        log(logger, 1000)
    transport.available = True
    logger.close()
    stats = logger.stats()
    last = transport.reports[-1]
    assert last.is_final
    assert balanced(last)
    assert last.dropped_by_reason == {reason: count for reason, count in stats.dropped.items() if count}
    assert (last.accepted, last.delivered, last.buffered) == (stats.accepted, len(transport.hits), 0)
    assert (last.app, last.host, last.environment) == ("coconut-store", "web1", "production")
    assert UUID(last.report_id).version == UUID(last.process).version == 7
    assert 0 < last.counting_since <= last.reported_at


def test_what_is_given_up_at_the_deadline_is_in_the_last_report(opened: Callable[..., HitLogger]) -> None:
    class SilentWire(MemoryHitTransport):
        """Takes reports alone."""

        def send(self, records: object) -> int:  # noqa: ARG002
            return 0

    transport = SilentWire()
    logger = opened(transport)
    log(logger, 20)
    logger.close(0.02)
    (last,) = transport.reports
    assert last.dropped_by_reason == {"close_deadline": 20}


def test_a_wire_that_fails_at_reports_costs_no_hit_and_raises_nothing(
    opened: Callable[..., HitLogger], caplog: pytest.LogCaptureFixture
) -> None:
    class OldTransport(MemoryHitTransport):
        """Fails at every report."""

        def send_report(self, report: Record, told: Callable[[bool], None]) -> None:  # noqa: ARG002
            raise OSError("no reports here")

    transport = OldTransport()
    logger = opened(transport)
    logger.log(test_key="k", variant="v", unit_type="user", unit_id="\ud800")
    log(logger, 20)
    logger.close()
    assert "could not be reported; the next report says it again" in caplog.text
    assert len(transport.hits) == 20
    assert logger.stats().dropped["encoding_failed"] == 1


def test_drops_are_told_when_the_broker_is_seen_to_be_there_again(service: Service) -> None:
    service.count(delivered=100)
    service.count(buffer_full=7)
    service.count(buffer_full=7)
    assert service.told() == []
    service.count(delivered=5)
    assert service.told() == [(105, 14)]


def test_the_same_drops_are_told_once_and_further_ones_with_those_before(service: Service) -> None:
    service.count(buffer_full=1)
    service.count(delivered=1)
    service.seconds += REPORT_SECONDS
    service.count(delivered=1)
    assert service.told() == [(1, 1)]
    service.count(buffer_full=2)
    service.count(delivered=1)
    assert service.told() == [(1, 1), (3, 3)]
    first, second = service.transport.reports
    assert (first.process, first.counting_since) == (second.process, second.counting_since)
    assert first.report_id != second.report_id


def test_reports_come_at_most_so_often(service: Service) -> None:
    for _ in range(int(REPORT_SECONDS)):
        service.count(delivered=10, buffer_full=1)
    assert len(service.told()) == 1
    for _ in range(int(REPORT_SECONDS)):
        service.count(delivered=10, buffer_full=1)
    assert len(service.told()) == 2


def test_a_lost_report_is_told_with_the_next() -> None:
    transport = SlowTransport()
    service = Service(transport)
    service.count(buffer_full=3)
    service.count(delivered=1)
    service.seconds += 2 * REPORT_SECONDS
    service.count(delivered=1)
    assert len(transport.reports) == 1, "one at a time"
    transport.answer(acknowledged=False)
    service.count(delivered=1)
    service.count(delivered=1)
    assert service.told() == [(1, 3), (4, 3)]
    transport.answer(acknowledged=True)
    service.seconds += 2 * REPORT_SECONDS
    service.count(delivered=1)
    service.count(delivered=1)
    assert len(transport.reports) == 2


def test_a_forked_child_speaks_for_itself_alone() -> None:
    transport = SlowTransport()
    service = Service(transport)
    service.count(buffer_full=3)
    service.count(delivered=1)
    service.reporter.begin()
    service.stats = STATS
    service.count(buffer_full=1)
    transport.answer(acknowledged=True)
    service.count(delivered=1)
    parent, child = transport.reports
    assert parent.process != child.process
    assert child.counting_since > parent.counting_since
    assert (child.accepted, child.dropped) == (2, 1)


def test_every_reason_has_a_field_of_its_own() -> None:
    for number, reason in enumerate(get_args(DropReason), start=1):
        service = Service(MemoryHitTransport())
        service.reporter.finish(replace(STATS, accepted=number, dropped={**STATS.dropped, reason: number}))
        (report,) = service.transport.reports
        assert report.dropped_by_reason == {reason: number}
        assert report.dropped == number
