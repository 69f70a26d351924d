"""What an outage of a minute costs in memory: of the broker in the SDK, and of the database in the sink.

    make bench ONLY=outage_memory        (or: python -m benchmarks.outage_memory [--budget-mb 128] [--seconds 60])

Services (processes of their own) log 20,000 hits a second each into a real Kafka. Both sides get the same budget, of
which 32 MiB are the Kafka client's own queue (`queue.buffering.max.kbytes` there, the fetched messages here), and the
rest is configured: `HitLogger(capacity_bytes=…)`, USERSPLIT_SINK_MEMORY_MB.

    database away   PostgreSQL takes no connection for so long; the sink (`python -m entrypoints bi-sink`) goes on
                    reading until its budget is used up, then pauses;
    broker away     Kafka is killed (SIGKILL) for so long; one service has no spool and must drop what finds no room,
                    one has a spool.

Measured is how much the resident memory grows: the highest point in the outage (VmHWM, set back at its beginning)
above what the process had after some seconds of the same load in good health. After each outage the rows in BI must be
the hits that were accepted and not reported dropped, or the benchmark fails.

The last line of stdout is one JSON object: `sdk_mb` is the worse of the two services; all in MiB.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from streams.kafka_broker import KafkaBroker
from streams.topics import HITS, all_topics
from tests.support.hit_service import HitService, Load, running
from tests.support.kafka_server import KafkaServer
from tests.support.postgres import PostgresServer, running_postgres
from warehouse.postgres_hits import PostgresHits

ROOT = Path(__file__).parents[1]
CLIENT_MB = 32
SETTLING_SECONDS = 8.0
PATIENCE_SECONDS = 120.0


class Memory:
    """The resident memory of a process, above what it was at a moment."""

    def __init__(self, pid: int) -> None:
        self._process = Path("/proc") / str(pid)
        self._before = self._mb("VmRSS")
        (self._process / "clear_refs").write_text("5")

    def peak_mb(self) -> float:
        """Return by how much its highest point since then lies above it."""
        return round(self._mb("VmHWM") - self._before, 1)

    def _mb(self, name: str) -> float:
        lines = (self._process / "status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


@contextmanager
def running_sink(kafka: KafkaServer, url: str, memory_mb: int) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the sink as a process."""
    environment = {
        **os.environ,
        "USERSPLIT_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "USERSPLIT_WAREHOUSE_URL": url,
        "USERSPLIT_SINK_MEMORY_MB": str(memory_mb),
        "USERSPLIT_LOG_LEVEL": "ERROR",
    }
    sink = subprocess.Popen([sys.executable, "-m", "entrypoints", "bi-sink"], cwd=ROOT, env=environment)
    try:
        yield sink
    finally:
        sink.terminate()
        sink.wait(timeout=60)


@contextmanager
def away(server: PostgresServer, url: str) -> Iterator[None]:
    """Let the database take no connection while the block runs, and end those that are there."""
    name = url.partition("?")[0].rpartition("/")[2]
    server.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    server.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")  # noqa: S608 - ours
    try:
        yield
    finally:
        server.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


def wait_until(condition: Callable[[], bool]) -> None:
    """Return once `condition` holds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.1)


def stored(warehouse: PostgresHits) -> int:
    """Return how many hits BI holds."""
    return sum(line.hits for line in warehouse.hits_per_variant())


def settled(services: list[HitService], warehouse: PostgresHits, before: int) -> int:
    """End the services, and return how many hits BI holds once it is as many as it should be."""
    wait_until(lambda: not any(service.told().spooled for service in services))
    told = [service.end() for service in services]
    assert all(each.closed and each.waiting == each.spooled == 0 for each in told)
    expected = before + sum(each.accepted - each.dropped for each in told)
    wait_until(lambda: stored(warehouse) >= expected)
    assert stored(warehouse) == expected
    return expected


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--budget-mb", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=int, default=20_000)
    options = parser.parse_args()
    configured_mb = options.budget_mb - CLIENT_MB
    figures: dict[str, Any] = {}
    with ExitStack() as stack:
        kafka = stack.enter_context(KafkaServer())
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(running_postgres())
        url = stack.enter_context(server.new_database()).replace("+psycopg", "", 1)
        KafkaBroker(kafka.bootstrap_servers).ensure_topics(all_topics(hit_partitions=12))
        warehouse = stack.enter_context(closing(PostgresHits(url)))
        warehouse.prepare()
        sink = stack.enter_context(running_sink(kafka, url, configured_mb))

        def service(name: str, **logger: Any) -> HitService:
            load = Load(
                bootstrap_servers=kafka.bootstrap_servers,
                topic=HITS,
                journal=str(directory / f"{name}.journal"),
                name=name,
                rate=options.rate,
                # As many hits as the bytes allow: it is these that are measured.
                logger={"capacity": 10**9, "capacity_bytes": configured_mb * 2**20, **logger},
            )
            return stack.enter_context(running(load))

        one = service("database-away")
        wait_until(lambda: stored(warehouse) > 0)
        time.sleep(SETTLING_SECONDS)
        memory = Memory(sink.pid)
        with away(server, url):
            time.sleep(options.seconds)
        figures["sink_mb"] = memory.peak_mb()
        print(f"database away: the sink grew by {figures['sink_mb']} MiB", flush=True)
        before = settled([one], warehouse, 0)

        services = [service("no-spool"), service("spool", spool_directory=str(directory / "spool"))]
        wait_until(lambda: all(each.told().accepted > 0 for each in services))
        time.sleep(SETTLING_SECONDS)
        memories = [Memory(each.process.pid) for each in services]
        kafka.kill()
        time.sleep(options.seconds)
        peaks = [each.peak_mb() for each in memories]
        dropped = [each.told().dropped for each in services]
        kafka.start()
        figures |= {"sdk_mb": max(peaks), "sdk_without_spool_mb": peaks[0], "sdk_with_spool_mb": peaks[1]}
        print(f"broker away: the services grew by {peaks} MiB, and had dropped {dropped} hits", flush=True)
        time.sleep(SETTLING_SECONDS)
        assert dropped[0] > 0, "the outage was too short to fill the buffer"
        settled(services, warehouse, before)
    print(json.dumps({**figures, "budget_mb": options.budget_mb, "seconds": options.seconds, "rate": options.rate}))


if __name__ == "__main__":
    main()
