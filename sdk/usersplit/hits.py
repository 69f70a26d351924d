"""A hit, and its bytes: Avro in the Confluent wire format (a zero byte, a 4-byte schema id, the record).

The schema's id is fixed here, so that a service needs no registry to write and a reader none to read; the layout is
the one that ClickHouse, Kafka Connect and Flink expect of a topic with a registry.
"""

import struct
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

import fastavro

from usersplit._avro import codec_schema, schema_text
from usersplit._errors import UserSplitError
from usersplit._hit_attributes import attributes_fault

__all__ = [
    "HIT_SCHEMA",
    "HIT_SCHEMA_ID",
    "Hit",
    "MalformedHit",
    "UnencodableHit",
    "attributes_fault",
    "decode_hit",
    "encode_hit",
]

HIT_SCHEMA_ID: Final = 1
# Read once with the module's own code, beside which it lies in the wheel: without it there is nothing to encode with.
HIT_SCHEMA: Final = schema_text("hit")

HIT_PREFIX: Final = struct.pack(">bI", 0, HIT_SCHEMA_ID)
_INT_LIMIT: Final = 2**31
_LONG_LIMIT: Final = 2**63


class MalformedHit(UserSplitError, ValueError):
    """The bytes are no hit: a wrong prefix, a torn record, or bytes beyond its end. For the dead letters."""


class UnencodableHit(UserSplitError, ValueError):
    """The hit has a value that its schema cannot hold: a wrong type, or a number beyond the type's range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """The fact that a unit was shown a variant of a split test. Not the click that is being measured.

    Attributes:
        hit_id: UUIDv7 as text; a hit that is delivered twice carries the same one.
        occurred_at: when the variant was shown, by the service's clock: microseconds of Unix time, UTC.
        test_key: the split test's key.
        settings_group: the version of the test's settings that gave the variant.
        variant: the variant's name.
        unit_type: "user", "device" or "guest".
        unit_id: the unit's id as text.
        split_group: 1..2400; 0 where the unit carries none.
        environment: where the service runs: "production", "devel" …
        platform: the visitor's platform: "web", "ios", "android" …
        country: the country the visitor is in.
        app: the service that showed the variant.
        host: the server that showed it.
        forced: the variant was forced (QA, a replay), not drawn.
        sdk_version: the version of the library that made the hit.
        attributes: free attributes: the text of a JSON object.
    """

    hit_id: str = ""
    occurred_at: int = 0
    test_key: str = ""
    settings_group: int = 0
    variant: str = ""
    unit_type: str = ""
    unit_id: str = ""
    split_group: int = 0
    environment: str = ""
    platform: str = ""
    country: str = ""
    app: str = ""
    host: str = ""
    forced: bool = False
    sdk_version: str = ""
    attributes: str = "{}"


def encode_hit(hit: Hit) -> bytes:
    """Return the hit's bytes, as they travel through Kafka.

    Raises:
        UnencodableHit: a field holds a value that the schema cannot hold.
    """
    record = {name: getattr(hit, name) for name in _FIELDS}
    # fastavro writes a number that is too large for its type without a word, and every other reader then fails.
    for name, limit in _NUMBERS:
        if type(record[name]) is not int or not -limit <= record[name] < limit:
            raise UnencodableHit(f"The field {name} of a hit must be a whole number within ±{limit}.")
    if type(hit.forced) is not bool:
        raise UnencodableHit("The field forced of a hit must be True or False.")
    buffer = BytesIO()
    buffer.write(HIT_PREFIX)
    try:
        fastavro.schemaless_writer(buffer, _CODEC_SCHEMA, record)
    except (TypeError, ValueError, AttributeError) as error:  # a lone surrogate is a ValueError too
        raise UnencodableHit(
            f"The hit does not fit its schema ({error}): give every field its documented type."
        ) from error
    return buffer.getvalue()


def decode_hit(value: bytes) -> Hit:
    """Return the hit that `value` holds.

    Raises:
        MalformedHit: `value` is not exactly one hit in the wire format. A damaged record often still decodes to
            something; therefore the hit must encode to the very bytes it came from.
    """
    if value[: len(HIT_PREFIX)] != HIT_PREFIX:
        raise MalformedHit(
            f"The message starts with {value[:5].hex() or 'nothing'}, a hit with 0x00 and schema id {HIT_SCHEMA_ID}."
        )
    body = BytesIO(value)
    body.seek(len(HIT_PREFIX))
    try:
        record: Any = fastavro.schemaless_reader(body, _CODEC_SCHEMA, None)
        hit = Hit(**record)
        canonical = encode_hit(hit)
    except Exception as error:  # fastavro names no closed set of errors for damaged bytes
        raise MalformedHit(f"The record is torn or damaged: {type(error).__name__}: {error}.") from error
    if body.tell() != len(value):
        raise MalformedHit(f"There are {len(value) - body.tell()} bytes after the end of the record.")
    if canonical != value:
        raise MalformedHit("The record is damaged: what it decodes to has other bytes.")
    return hit


_CODEC_SCHEMA: Final = codec_schema(HIT_SCHEMA)
_FIELDS: Final = tuple(field["name"] for field in _CODEC_SCHEMA["fields"])
_NUMBERS: Final = (("occurred_at", _LONG_LIMIT), ("settings_group", _INT_LIMIT), ("split_group", _INT_LIMIT))
