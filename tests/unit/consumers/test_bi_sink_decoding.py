"""From messages to a table of hits: what is decoded equals what was encoded, and damage stays where it is."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.hit_columns import read_columns
from consumers.hit_decoding import DecodedHits, decode_hits
from usersplit.hits import Hit, MalformedHit, decode_hit, encode_hit
from warehouse.hits import COLUMNS

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
PLAIN = Hit(
    hit_id="01890a5d-ac96-774b-bcce-b302099a8057",
    occurred_at=1_777_811_415_123_456,
    test_key="green_button",
    settings_group=3,
    variant="red",
    unit_type="user",
    unit_id="42",
    split_group=2400,
    environment="production",
)

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=80)
names = texts.filter(bool)
int32 = st.integers(-(2**31), 2**31 - 1)
hits = st.builds(
    Hit,
    hit_id=st.uuids(allow_nil=True).map(str),
    occurred_at=st.integers(0, 253_402_300_799_999_999),
    test_key=names,
    settings_group=int32,
    variant=names,
    unit_type=texts,
    unit_id=texts,
    split_group=int32,
    environment=texts,
    platform=texts,
    country=texts,
    app=texts,
    host=texts,
    forced=st.booleans(),
    sdk_version=texts,
    attributes=st.dictionaries(texts, st.none() | st.booleans() | st.integers() | texts, max_size=3).map(json.dumps),
)


def row_of(hit: Hit) -> dict[str, Any]:
    return {name: getattr(hit, name) for name in COLUMNS} | {
        "occurred_at": EPOCH + timedelta(microseconds=hit.occurred_at)
    }


def numbered(number: int) -> Hit:
    return replace(PLAIN, hit_id=str(UUID(int=(7 << 76) | (2 << 62) | number)), unit_id=str(number))


def rows(decoded: DecodedHits) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = decoded.hits.to_pylist()
    return found


def only_reason(hit: Hit) -> str:
    decoded = decode_hits([encode_hit(numbered(1)), encode_hit(hit)])
    assert rows(decoded) == [row_of(numbered(1))]
    assert [bad.index for bad in decoded.poison] == [1]
    return decoded.poison[0].reason


def test_no_messages_are_no_hits() -> None:
    decoded = decode_hits([])
    assert (decoded.hits.num_rows, decoded.poison) == (0, ())


@given(st.lists(hits, min_size=1, max_size=20))
@settings(max_examples=25, deadline=None)
def test_what_was_encoded_is_what_is_decoded_at_once(batch: list[Hit]) -> None:
    values = [encode_hit(hit) for hit in batch]
    usual = [hit.occurred_at < 2**55 for hit in batch]  # until the year 3111
    assert read_columns(values).read.tolist() == usual
    decoded = decode_hits(values)
    assert rows(decoded) == [row_of(hit) for hit in batch]
    assert decoded.poison == ()


@given(st.lists(hits, min_size=1, max_size=5), st.data(), st.sampled_from(["flip", "cut", "append", "insert", "empty"]))
@settings(max_examples=60, deadline=None)
def test_damage_is_judged_as_one_by_one_whatever_its_neighbours_are(batch: list[Hit], data: Any, damage: str) -> None:
    values = [encode_hit(hit) for hit in batch]
    victim = data.draw(st.integers(0, len(values) - 1))
    value = values[victim]
    place = data.draw(st.integers(0, len(value) - 1))
    noise = data.draw(st.binary(min_size=1, max_size=9))
    values[victim] = {
        "flip": value[:place] + bytes([noise[0]]) + value[place + 1 :],
        "cut": value[:place],
        "append": value + noise,
        "insert": value[:place] + noise + value[place:],
        "empty": b"",
    }[damage]
    decoded = decode_hits(values)
    try:
        damaged = decode_hit(values[victim])
    except MalformedHit:
        assert [bad.index for bad in decoded.poison] == [victim]
        assert rows(decoded) == [row_of(hit) for number, hit in enumerate(batch) if number != victim]
        return
    # It is a hit still, if another one; then only the rules of validity may keep it away.
    if not decoded.poison:
        assert rows(decoded)[victim] == row_of(damaged)
    assert {bad.index for bad in decoded.poison} <= {victim}


@pytest.mark.parametrize("place", [0, 1, 700, 1499])
def test_one_poisonous_message_in_a_large_batch_is_the_only_one_put_aside(place: int) -> None:
    values: list[bytes | None] = [encode_hit(numbered(number)) for number in range(1500)]
    values[place] = encode_hit(numbered(place))[:-2]
    decoded = decode_hits(values)
    assert [bad.index for bad in decoded.poison] == [place]
    assert "torn" in decoded.poison[0].reason
    assert [row["unit_id"] for row in rows(decoded)] == [str(number) for number in range(1500) if number != place]


def test_a_message_without_a_value_is_poison() -> None:
    decoded = decode_hits([None, encode_hit(PLAIN)])
    assert [bad.index for bad in decoded.poison] == [0]
    assert rows(decoded) == [row_of(PLAIN)]


def test_a_record_of_another_schema_is_poison_and_says_so() -> None:
    newer = b"\0\0\0\0\x07" + encode_hit(PLAIN)[5:] + b"\x02x"
    decoded = decode_hits([newer])
    assert decoded.hits.num_rows == 0
    assert "schema id" in decoded.poison[0].reason


def test_a_boolean_that_is_neither_yes_nor_no_is_damage() -> None:
    value = bytearray(encode_hit(PLAIN))
    place = len(value) - len(b"\0\x04{}") - 1
    assert value[place] == 0
    value[place] = 2
    assert [bad.index for bad in decode_hits([bytes(value)]).poison] == [0]


def test_hits_that_bi_could_not_count_are_poison() -> None:
    assert "hit_id" in only_reason(replace(PLAIN, hit_id=""))
    assert "hit_id" in only_reason(replace(PLAIN, hit_id="42"))
    assert "hit_id" in only_reason(replace(PLAIN, hit_id=PLAIN.hit_id.upper()))
    assert "test_key" in only_reason(replace(PLAIN, test_key=""))
    assert "variant" in only_reason(replace(PLAIN, variant=""))
    assert "occurred_at" in only_reason(replace(PLAIN, occurred_at=-1))
    assert "occurred_at" in only_reason(replace(PLAIN, occurred_at=2**63 - 1))
    assert "U+0000" in only_reason(replace(PLAIN, host="web\0"))


@pytest.mark.parametrize(
    "attributes",
    ["", "x", "[]", "null", '{"a": NaN}', '{"a": Infinity}', '{"a": 1', "{'a': 1}", '{"a": ' * 5000, '{"a": 1}}'],
)
def test_attributes_that_are_no_json_object_are_poison(attributes: str) -> None:
    assert "attributes is not the text of a JSON object" in only_reason(replace(PLAIN, attributes=attributes))


@pytest.mark.parametrize("attributes", [r'{"a": "\u0000"}', r'{"\u0000": 1}', r'{"a": [{"b": "\ud800"}]}'])
def test_attributes_that_one_of_the_databases_could_not_read_are_poison(attributes: str) -> None:
    assert "as an escape" in only_reason(replace(PLAIN, attributes=attributes))


@pytest.mark.parametrize(
    "attributes", ['{"a": "\\\\u0000"}', r'{"a": "\ud83d\ude00"}', '{"price": 1e300, "list": [1, {"b": null}]}']
)
def test_attributes_that_only_look_odd_are_kept(attributes: str) -> None:
    decoded = decode_hits([encode_hit(replace(PLAIN, attributes=attributes))])
    assert (decoded.poison, decoded.hits["attributes"].to_pylist()) == ((), [attributes])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "starts with nothing"),
        (b"", "starts with nothing"),
        (b"\0", "starts with 00,"),
        (b"\x01" + encode_hit(PLAIN)[1:], "starts with 0100000001, a hit with 0x00"),
        (b"\0\0\0\0\x02" + encode_hit(PLAIN)[5:], "starts with 0000000002, a hit with 0x00 and schema id 1"),
        (encode_hit(PLAIN)[:5], "torn or damaged"),
        (encode_hit(PLAIN)[:-1], "torn or damaged"),
        (encode_hit(PLAIN)[:-3] + b"\x06{}", "torn or damaged"),
        (encode_hit(PLAIN) + b"\0", "1 bytes after the end"),
        (encode_hit(PLAIN) * 2, "bytes after the end"),
        (encode_hit(PLAIN).replace(b"green_button", b"green\xffbutton"), "torn or damaged"),
        (encode_hit(PLAIN).replace(b"green_button", b"green\xed\xa0\x80tton"), "torn or damaged"),
        (encode_hit(PLAIN).replace(b"\x18green_button", b"\x98\0green_button"), "other bytes"),
    ],
    ids=[
        "tombstone",
        "empty",
        "one byte",
        "magic byte",
        "unknown schema id",
        "prefix only",
        "torn",
        "a text that goes on beyond the end",
        "a byte too many",
        "two records",
        "no UTF-8",
        "half a surrogate pair",
        "a length that is longer than needed",
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_is_no_hit_is_named_and_its_neighbours_are_kept(value: bytes | None, reason: str, place: int) -> None:
    values: list[bytes | None] = [encode_hit(numbered(1)), encode_hit(numbered(2))]
    values.insert(place, value)
    decoded = decode_hits(values)
    assert rows(decoded) == [row_of(numbered(1)), row_of(numbered(2))]
    assert [bad.index for bad in decoded.poison] == [place]
    assert reason in decoded.poison[0].reason


def test_hits_of_wrong_clocks_and_of_any_length_are_kept_as_they_are() -> None:
    at = [datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)]
    clocks = [replace(numbered(number), occurred_at=(each - EPOCH) // MICROSECOND) for number, each in enumerate(at)]
    large = replace(numbered(9), attributes=json.dumps({"text": "x" * 900_000}))
    tiny = Hit(hit_id=PLAIN.hit_id, test_key="k", variant="v")
    decoded = decode_hits([encode_hit(hit) for hit in (*clocks, large, tiny)])
    assert rows(decoded) == [row_of(hit) for hit in (*clocks, large, tiny)]


def test_a_batch_in_which_every_record_is_bad_is_all_poison() -> None:
    decoded = decode_hits([b"poison", None] * 300)
    assert (decoded.hits.num_rows, [bad.index for bad in decoded.poison]) == (0, list(range(600)))
