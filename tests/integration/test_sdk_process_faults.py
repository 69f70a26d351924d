"""The process that logs hits dies, forks or has no room, while the broker is away: every hit is accounted for.

At the end of each, a sink drains the topic, and BI holds what was accepted and not reported dropped, each once.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.hit_accounts import balanced
from tests.support.kafka import RealKafka
from tests.support.logging_to_kafka import Opened, in_bi, log, made_topic, open_loggers, until

SDK = Path(__file__).parents[2] / "sdk"

pytestmark = pytest.mark.real_kafka


@pytest.fixture
def topic(kafka: RealKafka) -> str:
    return made_topic(kafka)


@pytest.fixture
def opened(kafka: RealKafka, topic: str, tmp_path: Path) -> Iterator[Opened]:
    with open_loggers(kafka, topic, tmp_path) as opened:
        yield opened


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
    until(lambda: balanced(heir).delivered == 1 + spooled, else_say=lambda: (spooled, heir.stats()))
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
spooled = -1
while logger.stats().spooled != spooled:
    spooled = logger.stats().spooled
    for _ in range(2):  # the last block may be on its way to the disk: in the step under way, or in the one after it
        logger._worker._step_done.clear()
        logger._worker._step_done.wait()
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
