"""Relays on PostgreSQL whose connections are cut: every one of them, or the one that holds the lead."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from time import monotonic, sleep

import pytest
from sqlalchemy import Engine, text

from consumers.relay import CHECKPOINT
from events.checkpoints import position_of
from events.database import open_database
from events.lifecycle_codec import decode_event
from streams.memory import MemoryBroker, MemoryProducer
from streams.messages import OutgoingMessage
from streams.topics import LIFECYCLE, all_topics
from tests.support.relayed_facts import create, pause, publish, relay_of, resume, start, store_of
from tests.support.relayed_records import documents, everything


def test_a_relay_whose_connections_are_all_cut_goes_on_by_itself(migrated_postgres_url: str) -> None:
    engine, relays = open_database(migrated_postgres_url), open_database(migrated_postgres_url)
    store, broker, stop = store_of(engine), MemoryBroker(), Event()
    broker.ensure_topics(all_topics(hit_partitions=1))
    create(store, "a")
    relay = relay_of(relays, broker, now=lambda: datetime.now(UTC))
    thread = Thread(target=relay.run, args=(stop,), kwargs={"idle_seconds": 0.01, "retry_seconds": 0.05}, daemon=True)
    thread.start()
    deadline, expected = monotonic() + 60, 3
    for cut in range(4):
        while checkpoint(engine) < expected:
            assert monotonic() < deadline
            assert thread.is_alive()
            sleep(0.01)
        if cut < 3:
            expected = pause(store, "a") if cut % 2 else publish(store, "a") if cut == 0 else resume(store, "a")
            with engine.connect() as connection:
                connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                )
    stop.set()
    thread.join(timeout=60)
    assert not thread.is_alive()
    for opened in (engine, relays):
        opened.dispose()


class Slow(MemoryBroker):
    """Its first producer sends half of a batch and tells nobody anything until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.ensure_topics(all_topics(hit_partitions=1))
        self.is_half_done, self.let_go, self._slow = Event(), Event(), True

    def producer(self) -> MemoryProducer:
        good, broker, is_slow, self._slow = super().producer(), self, self._slow, False

        class Producer(MemoryProducer):
            def __init__(self) -> None:
                pass

            def send(self, messages: Sequence[OutgoingMessage], *, give_up: Event | None = None) -> None:
                del give_up
                half = len(messages) // 2 if is_slow else 0
                good.send(messages[:half])
                if is_slow:
                    broker.is_half_done.set()
                    assert broker.let_go.wait(60)
                good.send(messages[half:])

            def close(self) -> None:
                good.close()

        return Producer()


def test_a_relay_that_loses_its_lead_in_the_middle_of_a_batch_moves_nothing_when_it_is_done(
    migrated_postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    engines = [open_database(migrated_postgres_url) for _ in range(3)]
    store, broker, stop = store_of(engines[0]), Slow(), Event()
    for key in ("a", "b"):
        create(store, key)
        publish(store, key)
    first, second = (relay_of(engine, broker, now=lambda: datetime.now(UTC)) for engine in engines[1:])
    second._heartbeat_every = timedelta(0)
    threads = [
        Thread(target=relay.run, args=(stop,), kwargs={"idle_seconds": 0.01, "retry_seconds": 0.05}, daemon=True)
        for relay in (first, second)
    ]
    try:
        threads[0].start()
        assert broker.is_half_done.wait(60)
        threads[1].start()
        with engines[0].connect() as connection:
            lost = connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks "
                    "WHERE locktype = 'advisory' AND granted AND objsubid = 1"
                )
            ).all()
        assert len(lost) == 1, "the session that holds the leader's lock, and no other"
        wait_until(lambda: checkpoint(engines[0]) == 8)
        start(store, "a")
        wait_until(lambda: checkpoint(engines[0]) == 9)
        broker.let_go.set()
        wait_until(lambda: not first.leads)
        start(store, "b")
        wait_until(lambda: checkpoint(engines[0]) == 10)
        assert [relay.leads for relay in (first, second)] == [False, True]
        assert "the checkpoint of relay is at 9, not 0" in caplog.text
        for key, expected in (("a", [1, 2, 3, 4, 9]), ("b", [5, 6, 7, 8, 10])):
            seen = [
                decode_event(m.value or b"").position for m in everything(broker, LIFECYCLE) if m.key == key.encode()
            ]
            assert list(dict.fromkeys(seen)) == expected, "what came twice is old by its position"
        # Compaction keeps the last record of a key, and a new server has nothing else: it must not be the late one.
        wait_until(lambda: {each["key"]: each["position"] for each in documents(broker)} == {"a": 9, "b": 10})
    finally:
        broker.let_go.set()
        stop.set()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    for engine in engines:
        engine.dispose()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = monotonic() + 60
    while not condition():
        assert monotonic() < deadline
        sleep(0.01)


def checkpoint(engine: Engine) -> int:
    with engine.connect() as connection:
        return position_of(connection, CHECKPOINT)
