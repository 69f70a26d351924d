"""The broker dies, hangs or never comes, and the process that logs dies too: every hit is accounted for.

At the end of each, a sink drains the topic, and BI holds what was accepted and not reported dropped, each once.
"""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from consumers.bi_sink_limits import BatchLimits
from consumers.hit_reports import all_reports, newest_of
from streams.kafka_broker import KafkaBroker
from tests.support.hit_accounts import balanced
from tests.support.kafka import RealKafka
from tests.support.small_disk import filled, small_disk
from tests.support.watched_sink import watched_sink
from usersplit import HitLogger, KafkaHitTransport
from usersplit.hit_reports import HitReport
from warehouse.duckdb_hits import DuckDbHits

SDK = Path(__file__).parents[2] / "sdk"

pytestmark = pytest.mark.real_kafka


@pytest.fixture
def topic(kafka: RealKafka) -> str:
    name = f"hits-{uuid.uuid4()}"
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    admin.create_topics([NewTopic(name, 2, 1)])[name].result(30)
    return name


@pytest.fixture
def opened(kafka: RealKafka, topic: str, tmp_path: Path) -> Iterator[Callable[..., HitLogger]]:
    made: list[HitLogger] = []

    def open_logger(
        capacity: int = 100_000, spool_bytes: int = 2**28, spool_in: Path = tmp_path, **kafka_settings: Any
    ) -> HitLogger:
        transport = KafkaHitTransport(
            kafka.bootstrap_servers, topic=topic, reconnect_backoff_max_ms=500, **kafka_settings
        )
        made.append(
            HitLogger(
                transport,
                app="a",
                environment_name="devel",
                capacity=capacity,
                spool_directory=spool_in / "spool",
                spool_bytes=spool_bytes,
                interval_seconds=0.01,
            )
        )
        return made[-1]

    yield open_logger
    for logger in made:
        logger.close(0)


Opened = Callable[..., HitLogger]


def log(logger: HitLogger, count: int, start: int = 0) -> None:
    for number in range(start, start + count):
        logger.log(test_key="k", variant="v", unit_type="user", unit_id=number)


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


def until(reached: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def in_bi(kafka: RealKafka, topic: str) -> int:
    """Let a sink drain the topic, and return how many hits BI has then."""
    broker = KafkaBroker(kafka.bootstrap_servers)
    with closing(broker.log_reader(topic)) as reader:
        ends = {number: end for (_, number), end in reader.end_offsets().items() if end}
    warehouse = DuckDbHits(duckdb.connect())
    warehouse.prepare()
    sink = watched_sink(broker.source(f"sinks of {topic}"), broker, warehouse, topic, batches=BatchLimits())
    with sink.running() as failed:
        until(lambda: failed or dict(warehouse.offsets(topic)) == ends)
    assert failed == []
    rows = warehouse.cursor().execute("SELECT count(*), count(DISTINCT hit_id) FROM hits").fetchall()
    assert rows[0][0] == rows[0][1]
    return int(rows[0][0])


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


PROCESS = """
import json, os, resource, sys, threading, time
from usersplit import HitLogger, KafkaHitTransport
bootstrap_servers, topic, spool, settings = *sys.argv[1:4], json.loads(sys.argv[4])
transport = KafkaHitTransport(bootstrap_servers, topic=topic, reconnect_backoff_max_ms=500,
                              queue_buffering_max_messages=1000)
logger = HitLogger(transport, app="a", environment_name="devel", interval_seconds=0.01,
                   spool_directory=spool, **settings)
def log(count):
    for number in range(count):
        logger.log(test_key="k", variant="v", unit_type="user", unit_id=f"{os.getpid()}.{number}")
def tell(name):
    stats = logger.stats()
    assert stats.accepted == stats.delivered + sum(stats.dropped.values()) + stats.buffered + stats.spooled
    told = {"at": name, "accepted": stats.accepted, "delivered": stats.delivered, "buffered": stats.buffered,
            "dropped": sum(stats.dropped.values()), "spooled": stats.spooled, "recovered": stats.recovered}
    os.write(1, (json.dumps(told) + "\\n").encode())  # one write: forked workers share this pipe
"""


class Service:
    """A process that logs hits, and what it told on its output."""

    def __init__(self, kafka: RealKafka, topic: str, spool: Path, script: str, **settings: Any) -> None:
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                PROCESS + script,
                kafka.bootstrap_servers,
                topic,
                str(spool),
                json.dumps(settings),
            ],
            env={**os.environ, "PYTHONPATH": str(SDK)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def told(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the process ended"
        stats: dict[str, Any] = json.loads(line)
        return stats

    def end(self, number: signal.Signals | None = None) -> int:
        if number is not None:
            self.process.send_signal(number)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.wait(60)


def let_an_heir_deliver(opened: Opened, spooled: int) -> None:
    """Open a logger that takes over what dead processes left, and wait until that has arrived."""
    heir = opened()
    log(heir, 1, 10**9)
    until(lambda: balanced(heir).delivered == 1 + spooled)
    stats = balanced(heir)
    assert (stats.recovered, stats.spooled) == (spooled, 0)
    heir.close()


def test_what_a_killed_process_had_on_the_disk_is_delivered_by_another_though_the_last_block_is_torn(
    kafka: RealKafka, topic: str, opened: Opened, tmp_path: Path
) -> None:
    kafka.kill()
    script = """
for _ in range(20):
    log(500)
    while logger._buffer.is_nearly_full:
        time.sleep(0.01)
tell("before")
time.sleep(600)
"""
    service = Service(kafka, topic, tmp_path / "spool", script, capacity=2000)
    told = service.told()
    assert service.end(signal.SIGKILL) == -signal.SIGKILL
    last = max((tmp_path / "spool").rglob("*.hits"))
    with last.open("ab") as segment:
        segment.write(last.read_bytes()[:1000])  # a write that its death cut short
    kafka.start()
    assert told["spooled"] > 5000
    let_an_heir_deliver(opened, told["spooled"])
    assert in_bi(kafka, topic) == told["spooled"] + 1


@pytest.mark.parametrize(
    ("ending", "code", "saved"),
    [
        ("logger.close(0.3); tell('closed'); os._exit(0)", 0, 3000),
        ("usersplit.hooks.flush_on_sigterm(0.3); tell('x'); os.kill(os.getpid(), 15); time.sleep(60)", -15, 3000),
        ("import atexit; atexit.register(tell, 'exit'); sys.exit(0)", 0, 3000),
        ("tell('x'); os._exit(3)", 3, 0),
    ],
    ids=["closed", "SIGTERM", "exit", "os._exit"],
)
def test_at_the_end_of_a_process_without_a_broker_hits_go_to_the_disk(
    kafka: RealKafka, topic: str, opened: Opened, tmp_path: Path, ending: str, code: int, saved: int
) -> None:
    kafka.kill()
    script = f"import usersplit.hooks\nlog(3000)\n{ending}\n"
    service = Service(kafka, topic, tmp_path / "spool", script)
    told = service.told()
    assert told["accepted"] == 3000
    assert service.end() == code
    kafka.start()
    let_an_heir_deliver(opened, saved)  # after os._exit there is nothing: it runs nothing
    assert in_bi(kafka, topic) == saved + 1


def test_sixty_four_threads_and_a_killed_broker_lose_no_hit(kafka: RealKafka, topic: str, tmp_path: Path) -> None:
    script = """
threads = [threading.Thread(target=log, args=(300,)) for _ in range(64)]
for thread in threads:
    thread.start()
tell("running")
for thread in threads:
    thread.join()
tell("logged")
logger.flush(90)
tell("flushed")
logger.close()
"""
    service = Service(kafka, topic, tmp_path / "spool", script, capacity=3000)
    service.told()
    kafka.kill()
    assert service.told()["accepted"] == 64 * 300
    kafka.start()
    told = service.told()
    assert service.end() == 0
    assert (told["buffered"], told["spooled"]) == (0, 0)
    assert told["delivered"] == 64 * 300 - told["dropped"] == in_bi(kafka, topic)


def test_a_disk_that_is_full_drops_hits_and_says_so(kafka: RealKafka, topic: str, tmp_path: Path) -> None:
    kafka.kill()
    script = """
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # no file may be longer
for _ in range(30):
    log(500)
    time.sleep(0.02)
tell("logged")
sys.stdin.readline()
logger.flush(60)
tell("flushed")
logger.close()
"""
    service = Service(kafka, topic, tmp_path / "spool", script, capacity=2000)
    told = service.told()
    assert told["accepted"] == 15_000
    kafka.start()
    told = service.told()
    assert service.end() == 0
    assert (told["buffered"], told["spooled"]) == (0, 0)
    assert told["delivered"] == 15_000 - told["dropped"] == in_bi(kafka, topic)
    assert told["dropped"] > 5000


def test_workers_share_a_spool_and_their_heir_delivers_all_of_it(
    kafka: RealKafka, topic: str, opened: Opened, tmp_path: Path
) -> None:
    kafka.kill()
    script = """
pids = []
for _ in range(4):
    pid = os.fork()
    if not pid:
        log(2500)
        logger.close(0.2)
        tell("closed")
        os._exit(0)
    pids.append(pid)
for pid in pids:
    assert os.waitpid(pid, 0)[1] == 0
log(100)
logger.close(0.2)
tell("parent")
"""
    service = Service(kafka, topic, tmp_path / "spool", script)
    told = [service.told() for _ in range(5)]
    assert service.end() == 0
    kafka.start()
    # A worker may have taken over what one of the others left when it was gone.
    assert sum(each["accepted"] - each["recovered"] for each in told) == 10_100
    assert sum(each["dropped"] for each in told) == 0
    let_an_heir_deliver(opened, 10_100)
    assert in_bi(kafka, topic) == 10_101
