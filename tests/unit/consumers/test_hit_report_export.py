"""Hit reports from their topic into BI, on the broker and the warehouse in memory."""

from dataclasses import replace
from datetime import UTC, datetime
from threading import Event, Thread

import pytest

from consumers import topic_export
from consumers.dimensions import DimensionsFollower
from consumers.hit_report_export import HitReportsFollower
from consumers.topic_export import run_together
from events.facts import REGISTRY
from streams.memory import MemoryBroker
from streams.messages import OutgoingMessage
from streams.topics import HIT_REPORTS, LIFECYCLE, all_topics
from tests.support.terminal import wait_until
from usersplit.hit_reports import HitReport, encode_hit_report
from warehouse.memory_dimensions import MemoryDimensions

REPORT = HitReport(
    report_id="r1",
    process="p1",
    counting_since=1_777_800_000_000_000,
    reported_at=1_777_900_000_000_001,
    app="shop",
    host="web-1",
    environment="production",
    sdk_version="0.1.0",
    accepted=100,
    recovered=4,
    delivered=70,
    buffered=3,
    spooled=2,
    dropped=25,
    dropped_buffer_full=20,
    dropped_closed=4,
)


@pytest.fixture
def broker() -> MemoryBroker:
    made = MemoryBroker()
    made.ensure_topics(all_topics(hit_partitions=1))
    return made


@pytest.fixture
def warehouse() -> MemoryDimensions:
    return MemoryDimensions()


def tell(broker: MemoryBroker, *values: HitReport | bytes | None) -> None:
    broker.producer().send(
        [
            OutgoingMessage(
                topic=HIT_REPORTS,
                key=b"p",
                value=encode_hit_report(value) if isinstance(value, HitReport) else value,
            )
            for value in values
        ]
    )


def follow(broker: MemoryBroker, warehouse: MemoryDimensions) -> int:
    follower = HitReportsFollower(broker=broker, warehouse=warehouse)
    new = sum(follower.step(timeout_seconds=0) for _ in range(3))
    follower.close()
    return new


def test_a_report_is_a_row_whose_counters_add_up(broker: MemoryBroker, warehouse: MemoryDimensions) -> None:
    tell(broker, REPORT)
    assert follow(broker, warehouse) == 1
    (row,) = warehouse.view("hit_reports")
    assert row["accepted"] == row["delivered"] + row["waiting"] + row["dropped"] == 100
    reasons = {name: count for name, count in row.items() if name.startswith("dropped_") and count}
    # One for a reason that this release does not know.
    assert reasons == {"dropped_buffer_full": 20, "dropped_closed": 4, "dropped_other": 1}
    assert row["reported_at"] == datetime(2026, 5, 4, 13, 6, 40, 1, tzinfo=UTC)
    assert (row["app"], row["environment"], row["host"], row["recovered"]) == ("shop", "production", "web-1", 4)


def test_every_report_is_kept_and_one_that_comes_again_is_there_once(
    broker: MemoryBroker, warehouse: MemoryDimensions
) -> None:
    later = replace(REPORT, report_id="r2", accepted=200)
    tell(broker, REPORT, later, REPORT)
    assert follow(broker, warehouse) == 3
    tell(broker, later)
    assert follow(broker, warehouse) == 1
    assert sorted(row["accepted"] for row in warehouse.view("hit_reports")) == [100, 200]
    assert follow(broker, warehouse) == 0


def test_what_bi_cannot_hold_is_left_out_with_a_warning_and_the_rest_goes_on(
    broker: MemoryBroker, warehouse: MemoryDimensions, caplog: pytest.LogCaptureFixture
) -> None:
    bad = [replace(REPORT, host="a\0b"), replace(REPORT, reported_at=2**62), replace(REPORT, counting_since=-1)]
    tell(broker, b"\x00\x00\x00\x00\x09from the future", None, *bad, REPORT)
    assert follow(broker, warehouse) == 6
    assert len(warehouse.view("hit_reports")) == 1
    assert [f"@{offset} is left out" in caplog.text for offset in range(6)] == [True] * 5 + [False]


def test_an_outage_is_waited_for_and_the_other_topic_followed_beside(
    broker: MemoryBroker,
    warehouse: MemoryDimensions,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(topic_export, "_RETRY_SECONDS", 0.02)
    warehouse.down = True
    tell(broker, REPORT)
    stop = Event()
    exports = [
        DimensionsFollower(broker=broker, warehouse=warehouse, registry=REGISTRY),
        HitReportsFollower(broker=broker, warehouse=warehouse),
    ]
    running = Thread(target=run_together, args=[exports, stop])
    running.start()
    try:
        met = [f"{topic} into BI: nothing stored" for topic in (LIFECYCLE, HIT_REPORTS)]
        wait_until("both met the outage", lambda: all(each in caplog.text for each in met))
        assert warehouse.view("hit_reports") == []
        warehouse.down = False
        wait_until("the report is in BI", lambda: bool(warehouse.view("hit_reports")))
    finally:
        stop.set()
        running.join(30)
    assert not running.is_alive()
