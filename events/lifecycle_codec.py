"""Stored events ↔ the bytes of the lifecycle topic: Avro in Confluent's wire format.

A zero byte and a 4-byte schema id come before the Avro body, so that Kafka Connect, Flink and ClickHouse read the
topic. The payload travels as JSON text: the log's own bytes, which readers of any age can keep even where they do not
know the fact.
"""

import json
import struct
from datetime import UTC, datetime, timedelta
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro

from events.errors import MalformedEvent
from events.registry import EncodedFact
from events.store import StoredEvent

LIFECYCLE_SCHEMA_ID = 2
"""The id of the schema in every registry this topic will meet. Fixed for ever; a changed schema takes a new one."""

_PREFIX = struct.Struct(">bI")
_SCHEMA_FILE = Path(__file__).parent / "schemas" / "lifecycle_event.avsc"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def lifecycle_schema() -> str:
    """Return the Avro schema as the repository holds it."""
    return _SCHEMA_FILE.read_text(encoding="utf-8")


def encode_event(event: StoredEvent) -> bytes:
    """Return `event` as a value of the lifecycle topic. Equal events give equal bytes."""
    body = BytesIO()
    body.write(_PREFIX.pack(0, LIFECYCLE_SCHEMA_ID))
    record = {
        "position": event.position,
        "stream": event.stream,
        "version": event.version,
        "name": event.encoded.name,
        "fact_version": event.encoded.version,
        "payload": event.encoded.payload.decode(),
        "actor": event.actor,
        # Counted here: integers pass through fastavro as they are, where its own conversion goes by floats.
        "recorded_at": (event.recorded_at - _EPOCH) // _MICROSECOND,
        "command_id": event.command_id,
    }
    fastavro.schemaless_writer(body, _parsed_schema(), record)
    return body.getvalue()


def decode_event(value: bytes) -> StoredEvent:
    """Return the event in a value of the lifecycle topic. Its fact is not decoded, so an unknown one is no error.

    Raises:
        MalformedEvent: the bytes are not ours, are cut short, or go on after the end.
    """
    if len(value) < _PREFIX.size:
        raise MalformedEvent(f"{len(value)} bytes are too few")
    magic, schema_id = _PREFIX.unpack_from(value)
    if magic != 0 or schema_id != LIFECYCLE_SCHEMA_ID:
        raise MalformedEvent(f"they start with {value[: _PREFIX.size].hex()}, not with schema id {LIFECYCLE_SCHEMA_ID}")
    body = BytesIO(value)
    body.seek(_PREFIX.size)
    try:
        event = _event(fastavro.schemaless_reader(body, _parsed_schema(), None))
    except (ValueError, LookupError, TypeError, EOFError, ArithmeticError, MemoryError) as error:
        raise MalformedEvent(f"the Avro body does not decode ({error!r})") from error
    if body.tell() != len(value):
        raise MalformedEvent(f"{len(value) - body.tell()} bytes follow the Avro body")
    if event.position < 1 or event.version < 1 or event.encoded.version < 1 or not event.encoded.name:
        raise MalformedEvent("it has no place in the log, or no name")
    return event


def _event(record: Any) -> StoredEvent:
    return StoredEvent(
        position=record["position"],
        stream=record["stream"],
        version=record["version"],
        encoded=EncodedFact(
            name=record["name"], version=record["fact_version"], payload=record["payload"].encode("utf-8")
        ),
        actor=record["actor"],
        recorded_at=record["recorded_at"].astimezone(UTC),
        command_id=record["command_id"],
    )


@cache
def _parsed_schema() -> Any:
    return fastavro.parse_schema(json.loads(lifecycle_schema()))
