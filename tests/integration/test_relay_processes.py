"""The relay as a process among others: killed, doubled, and in front of a broker that dies."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy import Engine

from consumers.agent import Agent
from consumers.relay import CHECKPOINT
from consumers.relay_records import HEARTBEAT_KEY
from events.checkpoints import position_of
from events.lifecycle_codec import decode_event
from streams.kafka_broker import KafkaBroker
from streams.kafka_embedded import EmbeddedBroker
from streams.messages import Message
from streams.topics import CONFIGS, LIFECYCLE, all_topics
from tests.support.kafka_server import KafkaServer
from tests.support.relayed_facts import create, pause, publish, relay_of, resume, start, store_of
from tests.support.terminal import wait_until

ROOT = Path(__file__).parents[2]


@pytest.fixture
def embedded() -> Iterator[str]:
    """A broker of one's own: the topics' names are fixed, so tests cannot share one."""
    with EmbeddedBroker() as broker:
        KafkaBroker(broker.bootstrap_servers, embedded=True).ensure_topics(all_topics(hit_partitions=1))
        yield broker.bootstrap_servers


@contextmanager
def relay_process(database_url: str, bootstrap: str, *, kill_at: str = "") -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.support.relay_process", database_url, bootstrap, "embedded", kill_at]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "sdk")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def checkpoint(engine: Engine) -> int:
    with engine.connect() as connection:
        return position_of(connection, CHECKPOINT)


def everything(broker: KafkaBroker, topic: str) -> list[Message]:
    reader = broker.log_reader(topic)
    ends = reader.end_offsets()
    found: list[Message] = []
    while any(reader.position().get(partition, 0) < end for partition, end in ends.items()):
        found.extend(reader.poll(max_messages=1000, timeout_seconds=0.2))
    reader.close()
    return found


def positions_by_key(broker: KafkaBroker) -> dict[bytes | None, list[int]]:
    found: dict[bytes | None, list[int]] = {}
    for record in everything(broker, LIFECYCLE):
        found.setdefault(record.key, []).append(decode_event(record.value or b"").position)
    return found


def document_positions(broker: KafkaBroker) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for record in everything(broker, CONFIGS):
        if record.key != HEARTBEAT_KEY:
            document = json.loads(record.value or b"")
            found.setdefault(document["key"], []).append(document["position"])
    return found


def first_seen(positions: list[int]) -> list[int]:
    return list(dict.fromkeys(positions))


def fill(engine: Engine) -> None:
    store = store_of(engine)
    for key in ("a", "b"):
        create(store, key)
    for change in (publish, start, pause, resume):
        for key in ("a", "b"):
            change(store, key)


@pytest.mark.parametrize("kill_at", ["read", "produced", "acknowledged", "checkpointed"])
def test_whatever_a_relay_died_at_every_event_arrives_in_order_for_each_key(
    database: Engine, database_url: str, embedded: str, kill_at: str
) -> None:
    fill(database)
    with relay_process(database_url, embedded, kill_at=kill_at) as process:
        assert process.wait(timeout=90) == -9
    assert checkpoint(database) == (4 if kill_at == "checkpointed" else 0)
    with relay_process(database_url, embedded):
        wait_until("the second relay finishes the work", lambda: checkpoint(database) == 14)
    broker = KafkaBroker(embedded, embedded=True)
    seen = positions_by_key(broker)
    assert {key: first_seen(positions) for key, positions in seen.items()} == {
        b"a": [1, 2, 3, 7, 9, 11, 13],
        b"b": [4, 5, 6, 8, 10, 12, 14],
    }
    assert {key: positions[-1] for key, positions in document_positions(broker).items()} == {"a": 13, "b": 14}
    repeated = sum(map(len, seen.values())) - 14
    assert repeated == {"read": 0, "produced": 1, "acknowledged": 4, "checkpointed": 0}[kill_at]


def test_of_two_relays_one_leads_and_the_other_takes_over_when_it_dies(
    database: Engine, database_url: str, embedded: str
) -> None:
    store = store_of(database)
    create(store, "a")
    with relay_process(database_url, embedded) as leader:
        wait_until("one leads", lambda: checkpoint(database) == 3)
        with relay_process(database_url, embedded) as standby:
            publish(store, "a")
            wait_until("somebody leads still", lambda: checkpoint(database) == 4)
            leader.kill()
            leader.wait(timeout=60)
            start(store, "a")
            wait_until("the other takes over", lambda: checkpoint(database) == 5)
            standby.kill()
            assert "the relay leads" in (standby.stdout.read() if standby.stdout else "")
    assert positions_by_key(KafkaBroker(embedded, embedded=True)) == {b"a": [1, 2, 3, 4, 5]}


def test_while_one_relay_leads_the_other_stands_by(database: Engine, embedded: str) -> None:
    broker = KafkaBroker(embedded, embedded=True)
    first, second = (relay_of(database, broker, now=lambda: datetime.now(UTC)) for _ in range(2))
    stops = Event(), Event()
    threads = [Thread(target=relay.run, args=(stop,)) for relay, stop in zip((first, second), stops, strict=True)]
    threads[0].start()
    wait_until("the first leads", lambda: first.leads)
    threads[1].start()
    time.sleep(0.3)
    assert not second.leads
    stops[0].set()
    threads[0].join(timeout=60)
    wait_until("the second takes over", lambda: second.leads)
    stops[1].set()
    threads[1].join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.real_kafka
def test_a_relay_and_an_agent_outlive_the_death_of_the_broker(
    own_kafka: KafkaServer, sqlite_database: Engine, tmp_path: Path
) -> None:
    broker = KafkaBroker(own_kafka.bootstrap_servers)
    broker.ensure_topics(all_topics(hit_partitions=1))
    store, stop = store_of(sqlite_database), Event()
    agent = Agent(broker, tmp_path / "configs")
    relay = relay_of(sqlite_database, broker, batch_size=4, now=lambda: datetime.now(UTC))
    threads = [Thread(target=relay.run, args=(stop,)), Thread(target=agent.run, args=(stop,))]
    for thread in threads:
        thread.start()
    fill(sqlite_database)
    for _ in range(5):
        pause(store, "a")
        time.sleep(0.05)
    own_kafka.kill()
    newest = [resume(store, "a") for _ in range(10)][-1]
    started_late = Agent(broker, tmp_path / "late")
    assert started_late.step() == 0
    assert not started_late.ready
    own_kafka.start()
    wait_until("the relay goes on", lambda: checkpoint(sqlite_database) == store.head())
    file = tmp_path / "configs" / "a.json"
    wait_until("the agent goes on", lambda: file.exists() and json.loads(file.read_bytes())["status"] == "running")
    wait_until("the late agent is ready", lambda: bool(started_late.step()) or started_late.ready)
    stop.set()
    for thread in threads:
        thread.join(timeout=60)
    started_late.close()
    assert not any(thread.is_alive() for thread in threads)
    seen = positions_by_key(broker)
    assert first_seen(seen[b"a"]) == sorted(set(seen[b"a"]))
    assert sorted({*seen[b"a"], *seen[b"b"]}) == list(range(1, newest + 1))
    assert (tmp_path / "late" / "a.json").read_bytes() == file.read_bytes()


def test_a_relay_that_waits_for_a_dead_broker_can_be_stopped(sqlite_database: Engine) -> None:
    create(store_of(sqlite_database), "a")
    relay = relay_of(sqlite_database, KafkaBroker("127.0.0.1:9"), now=lambda: datetime.now(UTC))
    stop = Event()
    thread = Thread(target=relay.run, args=(stop,))
    thread.start()
    time.sleep(0.5)
    stop.set()
    thread.join(timeout=60)
    assert not thread.is_alive()
    assert checkpoint(sqlite_database) == 0
