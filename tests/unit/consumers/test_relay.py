import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pytest
from sqlalchemy import Engine, text, update

from consumers.leadership import FileLeaderLock, PostgresLeaderLock, leader_lock
from consumers.relay import CHECKPOINT, ConfigProjectionBehind
from consumers.relay_records import HEARTBEAT_KEY
from events.checkpoints import move, position_of
from events.database import open_database, write_transaction
from events.errors import CheckpointMoved
from events.facts import PropertiesEdited, PropertyChange
from events.lifecycle_codec import decode_event
from projections.registry import projections_table
from streams.memory import MemoryBroker, MemoryProducer
from streams.messages import Message, OutgoingMessage
from streams.ports import DeliveryFailed
from streams.topics import CONFIGS, LIFECYCLE, all_topics
from tests.support.relayed_facts import append, create, discard, publish, relay_of, start, store_of, unpublish

NOW = datetime(2026, 5, 2, 12, tzinfo=UTC)


@pytest.fixture
def postgres_engine(postgres_url: str) -> Iterator[Engine]:
    engine = open_database(postgres_url)
    yield engine
    engine.dispose()


def a_clock() -> datetime:
    return NOW


def a_broker() -> MemoryBroker:
    broker = MemoryBroker()
    broker.ensure_topics(all_topics(hit_partitions=1))
    return broker


def everything(broker: MemoryBroker, topic: str) -> list[Message]:
    return broker.log_reader(topic).poll(max_messages=10_000, timeout_seconds=0)


def documents(broker: MemoryBroker) -> list[dict[str, Any]]:
    return [json.loads(m.value or b"") for m in everything(broker, CONFIGS) if m.key != HEARTBEAT_KEY]


class FailingBroker(MemoryBroker):
    """Its producers do what `fault` does before they send; then they send the first `arrives` messages and fail."""

    def __init__(self) -> None:
        super().__init__()
        self.ensure_topics(all_topics(hit_partitions=1))
        self.faults: list[int] = []
        self.producers: list[MemoryProducer] = []

    def producer(self) -> MemoryProducer:
        good = super().producer()
        faults = self.faults

        class Producer(MemoryProducer):
            def __init__(self) -> None:
                pass

            def send(self, messages: Sequence[OutgoingMessage], *, give_up: Event | None = None) -> None:
                if faults:
                    good.send(messages[: faults.pop(0)])
                    raise DeliveryFailed("planted")
                good.send(messages, give_up=give_up)

            def close(self) -> None:
                good.close()

        self.producers.append(Producer())
        return self.producers[-1]


def test_every_event_becomes_a_lifecycle_record_that_decodes_to_it(sqlite_database: Engine) -> None:
    store, broker = store_of(sqlite_database), a_broker()
    create(store, "green_button")
    publish(store, "green_button")
    assert relay_of(sqlite_database, broker, now=a_clock).step() == 4
    records = everything(broker, LIFECYCLE)
    assert [decode_event(record.value or b"") for record in records] == store.read(after=0, limit=10)
    assert {record.key for record in records} == {b"green_button"}


def test_lifecycle_records_carry_cloudevents_headers(sqlite_database: Engine) -> None:
    broker = a_broker()
    create(store_of(sqlite_database), "green_button")
    relay_of(sqlite_database, broker, now=a_clock).step()
    assert dict(everything(broker, LIFECYCLE)[1].headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"split_test/green_button@2",
        "ce_source": b"usersplit",
        "ce_type": b"SettingsGroupProposed",
        "ce_time": b"2026-05-01T00:00:00Z",
        "ce_subject": b"green_button",
        "content-type": b"application/avro",
        "usersplit_position": b"2",
    }


def test_a_document_is_sent_when_it_changes_and_only_then(sqlite_database: Engine) -> None:
    store, broker = store_of(sqlite_database), a_broker()
    relay = relay_of(sqlite_database, broker, now=a_clock)
    create(store, "a")
    create(store, "b")
    relay.step()
    assert documents(broker) == [], "a Draft is nobody's business but its managers'"
    publish(store, "b")
    relay.step()
    publish(store, "a")
    start(store, "b")
    relay.step()
    append(store, "a", PropertiesEdited(key="a", changes=(PropertyChange(name="name", before="a", after="b"),)))
    relay.step()
    assert [(d["key"], d["position"], d["status"]) for d in documents(broker)] == [
        ("b", 7, "in_dev"),
        ("a", 8, "in_dev"),
        ("b", 9, "running"),
    ]


def test_a_test_that_is_unpublished_or_discarded_is_told_by_its_status_never_by_a_tombstone(
    sqlite_database: Engine,
) -> None:
    store, broker = store_of(sqlite_database), a_broker()
    relay = relay_of(sqlite_database, broker, now=a_clock)
    create(store, "a")
    for change in (publish, unpublish, discard):
        change(store, "a")
        relay.step()
    assert [d["status"] for d in documents(broker)] == ["in_dev", "draft", "discarded"]
    assert all(record.value for record in everything(broker, CONFIGS))


@pytest.mark.parametrize("batch_size", [1, 2, 3, 500])
def test_whatever_the_batch_size_the_newest_document_of_each_test_arrives(
    sqlite_database: Engine, batch_size: int
) -> None:
    store, broker = store_of(sqlite_database), a_broker()
    for key in ("a", "b", "c"):
        create(store, key)
        publish(store, key)
    newest = {key: start(store, key) for key in ("c", "a", "b")}
    relay = relay_of(sqlite_database, broker, batch_size=batch_size, now=a_clock)
    while relay.step():
        pass
    assert {d["key"]: d["position"] for d in documents(broker)} == newest
    assert [decode_event(m.value or b"").position for m in everything(broker, LIFECYCLE)] == list(range(1, 16))


@pytest.mark.parametrize("arrived", [0, 1, 3, 6])
def test_after_a_failed_delivery_a_new_producer_sends_the_whole_batch_again(
    sqlite_database: Engine, arrived: int
) -> None:
    store, broker = store_of(sqlite_database), FailingBroker()
    create(store, "a")
    publish(store, "a")
    relay = relay_of(sqlite_database, broker, now=a_clock)
    broker.faults.append(arrived)
    with pytest.raises(DeliveryFailed):
        relay.step()
    assert checkpoint(sqlite_database) == 0
    assert relay.step() == 4
    assert len(broker.producers) == 2
    positions = [decode_event(m.value or b"").position for m in everything(broker, LIFECYCLE)]
    assert positions == [*range(1, min(arrived, 4) + 1), 1, 2, 3, 4]
    assert documents(broker)[-1]["position"] == 4
    assert checkpoint(sqlite_database) == 4


def test_a_relay_that_was_overtaken_does_not_move_the_checkpoint(sqlite_database: Engine) -> None:
    store, broker = store_of(sqlite_database), a_broker()
    create(store, "a")
    catch_up = relay_of(sqlite_database, a_broker(), now=a_clock)
    relay = relay_of(sqlite_database, broker, now=a_clock)
    original: Callable[[int], object] = relay._catch_up

    def overtaken(until: int) -> object:
        with write_transaction(sqlite_database) as connection:
            move(connection, CHECKPOINT, expected=0, to=1)
        return original(until)

    relay._catch_up = overtaken
    with pytest.raises(CheckpointMoved):
        relay.step()
    assert checkpoint(sqlite_database) == 1
    assert catch_up.step() == 2


def test_a_paused_config_projection_holds_the_relay_up_instead_of_losing_a_document(sqlite_database: Engine) -> None:
    store, broker = store_of(sqlite_database), a_broker()
    relay = relay_of(sqlite_database, broker, now=a_clock)
    create(store, "a")
    relay.step()
    set_config_state(sqlite_database, "paused")
    publish(store, "a")
    with pytest.raises(ConfigProjectionBehind, match="reach position 3 and the relay needs 4"):
        relay.step()
    assert checkpoint(sqlite_database) == 3
    set_config_state(sqlite_database, "live")
    assert relay.step() == 1
    assert documents(broker)[-1]["position"] == 4


def test_a_heartbeat_tells_where_the_relay_stands_every_so_often(sqlite_database: Engine) -> None:
    broker = a_broker()
    moments = [NOW, NOW + timedelta(seconds=9), NOW + timedelta(seconds=10), NOW + timedelta(seconds=11)]
    relay = relay_of(sqlite_database, broker, now=lambda: moments.pop(0))
    create(store_of(sqlite_database), "a")
    for _ in range(4):
        relay.step()
    beats = [json.loads(m.value or b"") for m in everything(broker, CONFIGS) if m.key == HEARTBEAT_KEY]
    assert beats == [
        {"format": 1, "kind": "heartbeat", "position": 3, "at": "2026-05-02T12:00:00Z"},
        {"format": 1, "kind": "heartbeat", "position": 3, "at": "2026-05-02T12:00:10Z"},
    ]


def test_a_leader_lock_is_held_by_one_until_it_is_released(database: Engine) -> None:
    first, second = leader_lock(database, "relay"), leader_lock(database, "relay")
    other = leader_lock(database, "something else")
    assert first.try_acquire()
    assert first.try_acquire()
    assert not second.try_acquire()
    assert other.try_acquire()
    assert first.still_held()
    assert not second.still_held()
    first.release()
    first.release()
    assert not first.still_held()
    assert second.try_acquire()
    second.release()
    other.release()


def test_whose_connection_was_lost_does_not_lead_any_more(postgres_engine: Engine) -> None:
    first, second = PostgresLeaderLock(postgres_engine, "relay"), PostgresLeaderLock(postgres_engine, "relay")
    assert first.try_acquire()
    with postgres_engine.connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' "
                "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
        )
    assert not first.still_held()
    first.release()
    assert second.try_acquire()
    second.release()


def test_a_database_in_memory_has_no_leader_lock() -> None:
    with pytest.raises(ValueError, match="give SQLite a file"):
        leader_lock(open_database("sqlite://"), "relay")


def test_the_lock_of_a_sqlite_database_is_a_file_beside_it(sqlite_database: Engine) -> None:
    lock = leader_lock(sqlite_database, "relay")
    assert isinstance(lock, FileLeaderLock)
    assert str(lock._path) == f"{sqlite_database.url.database}.relay.lock"


def checkpoint(engine: Engine) -> int:
    with engine.connect() as connection:
        return position_of(connection, CHECKPOINT)


def set_config_state(engine: Engine, state: str) -> None:
    with write_transaction(engine) as connection:
        connection.execute(update(projections_table).where(projections_table.c.name == "config").values(state=state))
