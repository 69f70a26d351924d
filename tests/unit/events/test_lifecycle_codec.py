"""Events of the lifecycle topic: fixed bytes that stay readable, and nothing but named errors for foreign ones."""

import json
import struct
from datetime import UTC, datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events.errors import MalformedEvent
from events.lifecycle_codec import LIFECYCLE_SCHEMA_ID, decode_event, encode_event, lifecycle_schema
from events.registry import EncodedFact
from events.store import StoredEvent

GOLDEN = Path(__file__).parent / "golden" / "lifecycle_event.schema_2.hex"
EVENT = StoredEvent(
    position=42,
    stream="split_test/green_button",
    version=7,
    encoded=EncodedFact(name="SplitTestCreated", version=1, payload='{"name":"Зелёная кнопка"}'.encode()),
    actor="anna",
    recorded_at=datetime(2026, 5, 3, 14, 5, 6, 789012, tzinfo=UTC),
    command_id="order-1",
)

COUNTS = st.integers(min_value=1, max_value=2**31 - 1)
EVENTS = st.builds(
    StoredEvent,
    position=st.integers(min_value=1, max_value=2**63 - 1),
    stream=st.text(),
    version=COUNTS,
    encoded=st.builds(EncodedFact, name=st.text(min_size=1), version=COUNTS, payload=st.text().map(str.encode)),
    actor=st.text(),
    recorded_at=st.datetimes(timezones=st.just(UTC)),
    command_id=st.text(),
)


def test_the_schema_id_is_fixed() -> None:
    assert LIFECYCLE_SCHEMA_ID == 2


def test_golden_bytes_decode_to_the_event_they_always_meant() -> None:
    assert decode_event(bytes.fromhex(GOLDEN.read_text())) == EVENT


def test_the_event_is_still_written_in_the_same_bytes() -> None:
    assert encode_event(EVENT).hex() == GOLDEN.read_text().strip()


@given(EVENTS)
def test_an_event_comes_back_as_it_was(event: StoredEvent) -> None:
    assert decode_event(encode_event(event)) == event


def test_a_moment_in_another_zone_is_the_same_moment_in_utc() -> None:
    elsewhere = EVENT.recorded_at.astimezone(timezone(timedelta(hours=-7)))

    decoded = decode_event(encode_event(replace(EVENT, recorded_at=elsewhere)))

    assert decoded == EVENT
    assert decoded.recorded_at.utcoffset() == timedelta(0)


def test_any_avro_reader_with_the_schema_reads_the_body() -> None:
    value = encode_event(EVENT)

    assert struct.unpack(">bI", value[:5]) == (0, LIFECYCLE_SCHEMA_ID)
    record: Any = fastavro.schemaless_reader(BytesIO(value[5:]), json.loads(lifecycle_schema()), None)
    assert (record["position"], record["name"], record["recorded_at"]) == (42, "SplitTestCreated", EVENT.recorded_at)


@given(st.integers(min_value=0, max_value=len(encode_event(EVENT)) - 1))
def test_an_event_that_was_cut_short_is_named(length: int) -> None:
    with pytest.raises(MalformedEvent):
        decode_event(encode_event(EVENT)[:length])


@given(st.binary(min_size=1))
def test_an_event_with_more_after_its_end_is_named(rest: bytes) -> None:
    with pytest.raises(MalformedEvent, match="follow the Avro body"):
        decode_event(encode_event(EVENT) + rest)


@pytest.mark.parametrize(
    "value", [b"", b"\x00", b"{}", b"\x01" + encode_event(EVENT)[1:], b"\x00\x00\x00\x00\x01" + encode_event(EVENT)[5:]]
)
def test_bytes_of_somebody_else_are_named(value: bytes) -> None:
    with pytest.raises(MalformedEvent):
        decode_event(value)


@given(st.binary())
def test_any_body_is_an_event_or_a_named_error(body: bytes) -> None:
    value = struct.pack(">bI", 0, LIFECYCLE_SCHEMA_ID) + body
    try:
        event = decode_event(value)
    except MalformedEvent:
        return
    assert event.position >= 1


@given(st.integers(min_value=5, max_value=len(encode_event(EVENT)) - 1), st.integers(min_value=0, max_value=255))
def test_one_damaged_byte_gives_an_event_or_a_named_error(place: int, byte: int) -> None:
    damaged = bytearray(encode_event(EVENT))
    damaged[place] = byte
    try:
        decode_event(bytes(damaged))
    except MalformedEvent:
        return


def test_every_field_of_the_schema_has_a_default_of_its_type() -> None:
    schema: Any = json.loads(lifecycle_schema())
    empty: Any = {"type": "record", "name": "LifecycleEvent", "namespace": "usersplit", "fields": []}

    assert all("default" in field for field in schema["fields"])
    # The sharper proof: a reader with this schema makes a record out of a writer's that had none of the fields.
    record: Any = fastavro.schemaless_reader(BytesIO(), empty, schema)
    assert record == {
        "position": 0,
        "stream": "",
        "version": 0,
        "name": "",
        "fact_version": 0,
        "payload": "{}",
        "actor": "",
        "recorded_at": 0,
        "command_id": "",
    }


def test_the_schema_has_no_enums() -> None:
    assert '"enum"' not in lifecycle_schema()
