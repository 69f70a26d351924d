"""How long a config change takes from the accepted command to the new file on a server.

    PYTHONPATH=. python benchmarks/config_latency.py [--changes 120] [--tests 30]

A real Apache Kafka, a real PostgreSQL with fsync on, and the projector, the relay and the agent as processes of their
own, as in production (`python -m entrypoints …`). One after the other, at moments that are drawn so that they do not
fall in step with anybody's polling, tests are paused and resumed by the command that managers use. The clock starts
when the command has been accepted (its facts are committed) and stops when the file of the test holds a document of
that position, which is looked for every millisecond.

The breakdown parts a change where its record was handed to the producer (the record's own timestamp): before that, the
relay noticed the fact and the projection caught up; after it, Kafka acknowledged, the agent fetched and wrote.

The last line of stdout is one JSON object.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from commands.split_tests import Request, SplitTestCommands
from domain.people import Actor
from entrypoints.backbone import Backbone, migrate
from streams.kafka_broker import KafkaBroker
from streams.topics import CONFIGS, all_topics
from tests.support.kafka_server import KafkaServer
from tests.support.postgres import running_postgres

ROOT = Path(__file__).parents[1]
REQUEST = Request(actor=Actor(name="anna"))
SETTINGS = {
    "starts_at": "2026-01-01",
    "ends_at": "2036-01-01",
    "conditions": [
        {"filter": "is_test_user", "operator": "eq", "value": "Yes"},
        "OR",
        {"filter": "country_id", "operator": "in", "value": ["50", "51", "52"]},
    ],
    "total_percent": 100,
    "variants": [{"name": "control", "control": True}, {"name": "green"}],
}
PATIENCE_SECONDS = 30.0


@contextmanager
def process(name: str, environment: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a process of UserSplit; end it with SIGTERM."""
    running = subprocess.Popen([sys.executable, "-m", "entrypoints", name], cwd=ROOT, env={**os.environ, **environment})
    try:
        yield running
    finally:
        running.terminate()
        running.wait(timeout=30)


def prepare_tests(backbone: Backbone, count: int) -> list[str]:
    """Make tests that run, and return their keys."""
    keys = [f"test_{number}" for number in range(count)]
    commands = backbone.split_tests
    for key in keys:
        commands.create(REQUEST, key=key, name=key)
        commands.propose_settings(REQUEST, key, SETTINGS)
        backbone.preparer.prepare(key)
        commands.publish(REQUEST, key)
        commands.start(REQUEST, key)
    return keys


def position_in(file: Path) -> int:
    """Return the position of the document in `file`, 0 before there is one."""
    try:
        return int(json.loads(file.read_bytes())["position"])
    except FileNotFoundError:
        return 0


def wait_for(file: Path, position: int) -> datetime:
    """Return the moment at which `file` holds a document of `position`."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while position_in(file) < position:
        assert time.monotonic() < deadline, f"{file.name} did not reach position {position}"
        time.sleep(0.001)
    return datetime.now(UTC)


def change(commands: SplitTestCommands, key: str, *, pause: bool) -> tuple[int, float]:
    """Pause or resume a test; return the position and how many milliseconds the command took."""
    started = time.perf_counter()
    appended = commands.pause(REQUEST, key) if pause else commands.resume(REQUEST, key)
    return appended.position, (time.perf_counter() - started) * 1000


def moments_in_the_topic(broker: KafkaBroker) -> dict[int, datetime]:
    """Return when the record of each position was handed to the relay's producer."""
    reader = broker.log_reader(CONFIGS)
    moments: dict[int, datetime] = {}
    ends = reader.end_offsets()
    while any(reader.position().get(partition, 0) < end for partition, end in ends.items()):
        for message in reader.poll(max_messages=1000, timeout_seconds=0.2):
            position = int(dict(message.headers)["usersplit_position"])
            moments.setdefault(position, datetime.fromtimestamp(message.timestamp_ms / 1000, UTC))
    reader.close()
    return moments


def processor_seconds(running: "subprocess.Popen[bytes]") -> float:
    """Return how much processor time a process has used so far."""
    fields = Path(f"/proc/{running.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure, and print the figures."""
    options = argparse.ArgumentParser()
    options.add_argument("--changes", type=int, default=120)
    options.add_argument("--tests", type=int, default=30)
    given = options.parse_args()
    draw = random.Random(1)
    with ExitStack() as stack:
        kafka = stack.enter_context(KafkaServer())
        url = stack.enter_context(stack.enter_context(running_postgres()).new_database())
        configs = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "configs"
        migrate(url)
        broker = KafkaBroker(kafka.bootstrap_servers)
        broker.ensure_topics(all_topics(hit_partitions=1))
        backbone = Backbone(url)
        stack.callback(backbone.close)
        keys = prepare_tests(backbone, given.tests)
        environment = {
            "USERSPLIT_DATABASE_URL": url,
            "USERSPLIT_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "USERSPLIT_CONFIG_DIRECTORY": str(configs),
            "USERSPLIT_ENVIRONMENT_NAME": "production",
            "USERSPLIT_LOG_LEVEL": "WARNING",
        }
        running = {
            name: stack.enter_context(process(name, environment))
            for name in ("projector", "relay", "agent", "laid-out")
        }
        for key in keys:
            wait_for(configs / f"{key}.json", 1)
        time.sleep(2)
        before = {name: processor_seconds(each) for name, each in running.items()}
        time.sleep(5)
        at_rest = {name: (processor_seconds(each) - before[name]) / 5 * 100 for name, each in running.items()}

        commands_ms: list[float] = []
        accepted: dict[int, datetime] = {}
        laid_out: dict[int, datetime] = {}
        for number in range(given.changes):
            time.sleep(draw.uniform(0.0, 0.25))
            key = keys[number % len(keys)]
            position, took = change(backbone.split_tests, key, pause=(number // len(keys)) % 2 == 0)
            accepted[position] = datetime.now(UTC)
            laid_out[position] = wait_for(configs / f"{key}.json", position)
            commands_ms.append(took)
        produced = moments_in_the_topic(broker)

    def median(spans: list[timedelta]) -> float:
        return round(statistics.median(span / timedelta(milliseconds=1) for span in spans), 1)

    latencies = sorted((laid_out[position] - accepted[position]) / timedelta(milliseconds=1) for position in accepted)
    figures = {
        "median_ms": round(statistics.median(latencies), 1),
        "p99_ms": round(latencies[min(len(latencies) - 1, int(len(latencies) * 0.99))], 1),
        "max_ms": round(latencies[-1], 1),
        "changes": len(latencies),
        "command_median_ms": round(statistics.median(commands_ms), 1),
        "until_produced_median_ms": median([produced[position] - accepted[position] for position in accepted]),
        "until_laid_out_median_ms": median([laid_out[position] - produced[position] for position in accepted]),
        **{f"{name}_cpu_at_rest_percent": round(percent, 1) for name, percent in at_rest.items()},
    }
    for name, value in figures.items():
        print(f"{name:32} {value}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
