"""The broker dies, hangs or never comes: every hit is accounted for.

At the end of each, a sink drains the topic, and BI holds what was accepted and not reported dropped, each once.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from consumers.hit_reports import all_reports, newest_of
from streams.kafka_broker import KafkaBroker
from tests.support.hit_accounts import balanced
from tests.support.kafka import RealKafka
from tests.support.logging_to_kafka import Opened, in_bi, log, made_topic, open_loggers, until
from tests.support.small_disk import filled, small_disk
from usersplit import HitLogger, KafkaHitTransport
from usersplit.hit_reports import HitReport

pytestmark = pytest.mark.real_kafka


@pytest.fixture
def topic(kafka: RealKafka) -> str:
    return made_topic(kafka)


@pytest.fixture
def opened(kafka: RealKafka, topic: str, tmp_path: Path) -> Iterator[Opened]:
    with open_loggers(kafka, topic, tmp_path) as opened:
        yield opened


def log_until(logger: HitLogger, start: int, reached: Callable[[], bool]) -> int:
    """Log hits from number `start` on; return the number of the first one that was not logged."""
    deadline = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < deadline
        log(logger, 100, start)
        start += 100
        time.sleep(0.01)
    return start


def dropped(logger: HitLogger) -> int:
    return sum(balanced(logger).dropped.values())


def test_hits_that_a_full_disk_has_no_room_for_are_dropped_and_reported_and_no_others(
    kafka: RealKafka, topic: str, opened: Opened
) -> None:
    with small_disk(2) as disk:
        logger = opened(capacity=5000, spool_in=disk, queue_buffering_max_messages=1000)
        log(logger, 500)
        assert logger.flush(30)
        kafka.kill()
        start = log_until(logger, 500, lambda: balanced(logger).spooled > 500)
        assert dropped(logger) == 0
        ballast = filled(disk)
        start = log_until(logger, start, lambda: dropped(logger) > 0)
        ballast.unlink()
        kafka.start()
        assert logger.flush(60)
        stats = balanced(logger)
        assert (stats.accepted, stats.buffered, stats.spooled) == (start, 0, 0)
        assert in_bi(kafka, topic) == stats.delivered == stats.accepted - dropped(logger)
        logger.close(0)


def test_a_broker_that_is_killed_costs_no_hit_though_the_buffer_is_small(
    kafka: RealKafka, topic: str, opened: Opened
) -> None:
    logger = opened(capacity=2000, queue_buffering_max_messages=1000)
    log(logger, 500)
    assert logger.flush(30)
    kafka.kill()
    for start in range(500, 20_500, 500):
        log(logger, 500, start)
        until(lambda: not logger._buffer.is_nearly_full)
        balanced(logger)
    assert balanced(logger).spooled > 10_000
    kafka.start()
    assert logger.flush(60)
    stats = balanced(logger)
    assert (stats.accepted, stats.delivered, stats.spooled) == (20_500, 20_500, 0)
    assert in_bi(kafka, topic) == 20_500


def test_a_broker_that_hangs_is_waited_for(kafka: RealKafka, topic: str, opened: Opened) -> None:
    logger = opened(capacity=2000, queue_buffering_max_messages=1000)
    log(logger, 500)
    assert logger.flush(30)
    kafka.freeze()
    try:
        for start in range(500, 8000, 500):
            log(logger, 500, start)
            until(lambda: not logger._buffer.is_nearly_full)
            balanced(logger)
        started = time.monotonic()
        logger.close(0.5)
        assert time.monotonic() - started < 5
    finally:
        kafka.thaw()
    first = balanced(logger)
    assert (first.accepted, first.buffered, sum(first.dropped.values())) == (8000, 0, 0)
    heir = opened()
    log(heir, 1, 8000)
    until(lambda: balanced(heir).delivered == 1 + first.spooled)
    assert heir.stats().recovered == first.spooled
    # What was on its way when the broker hung may have arrived as well; its ids are the same.
    assert in_bi(kafka, topic) == 8001


def test_a_broker_that_dies_during_a_replay_gets_the_rest_later(kafka: RealKafka, topic: str, opened: Opened) -> None:
    kafka.kill()
    logger = opened(capacity=2000, queue_buffering_max_messages=1000)
    for start in range(0, 40_000, 500):
        log(logger, 500, start)
        until(lambda: not logger._buffer.is_nearly_full)
    kafka.start()
    until(lambda: balanced(logger).delivered)
    kafka.kill()
    log(logger, 500, 40_000)
    kafka.start()
    assert logger.flush(60)
    assert balanced(logger).delivered == 40_500
    assert in_bi(kafka, topic) == 40_500


def test_with_a_small_spool_what_arrives_is_what_was_not_reported_dropped(
    kafka: RealKafka, topic: str, opened: Opened
) -> None:
    kafka.kill()
    logger = opened(capacity=2000, queue_buffering_max_messages=1000, spool_bytes=500_000)
    for start in range(0, 20_000, 500):
        log(logger, 500, start)
        until(lambda: not logger._buffer.is_nearly_full)
        balanced(logger)
    kafka.start()
    assert logger.flush(60)
    stats = balanced(logger)
    assert stats.dropped["spool_full"] > 5000
    assert stats.delivered == 20_000 - sum(stats.dropped.values()) == in_bi(kafka, topic)


def test_a_service_that_lost_hits_says_so_when_the_broker_is_back_and_at_its_end(kafka: RealKafka, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    admin.create_topics([NewTopic(f"{topic}.reports", 1, 1)])[f"{topic}.reports"].result(30)

    def reports() -> list[HitReport]:
        read = all_reports(KafkaBroker(kafka.bootstrap_servers), topic=f"{topic}.reports")
        return list(newest_of(read).values())

    def one_more_is_delivered_and_reported() -> bool:
        log(logger, 1, balanced(logger).accepted)
        return bool(reports())

    transport = KafkaHitTransport(
        kafka.bootstrap_servers, topic=topic, reconnect_backoff_max_ms=500, queue_buffering_max_messages=1000
    )
    with HitLogger(transport, app="shop", host="web-1", environment_name="devel", capacity=2000) as logger:
        log(logger, 500)
        assert logger.flush(30)
        kafka.kill()
        log(logger, 20_000, 500)
        assert balanced(logger).dropped["buffer_full"] > 10_000
        kafka.start()
        assert logger.flush(60)
        # What was delivered may have been seen before the drops were; then the next delivery shows that it is there.
        until(one_more_is_delivered_and_reported)
        (report,) = reports()
        assert (report.app, report.host, report.is_final) == ("shop", "web-1", False)
        assert report.accepted == report.delivered + report.dropped + report.buffered + report.spooled
        assert report.dropped_by_reason == {"buffer_full": balanced(logger).dropped["buffer_full"]}
    (last,) = reports()
    stats = balanced(logger)
    assert last.is_final
    assert (last.process, last.accepted, last.buffered) == (report.process, stats.accepted, 0)
    assert in_bi(kafka, topic) == last.delivered == last.accepted - last.dropped
