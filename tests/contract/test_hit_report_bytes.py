"""The bytes of a hit report are a promise to every reader of its topic: recorded here, never changed."""

import io
import json
from dataclasses import fields
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usersplit.hit_reports import (
    HIT_REPORT_SCHEMA,
    HIT_REPORT_SCHEMA_ID,
    HitReport,
    MalformedHitReport,
    decode_hit_report,
    encode_hit_report,
)

GOLDEN_REPORT = HitReport(
    report_id="018f2b1c-3a3b-7000-8000-000000000002",
    process="018f2b1c-0000-7000-8000-000000000001",
    counting_since=1_714_556_580_123_456,
    reported_at=1_714_556_640_123_456,
    is_final=True,
    app="coconut-store",
    host="web1",
    environment="production",
    pid=4711,
    sdk_version="0.1.0",
    accepted=1000,
    delivered=900,
    buffered=10,
    spooled=20,
    recovered=5,
    dropped=70,
    dropped_buffer_full=1,
    dropped_closed=2,
    dropped_encoding_failed=3,
    dropped_delivery_failed=4,
    dropped_close_deadline=10,
    dropped_spool_full=20,
    dropped_spool_damaged=30,
)
GOLDEN_BYTES = bytes.fromhex(
    "00000000034830313866326231632d336133622d373030302d383030302d3030303030303030303030324830313866326231"
    "632d303030302d373030302d383030302d30303030303030303030303180cdbefea9d88b0680e9dab7aad88b06011a636f63"
    "6f6e75742d73746f726508776562311470726f64756374696f6ece490a302e312e30d00f880e14280a8c010204060814283c"
)

OF_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    "string": st.text(st.characters(codec="utf-8"), max_size=30),
    "long": st.integers(-(2**63), 2**63 - 1),
    "boolean": st.booleans(),
}
SCHEMA = json.loads(HIT_REPORT_SCHEMA)
REPORTS = st.builds(
    HitReport,
    **{
        field["name"]: OF_TYPE[field["type"]["type"] if isinstance(field["type"], dict) else field["type"]]
        for field in SCHEMA["fields"]
    },
)


def test_a_report_has_the_recorded_bytes() -> None:
    assert encode_hit_report(GOLDEN_REPORT) == GOLDEN_BYTES


def test_the_recorded_bytes_are_still_read() -> None:
    assert decode_hit_report(GOLDEN_BYTES) == GOLDEN_REPORT


def test_the_wire_format_is_confluents_with_a_fixed_schema_id() -> None:
    assert HIT_REPORT_SCHEMA_ID == 3
    assert encode_hit_report(HitReport())[:5] == b"\x00\x00\x00\x00\x03"


def test_any_avro_reader_reads_a_report_with_the_published_schema() -> None:
    record: Any = fastavro.schemaless_reader(io.BytesIO(GOLDEN_BYTES[5:]), fastavro.parse_schema(SCHEMA), None)
    assert record["dropped_spool_damaged"] == 30
    assert record["reported_at"].isoformat() == "2024-05-01T09:44:00.123456+00:00"


def test_the_fields_and_their_defaults_are_those_of_the_schema() -> None:
    assert {field["name"]: field["default"] for field in SCHEMA["fields"]} == {
        field.name: field.default for field in fields(HitReport)
    }


@given(REPORTS)
def test_what_is_encoded_decodes_to_the_same_report(report: HitReport) -> None:
    assert decode_hit_report(encode_hit_report(report)) == report


@pytest.mark.parametrize(
    "value",
    [
        b"",
        GOLDEN_BYTES[:5],
        GOLDEN_BYTES[:-1],
        GOLDEN_BYTES + b"\x00",
        b"\x00\x00\x00\x00\x01" + GOLDEN_BYTES[5:],
        b"{}",
        b"\x00\x00\x00\x00\x03" + b"\xff" * 40,
    ],
    ids=["empty", "no record", "torn", "trailing byte", "schema id", "foreign", "noise"],
)
def test_bytes_that_are_no_report_are_malformed(value: bytes) -> None:
    with pytest.raises(MalformedHitReport):
        decode_hit_report(value)
