import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from time import monotonic, sleep
from typing import Any

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.exc import OperationalError

from consumers import republish_requests
from consumers.leadership import FileLeaderLock
from consumers.relay import CHECKPOINT, ConfigProjectionBehind
from consumers.relay_records import HEARTBEAT_KEY
from events.checkpoints import move, position_of
from events.database import write_transaction
from events.errors import CheckpointMoved
from events.facts import (
    PreparedVariant,
    PropertiesEdited,
    PropertyChange,
    ProposedVariant,
    SettingsGroupPrepared,
    SettingsGroupProposed,
    SplitTestCreated,
)
from events.lifecycle_codec import decode_event
from projections.registry import projections_table
from streams.memory import MemoryBroker, MemoryProducer
from streams.messages import Message, OutgoingMessage
from streams.ports import DeliveryFailed, MessageTooLarge
from streams.topics import CONFIGS, LIFECYCLE, all_topics
from tests.support.relayed_facts import (
    append,
    create,
    discard,
    publish,
    relay_of,
    start,
    store_of,
    unpublish,
)

NOW = datetime(2026, 5, 2, 12, tzinfo=UTC)


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


def test_a_clock_that_is_set_back_does_not_silence_the_relay(sqlite_database: Engine) -> None:
    broker = a_broker()
    moments = [NOW, NOW - timedelta(hours=1), NOW - timedelta(hours=1)]
    relay = relay_of(sqlite_database, broker, now=lambda: moments.pop(0))
    for _ in range(3):
        relay.step()
    assert len([m for m in everything(broker, CONFIGS) if m.key == HEARTBEAT_KEY]) == 2


class NarrowBroker(MemoryBroker):
    """Its topics take messages of at most so many bytes."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.ensure_topics(all_topics(hit_partitions=1))
        self.most = most

    def producer(self) -> MemoryProducer:
        good, broker = super().producer(), self

        class Producer(MemoryProducer):
            def __init__(self) -> None:
                pass

            def send(self, messages: Sequence[OutgoingMessage], *, give_up: Event | None = None) -> None:
                for message in messages:
                    if len(message.value or b"") > broker.most:
                        raise MessageTooLarge(message)
                    good.send([message], give_up=give_up)

            def close(self) -> None:
                good.close()

        return Producer()


def test_a_document_that_is_too_large_is_withheld_loudly_and_the_others_go_on(
    sqlite_database: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    store, broker = store_of(sqlite_database), NarrowBroker(2000)
    create(store, "a")
    variants = tuple(ProposedVariant(name=f"variant_{number}", groups=1) for number in range(100))
    proposed = settings_proposed("large", variants)
    append(store, "large", SplitTestCreated(key="large", name="large", author="anna", managers=("anna",)), proposed)
    append(store, "large", settings_prepared("large", variants))
    for key in ("large", "a"):
        publish(store, key)
    relay = relay_of(sqlite_database, broker, now=a_clock)
    assert relay.step() == 8
    assert checkpoint(sqlite_database) == 8
    assert {document["key"] for document in documents(broker)} == {"a"}
    assert relay.withheld == 3
    assert "the relay withholds a record" in caplog.text
    assert "usersplit.configs with the key large is too large" in caplog.text
    newest = {dict(m.headers)["ce_id"]: m for m in everything(broker, LIFECYCLE)}
    assert len(newest) == 8, "a withheld event leaves its place"
    withheld = newest[b"split_test/large@2"]
    assert withheld.value is None
    assert dict(withheld.headers)["usersplit_withheld"] == b"too large"
    assert all(m.value for m in everything(broker, CONFIGS)), "never a tombstone"
    broker.most = 1_000_000
    ask_again(sqlite_database, "large")
    assert relay.republish() == 1
    assert documents(broker)[-1]["key"] == "large"


def test_documents_are_sent_again_when_somebody_asked_and_then_no_more(sqlite_database: Engine) -> None:
    store, broker = store_of(sqlite_database), a_broker()
    relay = relay_of(sqlite_database, broker, now=a_clock)
    for key in ("a", "b"):
        create(store, key)
        publish(store, key)
    relay.step()
    sent = len(documents(broker))
    assert relay.republish() == 0
    ask_again(sqlite_database, "a", "b")
    ask_again(sqlite_database, "a")
    assert relay.republish() == 2
    assert [(d["key"], d["position"]) for d in documents(broker)[sent:]] == [("a", 4), ("b", 8)]
    assert relay.republish() == 0


def test_a_wish_that_was_renewed_while_it_was_fulfilled_is_fulfilled_again(sqlite_database: Engine) -> None:
    ask_again(sqlite_database, "a")
    with sqlite_database.connect() as connection:
        known = republish_requests.waiting(connection, limit=10)
    ask_again(sqlite_database, "a", at=NOW + timedelta(seconds=1))
    with write_transaction(sqlite_database) as connection:
        republish_requests.fulfilled(connection, known)
        assert list(republish_requests.waiting(connection, limit=10)) == ["a"]


def test_a_wish_survives_a_failed_delivery(sqlite_database: Engine) -> None:
    store, broker = store_of(sqlite_database), FailingBroker()
    create(store, "a")
    publish(store, "a")
    relay = relay_of(sqlite_database, broker, now=a_clock)
    relay.step()
    ask_again(sqlite_database, "a")
    broker.faults.append(0)
    with pytest.raises(DeliveryFailed):
        relay.republish()
    assert relay.republish() == 1


def test_the_relay_fulfils_wishes_by_itself_and_waits_a_database_outage_out(
    sqlite_database: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    store, broker, stop = store_of(sqlite_database), a_broker(), Event()
    relay = relay_of(sqlite_database, broker, now=lambda: datetime.now(UTC))
    relay._heartbeat_every = timedelta(0)
    outage, original = [True, True], relay._catch_up

    def away(until: int) -> object:
        if outage:
            outage.pop()
            raise OperationalError("SELECT 1", {}, ConnectionError("the server closed the connection"))
        return original(until)

    relay._catch_up = away
    thread = Thread(target=relay.run, args=(stop,), kwargs={"idle_seconds": 0.01, "retry_seconds": 0.01})
    create(store, "a")
    publish(store, "a")
    ask_again(sqlite_database, "a")
    thread.start()
    deadline = monotonic() + 10
    while len(documents(broker)) < 2:
        assert monotonic() < deadline
        assert thread.is_alive()
        sleep(0.01)
    stop.set()
    thread.join(timeout=10)
    assert not thread.is_alive()
    assert not relay.leads
    assert caplog.text.count("the relay waits for the database") == 2


def test_a_relay_that_lost_its_lock_stops_to_lead_although_it_waits_for_the_broker(sqlite_database: Engine) -> None:
    create(store_of(sqlite_database), "a")
    lock = FileLeaderLock(Path(f"{sqlite_database.url.database}.relay.lock"))
    waits = Event()

    class Waiting(MemoryBroker):
        def producer(self) -> MemoryProducer:
            class Producer(MemoryProducer):
                def __init__(self) -> None:
                    pass

                def send(self, messages: Sequence[OutgoingMessage], *, give_up: Event | None = None) -> None:
                    del messages
                    waits.set()
                    assert give_up is not None
                    while not give_up.is_set():
                        sleep(0.01)
                    raise DeliveryFailed("told to give up")

                def close(self) -> None:
                    pass

            return Producer()

    relay = relay_of(sqlite_database, Waiting(), now=a_clock)
    relay._leadership._lock = lock
    stop, led = Event(), []
    thread = Thread(target=relay.run, args=(stop,), kwargs={"retry_seconds": 30.0}, daemon=True)
    thread.start()
    assert waits.wait(10)
    led.append(relay.leads)
    lock.release()
    deadline = monotonic() + 10
    while relay.leads and monotonic() < deadline:
        sleep(0.01)
    led.append(relay.leads)
    stop.set()
    thread.join(timeout=10)
    assert led == [True, False]
    assert not thread.is_alive()


def settings_proposed(key: str, variants: tuple[ProposedVariant, ...]) -> SettingsGroupProposed:
    return SettingsGroupProposed(
        key=key,
        settings_group=1,
        starts_at=NOW,
        ends_at=NOW + timedelta(days=30),
        conditions="[]",
        filters=(),
        variants=variants,
    )


def settings_prepared(key: str, variants: tuple[ProposedVariant, ...]) -> SettingsGroupPrepared:
    return SettingsGroupPrepared(
        key=key,
        settings_group=1,
        seed=1,
        as_of_position=0,
        variants=tuple(
            PreparedVariant(name=variant.name, split_groups=(number,)) for number, variant in enumerate(variants, 1)
        ),
    )


def checkpoint(engine: Engine) -> int:
    with engine.connect() as connection:
        return position_of(connection, CHECKPOINT)


def set_config_state(engine: Engine, state: str) -> None:
    with write_transaction(engine) as connection:
        connection.execute(update(projections_table).where(projections_table.c.name == "config").values(state=state))


def ask_again(engine: Engine, *keys: str, at: datetime = NOW) -> None:
    with write_transaction(engine) as connection:
        republish_requests.request(connection, keys, at=at)
