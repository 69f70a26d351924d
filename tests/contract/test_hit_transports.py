"""One suite over every wire of hits: in memory, and Kafka's client against librdkafka's broker."""

import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

import streams.topics
import usersplit
from tests.support.hit_accounts import balanced
from tests.support.kafka import RealKafka
from tests.support.sdk_config_documents import config_document
from usersplit import HitLogger, HitTransport, KafkaHitTransport, MemoryConfigs, MemoryHitTransport, Refusal
from usersplit.hits import Hit, decode_hit, encode_hit

SDK = Path(__file__).parents[2] / "sdk"


class Wire(Protocol):
    """A transport under test, and what arrived at its other end."""

    @property
    def transport(self) -> HitTransport: ...

    def arrived(self, count: int) -> list[tuple[bytes, bytes]]: ...

    def arrived_reports(self, count: int) -> list[tuple[bytes, bytes]]: ...


class MemoryWire:
    def __init__(self) -> None:
        self.transport = MemoryHitTransport()

    def arrived(self, count: int) -> list[tuple[bytes, bytes]]:
        return self.transport.records[:count]

    def arrived_reports(self, count: int) -> list[tuple[bytes, bytes]]:
        return self.transport.report_records[:count]


class KafkaWire:
    def __init__(self, bootstrap_servers: str) -> None:
        self.topic = f"hits-{uuid.uuid4()}"
        self.bootstrap_servers = bootstrap_servers
        self.transport = KafkaHitTransport(bootstrap_servers, topic=self.topic)

    def arrived(self, count: int) -> list[tuple[bytes, bytes]]:
        return read_topic(self.bootstrap_servers, self.topic, count)

    def arrived_reports(self, count: int) -> list[tuple[bytes, bytes]]:
        return read_topic(self.bootstrap_servers, f"{self.topic}.reports", count)


def read_topic(bootstrap_servers: str, topic: str, count: int) -> list[tuple[bytes, bytes]]:
    """Return `count` records of the topic; of one key they are in order."""
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": str(uuid.uuid4())})
    try:
        partitions = consumer.list_topics(topic, timeout=60).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        records: list[tuple[bytes, bytes]] = []
        deadline = time.monotonic() + 60
        while len(records) < count and time.monotonic() < deadline:
            for message in consumer.consume(count - len(records), timeout=0.5):
                key, value = message.key(), message.value()
                assert isinstance(key, bytes)
                assert value is not None
                records.append((key, value))
        return records
    finally:
        consumer.close()


@pytest.fixture(params=["memory", "kafka"])
def wire(request: pytest.FixtureRequest) -> Iterator[Wire]:
    made: Wire
    made = MemoryWire() if request.param == "memory" else KafkaWire(request.getfixturevalue("embedded_bootstrap"))
    yield made
    made.transport.close(1)


def hit(number: int, unit_id: str = "42") -> Hit:
    return Hit(hit_id=str(number), test_key="green_button", variant="red", unit_type="user", unit_id=unit_id)


def test_every_record_is_acknowledged_and_arrives(wire: Wire) -> None:
    refused: list[Refusal] = []
    wire.transport.bind(refused.append)
    records = [(b"42", encode_hit(hit(number))) for number in range(100)]
    assert wire.transport.send(records) == 100
    deadline = time.monotonic() + 60
    while wire.transport.outstanding() and time.monotonic() < deadline:
        wire.transport.poll(0.1)
    assert wire.transport.outstanding() == 0
    assert refused == []
    assert wire.arrived(100) == records


def test_closing_waits_for_what_was_sent_and_is_idempotent(wire: Wire) -> None:
    refused: list[Refusal] = []
    wire.transport.bind(refused.append)
    assert wire.transport.send([(b"42", encode_hit(hit(1)))]) == 1
    wire.transport.close(20)
    wire.transport.close(20)
    assert refused == []
    assert wire.transport.outstanding() == 0
    assert len(wire.arrived(1)) == 1


def test_what_is_not_acknowledged_when_it_closes_is_given_back() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        transport = KafkaHitTransport(f"127.0.0.1:{nobody.getsockname()[1]}")
        refused: list[Refusal] = []
        transport.bind(refused.append)
        records = [(str(number).encode(), encode_hit(hit(number))) for number in range(1000)]
        assert transport.send(records) == 1000
        assert transport.outstanding() >= 1000
        transport.close(0.1)
    assert [refusal.record for refusal in refused] == records
    assert not any(refusal.permanent for refusal in refused)
    assert transport.outstanding() == 0


def test_a_record_that_is_too_large_is_refused_for_good_and_alone(embedded_bootstrap: str) -> None:
    topic = f"hits-{uuid.uuid4()}"
    transport = KafkaHitTransport(embedded_bootstrap, topic=topic, message_max_bytes=2000)
    refused: list[Refusal] = []
    transport.bind(refused.append)
    small, large = (b"1", encode_hit(hit(1))), (b"2", encode_hit(hit(2, unit_id="2" * 3000)))
    assert transport.send([small, large, small]) == 3
    transport.close(20)
    assert [(refusal.record, refusal.permanent) for refusal in refused] == [(large, True)]
    assert read_topic(embedded_bootstrap, topic, 2) == [small, small]


def test_a_logger_delivers_through_it(wire: Wire) -> None:
    with HitLogger(wire.transport, app="a", environment_name="devel", interval_seconds=0.01) as logger:
        for number in range(50):
            logger.log(test_key="k", variant="v", unit_type="user", unit_id=number % 5, settings_group=number)
        assert logger.flush(20)
        assert balanced(logger).delivered == 50
    by_unit: dict[bytes, list[int]] = {}
    for key, value in wire.arrived(50):
        by_unit.setdefault(key, []).append(decode_hit(value).settings_group)
    assert by_unit == {str(unit).encode(): list(range(unit, 50, 5)) for unit in range(5)}


def test_the_topic_is_the_one_that_the_sinks_read() -> None:
    assert usersplit.HITS_TOPIC == streams.topics.HITS
    assert f"{usersplit.HITS_TOPIC}.reports" == streams.topics.HIT_REPORTS


def test_a_report_arrives_and_is_never_taken_for_a_hit(wire: Wire) -> None:
    told: list[bool] = []
    wire.transport.bind(lambda refusal: pytest.fail(f"refused: {refusal.error}"))
    wire.transport.send_report((b"process", b"first"), told.append)
    assert wire.transport.outstanding() == 0
    deadline = time.monotonic() + 60
    while not told and time.monotonic() < deadline:
        wire.transport.poll(0.05)
        assert wire.transport.outstanding() == 0
    wire.transport.close(5)
    wire.transport.send_report((b"process", b"the last word"), told.append)
    wire.transport.close_reports(20)
    wire.transport.close_reports(0)
    assert told == [True, True]
    assert wire.arrived_reports(2) == [(b"process", b"first"), (b"process", b"the last word")]


def test_a_report_without_a_broker_is_told_to_be_lost_and_holds_nobody_up() -> None:
    told: list[bool] = []
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        transport = KafkaHitTransport(f"127.0.0.1:{nobody.getsockname()[1]}")
        started = time.monotonic()
        transport.send_report((b"process", b"report"), told.append)
        transport.poll(0)
        assert (told, transport.outstanding()) == ([], 0)
        transport.close_reports(0.1)
        assert time.monotonic() - started < 5
    assert told == [False]


def test_connect_wires_configs_checks_and_hits(embedded_bootstrap: str) -> None:
    topic = f"hits-{uuid.uuid4()}"
    configs = MemoryConfigs([config_document(conditions=[], filters={}, ends_at="2999-01-01T00:00:00Z")])
    with usersplit.connect(
        configs=configs,
        bootstrap_servers=embedded_bootstrap,
        app="coconut-store",
        environment_name="devel",
        topic=topic,
        kafka={"linger.ms": 1},
    ) as client:
        user = usersplit.User(id=7, split_group=2)
        assert client.get_active_variant("green_button", user) == "red"
        assert client.active_variants(user) == {"green_button": "red"}
        assert client.explain("green_button", user).reason == "in_variant"
        assert client.log_hit("green_button", "red", user)
        assert client.flush(20)
        assert client.stats().delivered == 2
    hits = [decode_hit(value) for _, value in read_topic(embedded_bootstrap, topic, 2)]
    assert [(hit.unit_id, hit.host, hit.app) for hit in hits] == [("7", socket.gethostname(), "coconut-store")] * 2


def test_a_broker_that_is_away_costs_neither_errors_nor_time() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        transport = KafkaHitTransport(f"127.0.0.1:{nobody.getsockname()[1]}")
        logger = HitLogger(transport, app="a", environment_name="devel", capacity=100, interval_seconds=0.01)
        for _ in range(50):
            assert logger.log(test_key="k", variant="v", unit_type="user", unit_id=1)
        assert not logger.flush(0.2)
        assert balanced(logger).buffered == 50
        started = time.monotonic()
        logger.close(0.3)
        assert time.monotonic() - started < 5
    stats = balanced(logger)
    assert (stats.accepted, stats.delivered, stats.buffered) == (50, 0, 0)
    assert stats.dropped["close_deadline"] == 50


def test_a_full_queue_of_the_client_is_waited_for(embedded_bootstrap: str) -> None:
    topic = f"hits-{uuid.uuid4()}"
    transport = KafkaHitTransport(embedded_bootstrap, topic=topic, queue_buffering_max_messages=10, linger_ms=5)
    with HitLogger(transport, app="a", environment_name="devel", interval_seconds=0.01) as logger:
        for number in range(500):
            logger.log(test_key="k", variant="v", unit_type="user", unit_id=number)
        assert logger.flush(30)
        assert balanced(logger).delivered == 500


@pytest.mark.real_kafka
def test_a_broker_that_dies_and_comes_back_loses_no_hit(kafka: RealKafka) -> None:
    topic = f"hits-{uuid.uuid4()}"
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
    transport = KafkaHitTransport(kafka.bootstrap_servers, topic=topic)
    with HitLogger(transport, app="a", environment_name="devel", interval_seconds=0.01) as logger:
        for number in range(3000):
            if number == 1000:
                kafka.kill()
            if number == 2000:
                kafka.start()
            assert logger.log(test_key="k", variant="v", unit_type="user", unit_id=number)
        assert logger.flush(90)
        stats = balanced(logger)
    assert (stats.accepted, stats.delivered, sum(stats.dropped.values())) == (3000, 3000, 0)
    hits = [decode_hit(value) for _, value in read_topic(kafka.bootstrap_servers, topic, 3000)]
    assert [hit.unit_id for hit in hits] == [str(number) for number in range(3000)]


class LostProducer:
    """What librdkafka's idempotent producer is once it has lost its place: of no use, and it says so."""

    def produce(self, *_: object, **__: object) -> None:
        raise KafkaException(KafkaError(KafkaError._FATAL, "lost its place", fatal=True))

    def flush(self, _timeout_seconds: float) -> int:
        return 0


def test_a_producer_that_failed_for_good_is_replaced(embedded_bootstrap: str) -> None:
    topic = f"hits-{uuid.uuid4()}"
    transport = KafkaHitTransport(embedded_bootstrap, topic=topic)
    transport._producer = LostProducer()  # type: ignore[assignment]
    with HitLogger(transport, app="a", environment_name="devel", interval_seconds=0.01) as logger:
        logger.log(test_key="k", variant="v", unit_type="user", unit_id=1)
        assert logger.flush(20)
        assert balanced(logger).delivered == 1
    assert len(read_topic(embedded_bootstrap, topic, 1)) == 1


def test_settings_that_the_client_refuses_later_drop_hits_and_raise_nothing(caplog: pytest.LogCaptureFixture) -> None:
    # With a callback among them, the client is not asked before the first hit.
    transport = KafkaHitTransport("localhost:1", no_such_setting="1", error_cb=print)
    with HitLogger(transport, app="a", environment_name="devel", interval_seconds=0.01) as logger:
        assert logger.log(test_key="k", variant="v", unit_type="user", unit_id=1)
        assert logger.flush(10)
        assert balanced(logger).dropped["delivery_failed"] == 1
    assert "no.such.setting" in caplog.text


def test_the_settings_are_not_shown_for_they_may_hold_a_password() -> None:
    assert "secret" not in repr(KafkaHitTransport("localhost:1", sasl_password="secret"))  # noqa: S106 - an example


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks are a thing of Unix")
def test_a_child_of_a_process_with_a_producer_delivers_and_ends(embedded_bootstrap: str) -> None:
    topic = f"hits-{uuid.uuid4()}"
    script = """
import os, sys
from usersplit import HitLogger, KafkaHitTransport
logger = HitLogger(KafkaHitTransport(sys.argv[1], topic=sys.argv[2]), app="a", environment_name="devel")
def log(unit_id):
    logger.log(test_key="k", variant="v", unit_type="user", unit_id=unit_id)
log("before")
assert logger.flush(20)
pid = os.fork()
log("parent" if pid else "child")
assert logger.flush(20), logger.stats()
if pid:
    assert os.waitpid(pid, 0)[1] == 0
"""
    done = subprocess.run(
        # Python 3.12 and newer warn of any fork with threads: that is what is tested here.
        [
            sys.executable,
            "-W",
            "error",
            "-W",
            "ignore:This process:DeprecationWarning",
            "-c",
            script,
            embedded_bootstrap,
            topic,
        ],
        env={**os.environ, "PYTHONPATH": str(SDK)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    units = sorted(decode_hit(value).unit_id for _, value in read_topic(embedded_bootstrap, topic, 3))
    assert units == ["before", "child", "parent"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks are a thing of Unix")
def test_a_fork_does_not_wait_for_the_producer_of_the_parent(embedded_bootstrap: str) -> None:
    script = """
import os, sys, time
from usersplit import HitLogger, KafkaHitTransport
logger = HitLogger(KafkaHitTransport(sys.argv[1], topic=sys.argv[2]), app="a", environment_name="devel")
logger.log(test_key="k", variant="v", unit_type="user", unit_id=1)
assert logger.flush(20)
started = time.monotonic()
pid = os.fork()
if not pid:
    os._exit(0 if time.monotonic() - started < 0.5 else 1)
assert os.waitpid(pid, 0)[1] == 0
logger.close()
"""
    subprocess.run(
        [sys.executable, "-c", script, embedded_bootstrap, f"hits-{uuid.uuid4()}"],
        env={**os.environ, "PYTHONPATH": str(SDK)},
        check=True,
        capture_output=True,
        timeout=120,
    )
