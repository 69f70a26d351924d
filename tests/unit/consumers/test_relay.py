"""What a relay sends: each event as a record, each test's newest config, and that it is there."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from consumers.relay_records import HEARTBEAT_KEY
from events.facts import (
    PropertiesEdited,
    PropertyChange,
)
from events.lifecycle_codec import decode_event
from streams.topics import CONFIGS, LIFECYCLE
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
from tests.support.relayed_records import (
    NOW,
    a_broker,
    a_clock,
    documents,
    everything,
)


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
