"""A sink that is killed or frozen around its commit: after a restart no hit is lost, and none is there twice."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from uuid import UUID, uuid4

import pytest

from consumers.bi_sink import BiSink
from consumers.bi_sink_limits import BatchLimits
from consumers.dead_letters import DeadLetterWriter, dead_letters
from streams.kafka_broker import KafkaBroker
from streams.messages import OutgoingMessage, Topic
from tests.support.kafka import RealKafka
from tests.support.killed_sink import open_broker, open_warehouse
from usersplit.hits import Hit, encode_hit
from warehouse.hits import HitWarehouse

pytestmark = pytest.mark.real_kafka

ROOT = Path(__file__).parents[2]
HITS_SENT = 3000
PLAIN = Hit(occurred_at=1_777_811_415_123_456, test_key="green", variant="red", settings_group=1)


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the warehouse is."""
    if request.param == "duckdb":
        return str(tmp_path / "bi.duckdb")
    if request.param == "clickhouse":
        return str(request.getfixturevalue("clickhouse_url"))
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def topic() -> str:
    return f"hits-{uuid4().hex}"


@pytest.fixture
def broker(kafka: RealKafka, topic: str) -> KafkaBroker:
    return filled(open_broker(kafka.bootstrap_servers), topic)


def filled(broker: KafkaBroker, topic: str) -> KafkaBroker:
    """Put hits on the topic, one of them twice, and a poisonous message in their midst."""
    broker.ensure_topics([Topic(name=topic, partitions=4), Topic(name=f"{topic}.dead", partitions=1)])
    hits = [encode_hit(replace(PLAIN, hit_id=str(UUID(int=(7 << 76) | number)))) for number in range(HITS_SENT)]
    hits[HITS_SENT // 2 : HITS_SENT // 2] = [b"poison", hits[0]]
    with closing(broker.producer()) as producer:
        messages = [OutgoingMessage(topic=topic, key=str(at).encode(), value=hit) for at, hit in enumerate(hits)]
        producer.send(messages)
    return broker


@contextmanager
def doomed_sink(*arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run tests/support/killed_sink.py, whose docstring has the arguments; it dies in its second store."""
    program = [sys.executable, str(ROOT / "tests" / "support" / "killed_sink.py")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "sdk")])}
    with subprocess.Popen([*program, *arguments, "2"], env=environment, cwd=ROOT, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def drain(broker: KafkaBroker, warehouse: HitWarehouse, topic: str, *, group: str) -> None:
    """Run a sink until the warehouse stands at the end of every partition."""
    reader = broker.log_reader(topic)
    ends = {number: end for (_, number), end in reader.end_offsets().items() if end}
    reader.close()
    sink = BiSink(
        source=broker.source(group),
        warehouse=warehouse,
        dead_letters=DeadLetterWriter(broker.producer, now=lambda: datetime.now(UTC), topic=f"{topic}.dead"),
        batches=BatchLimits(max_messages=700, freshness_seconds=0.1),
        topic=topic,
    )
    sink.start()
    try:
        deadline = monotonic() + 60
        while dict(warehouse.offsets(topic)) != ends:
            assert monotonic() < deadline, "the sink did not reach the end of the topic"
            sink.step()
    finally:
        sink.close()


@pytest.fixture
def warehouse(place: str) -> Iterator[HitWarehouse]:
    """The warehouse, to be opened only when no other process has the file any more."""
    with closing(open_warehouse(place)) as opened:
        yield opened


@pytest.mark.parametrize(
    ("place", "moment"),
    [
        ("duckdb", "before_insert"),
        ("duckdb", "before_commit"),
        ("duckdb", "after_commit"),
        ("clickhouse", "before_insert"),
        ("clickhouse", "before_commit"),
        ("clickhouse", "after_commit"),
        pytest.param("postgresql", "before_insert", marks=pytest.mark.real_postgres),
        pytest.param("postgresql", "before_commit", marks=pytest.mark.real_postgres),
        pytest.param("postgresql", "after_commit", marks=pytest.mark.real_postgres),
    ],
    indirect=["place"],
)
def test_a_sink_that_was_killed_loses_no_hit_and_stores_none_twice(
    kafka: RealKafka, broker: KafkaBroker, topic: str, place: str, warehouse: HitWarehouse, moment: str
) -> None:
    with doomed_sink(kafka.bootstrap_servers, topic, place, moment, "KILL") as killed:
        assert killed.wait(60) == -signal.SIGKILL
    stored = sum(line.hits for line in warehouse.hits_per_variant())
    assert 0 < stored < HITS_SENT, "it died in its second batch"
    # The dead one is a member of its group until the session times out; a new group need not wait for that.
    drain(broker, warehouse, topic, group=f"after {topic}")
    assert [(line.hits, line.variant) for line in warehouse.hits_per_variant()] == [(HITS_SENT, "red")]
    assert {letter.value for letter in dead_letters(broker, topic=f"{topic}.dead")} == {b"poison"}


@pytest.mark.real_postgres
def test_a_sink_that_froze_and_wakes_as_a_zombie_is_fenced(kafka: RealKafka, topic: str, postgres_url: str) -> None:
    broker = filled(open_broker(kafka.bootstrap_servers), topic)
    with (
        doomed_sink(kafka.bootstrap_servers, topic, postgres_url, "before_insert", "STOP") as zombie,
        closing(open_warehouse(postgres_url)) as warehouse,
    ):
        assert os.WIFSTOPPED(os.waitpid(zombie.pid, os.WUNTRACED)[1])
        # Kafka takes its partitions away, and another member of the group stores everything.
        drain(broker, warehouse, topic, group=f"sinks of {topic}")
        zombie.send_signal(signal.SIGCONT)
        _, said = zombie.communicate(timeout=60)
        assert zombie.returncode == 1
        assert b"Fenced" in said
        assert [line.hits for line in warehouse.hits_per_variant()] == [HITS_SENT]
