"""A relay whose deliveries fail, that was overtaken, or that holds what nobody takes."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from time import monotonic, sleep

import pytest
from sqlalchemy import Engine

from consumers.leadership import FileLeaderLock
from consumers.relay import CHECKPOINT, ConfigProjectionBehind, LogBehindRelay
from events.checkpoints import move
from events.database import write_transaction
from events.errors import CheckpointMoved
from events.facts import (
    PreparedVariant,
    ProposedVariant,
    SettingsGroupPrepared,
    SettingsGroupProposed,
    SplitTestCreated,
)
from events.lifecycle_codec import decode_event
from streams.memory import MemoryBroker, MemoryProducer
from streams.messages import OutgoingMessage
from streams.ports import DeliveryFailed, MessageTooLarge
from streams.topics import CONFIGS, LIFECYCLE, all_topics
from tests.support.relayed_facts import (
    append,
    create,
    publish,
    relay_of,
    store_of,
)
from tests.support.relayed_records import (
    NOW,
    FailingBroker,
    a_broker,
    a_clock,
    ask_again,
    checkpoint,
    documents,
    everything,
    set_config_state,
)


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


def test_a_relay_beyond_the_end_of_the_log_passes_over_nothing(sqlite_database: Engine) -> None:
    store, broker = store_of(sqlite_database), a_broker()
    create(store, "a")
    with write_transaction(sqlite_database) as connection:
        move(connection, CHECKPOINT, expected=0, to=9)
    relay = relay_of(sqlite_database, broker, now=a_clock)
    for _ in range(2):
        with pytest.raises(LogBehindRelay, match="stands at position 9 and the log ends at 3"):
            relay.step()
    assert everything(broker, CONFIGS) == [], "no heartbeat says that all is well up to 9"


def test_a_trouble_that_lasts_does_not_flood_the_log(sqlite_database: Engine, caplog: pytest.LogCaptureFixture) -> None:
    relay = relay_of(sqlite_database, a_broker(), now=a_clock)
    create(store_of(sqlite_database), "a")
    relay.step()
    set_config_state(sqlite_database, "paused")
    publish(store_of(sqlite_database), "a")
    tries, stop = [], Event()

    def catch_up(until: int) -> None:
        tries.append(until)
        if len(tries) == 20:
            stop.set()

    relay._catch_up = catch_up
    relay.run(stop, retry_seconds=0.001)
    assert len(tries) == 20
    assert caplog.text.count("starts again from its checkpoint") == 1


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
    assert waits.wait(60)
    led.append(relay.leads)
    lock.release()
    deadline = monotonic() + 60
    while relay.leads and monotonic() < deadline:
        sleep(0.01)
    led.append(relay.leads)
    stop.set()
    thread.join(timeout=60)
    assert led == [True, False]
    assert not thread.is_alive()


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
