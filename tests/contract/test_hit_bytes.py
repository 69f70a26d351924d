"""The bytes of a hit are a promise to every reader of the topic: recorded here, never changed."""

import io
import json

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usersplit.hits import HIT_SCHEMA, HIT_SCHEMA_ID, Hit, MalformedHit, UnencodableHit, decode_hit, encode_hit

GOLDEN_HIT = Hit(
    hit_id="018f2b1c-3a3b-7000-8000-000000000001",
    occurred_at=1_714_556_580_123_456,
    test_key="green_button",
    settings_group=3,
    variant="red",
    unit_type="user",
    unit_id="42",
    split_group=2400,
    environment="production",
    platform="web",
    country="RU",
    app="coconut-store",
    host="web1",
    forced=True,
    sdk_version="0.1.0",
    attributes='{"page":"cart"}',
)
GOLDEN_BYTES = bytes.fromhex(
    "00000000014830313866326231632d336133622d373030302d383030302d30303030303030303030303180cdbefea9d88b06"
    "18677265656e5f627574746f6e06067265640875736572043432c0251470726f64756374696f6e067765620452551a636f63"
    "6f6e75742d73746f72650877656231010a302e312e301e7b2270616765223a2263617274227d"
)

TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)
HITS = st.builds(
    Hit,
    hit_id=TEXTS,
    occurred_at=st.integers(-(2**63), 2**63 - 1),
    test_key=TEXTS,
    settings_group=st.integers(-(2**31), 2**31 - 1),
    variant=TEXTS,
    unit_type=TEXTS,
    unit_id=TEXTS,
    split_group=st.integers(-(2**31), 2**31 - 1),
    environment=TEXTS,
    platform=TEXTS,
    country=TEXTS,
    app=TEXTS,
    host=TEXTS,
    forced=st.booleans(),
    sdk_version=TEXTS,
    attributes=TEXTS,
)


def test_a_hit_has_the_recorded_bytes() -> None:
    assert encode_hit(GOLDEN_HIT) == GOLDEN_BYTES


def test_the_recorded_bytes_are_still_read() -> None:
    assert decode_hit(GOLDEN_BYTES) == GOLDEN_HIT


def test_the_wire_format_is_confluents_with_a_fixed_schema_id() -> None:
    assert HIT_SCHEMA_ID == 1
    assert encode_hit(Hit())[:5] == b"\x00\x00\x00\x00\x01"


def test_any_avro_reader_reads_a_hit_with_the_published_schema() -> None:
    body = io.BytesIO(GOLDEN_BYTES[5:])
    record = fastavro.schemaless_reader(body, fastavro.parse_schema(json.loads(HIT_SCHEMA)), None)
    assert isinstance(record, dict)
    assert record["unit_id"] == "42"
    assert record["occurred_at"].isoformat() == "2024-05-01T09:43:00.123456+00:00"


def test_every_field_of_the_schema_has_a_default() -> None:
    assert all("default" in field for field in json.loads(HIT_SCHEMA)["fields"])


@given(HITS)
def test_what_is_encoded_decodes_to_the_same_hit(hit: Hit) -> None:
    assert decode_hit(encode_hit(hit)) == hit


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\x00",
        GOLDEN_BYTES[:5],
        GOLDEN_BYTES[:-1],
        GOLDEN_BYTES + b"\x00",
        b"\x01" + GOLDEN_BYTES[1:],
        b"\x00\x00\x00\x00\x02" + GOLDEN_BYTES[5:],
        b"{}",
        b"\x00\x00\x00\x00\x01" + b"\xff" * 40,
    ],
    ids=["empty", "no id", "no record", "torn", "trailing byte", "magic byte", "schema id", "foreign", "noise"],
)
def test_bytes_that_are_no_hit_are_malformed(value: bytes) -> None:
    with pytest.raises(MalformedHit):
        decode_hit(value)


@given(st.binary(max_size=200))
def test_nothing_but_malformed_hit_comes_of_any_record(body: bytes) -> None:
    value = GOLDEN_BYTES[:5] + body
    try:
        hit = decode_hit(value)
    except MalformedHit:
        return
    assert encode_hit(hit) == value


@given(st.integers(5, len(GOLDEN_BYTES) - 1), st.integers(0, 255))
def test_a_damaged_byte_gives_another_hit_or_malformed_but_never_the_same(index: int, byte: int) -> None:
    damaged = GOLDEN_BYTES[:index] + bytes([byte]) + GOLDEN_BYTES[index + 1 :]
    try:
        hit = decode_hit(damaged)
    except MalformedHit:
        return
    assert (hit == GOLDEN_HIT) == (damaged == GOLDEN_BYTES)


@pytest.mark.parametrize(
    "hit",
    [
        Hit(settings_group=2**31),
        Hit(split_group=-(2**31) - 1),
        Hit(occurred_at=2**63),
        Hit(variant="\ud800"),
        Hit(unit_id=42),  # type: ignore[arg-type]
        Hit(settings_group=True),
        Hit(forced=1),  # type: ignore[arg-type]
        Hit(test_key=None),  # type: ignore[arg-type]
    ],
)
def test_a_hit_that_the_schema_cannot_hold_is_refused(hit: Hit) -> None:
    with pytest.raises(UnencodableHit):
        encode_hit(hit)
