"""Confluent's own client and deserializer read our topics through our registry, from a real Kafka."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from entrypoints.registry_server import AddressInUse, registry_served
from events.facts import REGISTRY
from events.lifecycle_codec import encode_event, lifecycle_schema
from events.store import StoredEvent
from streams.kafka_broker import KafkaBroker
from streams.messages import OutgoingMessage, Topic
from streams.topics import HIT_REPORTS
from tests.support import histories
from tests.support.kafka import RealKafka
from usersplit import HitLogger, KafkaHitTransport
from usersplit.hit_reports import HitReport, encode_hit_report
from usersplit.hits import HIT_SCHEMA, HIT_SCHEMA_ID, decode_hit

MOMENT = datetime(2026, 5, 3, 12, 30, 15, 123456, tzinfo=UTC)


@pytest.fixture
def registry() -> Iterator[SchemaRegistryClient]:
    with (
        registry_served(address="127.0.0.1", port=0) as port,
        SchemaRegistryClient({"url": f"http://127.0.0.1:{port}"}) as client,
    ):
        yield client


@pytest.fixture
def topic(kafka: RealKafka) -> str:
    name = f"topic-{uuid4().hex}"
    KafkaBroker(kafka.bootstrap_servers).ensure_topics([Topic(name=name, partitions=1)])
    return name


def first_message(kafka: RealKafka, topic: str) -> bytes:
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": topic})
    consumer.assign([TopicPartition(topic, 0, 0)])
    try:
        message = consumer.poll(30)
    finally:
        consumer.close()
    assert message is not None
    assert message.error() is None
    value = message.value()
    assert isinstance(value, bytes)
    return value


def read(client: SchemaRegistryClient, topic: str, value: bytes) -> Any:
    deserialize: Callable[..., Any] = AvroDeserializer(client)
    return deserialize(value, SerializationContext(topic, MessageField.VALUE))


@pytest.mark.real_kafka
def test_a_hit_of_the_sdk_is_read_by_confluents_deserializer(
    kafka: RealKafka, topic: str, registry: SchemaRegistryClient
) -> None:
    with HitLogger(
        KafkaHitTransport(kafka.bootstrap_servers, topic=topic), app="shop", environment_name="production"
    ) as logger:
        assert logger.log(test_key="green_button", variant="red", unit_type="guest", unit_id="🥥", settings_group=3)
        assert logger.flush(timeout_seconds=60)
    value = first_message(kafka, topic)
    found = read(registry, topic, value)
    assert (found["test_key"], found["variant"], found["unit_id"], found["app"]) == (
        "green_button",
        "red",
        "🥥",
        "shop",
    )
    ours = decode_hit(value)
    assert (found["hit_id"], found["settings_group"], found["forced"]) == (ours.hit_id, 3, False)
    assert (found["occurred_at"] - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() == ours.occurred_at / 1e6


def test_a_hit_report_is_read_by_confluents_deserializer(registry: SchemaRegistryClient) -> None:
    report = HitReport(process="p1", reported_at=1_777_900_000_000_000, accepted=3, delivered=1, dropped=2)
    found = read(registry, HIT_REPORTS, encode_hit_report(report))
    assert (found["process"], found["accepted"], found["delivered"], found["dropped"]) == ("p1", 3, 1, 2)
    assert found["reported_at"] == datetime(2026, 5, 4, 13, 6, 40, tzinfo=UTC)


@pytest.mark.real_kafka
def test_a_fact_of_the_lifecycle_topic_is_read_by_confluents_deserializer(
    kafka: RealKafka, topic: str, registry: SchemaRegistryClient
) -> None:
    event = StoredEvent(
        position=7,
        stream="split_test-green",
        version=1,
        encoded=REGISTRY.encode(histories.running()[0]),
        actor="anna",
        recorded_at=MOMENT,
    )
    with closing(KafkaBroker(kafka.bootstrap_servers).producer()) as producer:
        producer.send([OutgoingMessage(topic=topic, key=b"green", value=encode_event(event))])
    found = read(registry, topic, first_message(kafka, topic))
    assert (found["position"], found["name"], found["recorded_at"]) == (7, event.encoded.name, MOMENT)
    assert found["payload"].encode() == event.encoded.payload


def test_confluents_client_finds_every_schema_by_every_way_it_has(registry: SchemaRegistryClient) -> None:
    assert registry.get_subjects() == [
        "usersplit.hits-value",
        "usersplit.hits.reports-value",
        "usersplit.lifecycle-value",
    ]
    assert registry.get_schema_types() == ["AVRO"]
    for subject in registry.get_subjects():
        (version,) = registry.get_versions(subject)
        latest = registry.get_latest_version(subject)
        assert latest.version == version == registry.get_version(subject, version).version
        assert latest.schema_id is not None
        assert registry.get_schema(latest.schema_id, subject).schema_type == "AVRO"
        assert registry.get_subjects_by_schema_id(latest.schema_id) == [subject]
        assert [one.subject for one in registry.get_schema_versions(latest.schema_id)] == [subject]
        assert registry.get_compatibility(subject) == registry.get_compatibility() == "FULL_TRANSITIVE"
        assert registry.get_mode(subject) == registry.get_global_mode() == "READONLY"
    assert registry.lookup_schema("usersplit.lifecycle-value", Schema(lifecycle_schema(), "AVRO")).version == 1


def test_confluents_client_gets_the_errors_it_knows(registry: SchemaRegistryClient) -> None:
    with pytest.raises(SchemaRegistryError) as missing:
        registry.get_schema(4711)
    assert (missing.value.http_status_code, missing.value.error_code) == (404, 40403)
    with pytest.raises(SchemaRegistryError) as refused:
        registry.register_schema("usersplit.hits-value", Schema('{"type":"record","name":"X","fields":[]}', "AVRO"))
    assert (refused.value.http_status_code, refused.value.error_code) == (422, 42205)
    with pytest.raises(SchemaRegistryError) as forbidden:
        registry.delete_subject("usersplit.hits-value")
    assert (forbidden.value.http_status_code, forbidden.value.error_code) == (405, 405)


def test_confluents_serializer_writes_hits_that_we_read(registry: SchemaRegistryClient) -> None:
    for settings in ({"auto.register.schemas": True}, {"auto.register.schemas": False, "use.latest.version": True}):
        serialize: Callable[..., Any] = AvroSerializer(registry, HIT_SCHEMA, conf=settings)
        value = serialize({"variant": "red"}, SerializationContext("usersplit.hits", MessageField.VALUE))
        assert int.from_bytes(value[1:5], "big") == HIT_SCHEMA_ID
        assert decode_hit(value).variant == "red"


def test_a_port_that_is_taken_is_a_named_error() -> None:
    with registry_served(address="127.0.0.1", port=0) as port, pytest.raises(AddressInUse, match="USERSPLIT_REGISTRY"):
        registry_served(address="127.0.0.1", port=port).__enter__()
