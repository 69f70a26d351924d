"""Config documents that somebody asked a relay to send again."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from time import monotonic, sleep

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from consumers import republish_requests
from events.database import write_transaction
from events.errors import CheckpointMoved
from streams.messages import OutgoingMessage
from streams.ports import DeliveryFailed
from tests.support.relayed_facts import (
    create,
    publish,
    relay_of,
    start,
    store_of,
)
from tests.support.relayed_records import NOW, FailingBroker, a_broker, a_clock, ask_again, documents


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


def test_a_relay_that_was_overtaken_while_it_sent_again_leaves_the_wish_to_the_one_that_leads(
    sqlite_database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, broker = store_of(sqlite_database), a_broker()
    create(store, "a")
    publish(store, "a")
    relay = relay_of(sqlite_database, broker, now=a_clock)
    relay.step()
    ask_again(sqlite_database, "a")
    original = relay._send

    def overtaken(records: Sequence[OutgoingMessage]) -> None:
        start(store, "a")
        assert relay_of(sqlite_database, broker, now=a_clock).step() == 1
        original(records)

    monkeypatch.setattr(relay, "_send", overtaken)
    with pytest.raises(CheckpointMoved):
        relay.republish()
    assert [(d["key"], d["position"]) for d in documents(broker)] == [("a", 4), ("a", 5), ("a", 4)]
    assert relay_of(sqlite_database, broker, now=a_clock).republish() == 1
    assert documents(broker)[-1]["position"] == 5


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
    deadline = monotonic() + 60
    while len(documents(broker)) < 2:
        assert monotonic() < deadline
        assert thread.is_alive()
        sleep(0.01)
    stop.set()
    thread.join(timeout=60)
    assert not thread.is_alive()
    assert not relay.leads
    assert not outage
    assert caplog.text.count("the relay waits for the database") == 1, "of one trouble it speaks once a minute"
