"""Messages of the hits topic → a table of hits, and what is poison among them.

A whole batch is read at once: the messages are joined into one Avro container block that polars reads, ten times faster
than record by record. Their 5-byte prefixes stay where they are: to Avro, a byte below 0x80 is a whole number, so the
block's schema begins with five of them. (Stripping the prefixes takes a slice per message under Python's lock.)

The danger: a damaged record can shift its neighbours without an error. Therefore a batch read this way counts only with
a proof: every row, encoded again, would be exactly as long as its message. A reader never consumes fewer bytes than the
shortest encoding of what it read; so if all lengths agree, every row began and ended where its message did, in the
shortest encoding, of which there is one. (A boolean is one byte whatever it holds; it is looked up.) On any doubt the
batch is halved and tried again, and small batches are read record by record with `usersplit.hits.decode_hit`, which
names the poison.
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final, TypeAlias, cast

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray
from polars.exceptions import PanicException

from usersplit.hits import HIT_SCHEMA, HIT_SCHEMA_ID, MalformedHit, attributes_fault, decode_hit
from warehouse.hits import COLUMNS, HITS_SCHEMA

# Below this many messages, looking at each is cheaper than halving further.
_ONE_BY_ONE: Final = 256
_PREFIX: Final = struct.pack(">bI", 0, HIT_SCHEMA_ID)
_SYNC: Final = b"usersplit.batch."
_FRAME_SCHEMA: Final[dict[str, Any]] = dict(pl.Schema(HITS_SCHEMA))
_TEXTS: Final = tuple(name for name, kind in _FRAME_SCHEMA.items() if kind == pl.String)
_PREFIX_NUMBERS: Final = {f"prefix_{place}": byte >> 1 ^ -(byte & 1) for place, byte in enumerate(_PREFIX)}
_BLOCK_SCHEMA: Final = {**dict.fromkeys(_PREFIX_NUMBERS, pl.Int32()), **_FRAME_SCHEMA}
_UUID: Final = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_INVALID: Final = "The hit is not valid: {}."
_YEAR_10000: Final = 253_402_300_800_000_000
_Numbers: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Poison:
    """A message that is no hit that BI could count: its place in the batch, and why."""

    index: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedHits:
    """The hits of a batch (a `pyarrow.Table` of `HITS_SCHEMA`, in order), and its poison, by index."""

    hits: pa.Table
    poison: tuple[Poison, ...]


def decode_hits(values: Sequence[bytes | None]) -> DecodedHits:
    """Decode and check a batch of messages of the hits topic. Never raises for what a message holds."""
    decoded = _Decoding(_REASON).decode(values)
    # To look for it in every text of every row would cost more than all the other rules; in the columns it is nothing.
    return _Decoding(_REASON_OR_NUL).decode(values) if _holds_nul(decoded.hits) else decoded


class _Decoding:
    """The decoding of one batch. `reason`: the expression that says of a hit why it is not valid."""

    def __init__(self, reason: pl.Expr) -> None:
        self._reason = reason
        self._frames = [_EMPTY]
        self._poison: list[Poison] = []

    def decode(self, values: Sequence[bytes | None]) -> DecodedHits:
        self._add(values, 0)
        return DecodedHits(
            hits=pl.concat(self._frames).to_arrow().cast(HITS_SCHEMA),
            poison=tuple(sorted(self._poison, key=lambda bad: bad.index)),
        )

    def _add(self, values: Sequence[bytes | None], start: int) -> None:
        frame = _all_at_once(values)
        if frame is not None:
            self._keep_valid(frame, range(start, start + len(values)))
        elif len(values) <= _ONE_BY_ONE:
            frame, indexes = _one_by_one(values, start, self._poison)
            self._keep_valid(frame, indexes)
        else:
            middle = len(values) // 2
            self._add(values[:middle], start)
            self._add(values[middle:], start + middle)

    def _keep_valid(self, frame: pl.DataFrame, indexes: Sequence[int]) -> None:
        """Take out the hits that no warehouse could hold or count, lest one of them look like a database's error."""
        reasons = frame.select(self._reason)["reason"]
        if faults := _faults_of_attributes(frame["attributes"]):
            reasons = reasons.fill_null(
                frame["attributes"].replace_strict(faults, default=None, return_dtype=pl.String)
            )
        if reasons.null_count() < len(reasons):
            frame = frame.filter(reasons.is_null())
            self._poison.extend(
                Poison(index=index, reason=reason)
                for index, reason in zip(indexes, reasons, strict=True)
                if reason is not None
            )
        self._frames.append(frame)


def _all_at_once(values: Sequence[bytes | None]) -> pl.DataFrame | None:
    """Return the rows of the whole batch, None on any doubt."""
    if not values:
        return _EMPTY
    present = cast("Sequence[bytes]", values)
    try:
        lengths: _Numbers = np.fromiter(map(len, present), dtype=np.int64, count=len(present))
    except TypeError:  # one of them is None after all
        return None
    head = b"".join([_HEADER, _varint(len(present)), _varint(int(lengths.sum()))])
    block = b"".join([head, *present, _SYNC])
    try:
        frame = pl.read_avro(BytesIO(block))
    except (Exception, PanicException):  # noqa: BLE001 - whatever the reader says of damaged bytes is doubt, its panics too
        return None
    known = frame.schema == _BLOCK_SCHEMA and frame.height == len(lengths)
    body = np.frombuffer(block, dtype=np.uint8)[len(head) :]
    return frame.select(COLUMNS) if known and _proven(frame, lengths, body) else None


def _proven(frame: pl.DataFrame, lengths: _Numbers, body: NDArray[np.uint8]) -> bool:
    if any((frame[name] != number).any() for name, number in _PREFIX_NUMBERS.items()):
        return False
    texts = frame.select(pl.col(_TEXTS).str.len_bytes().cast(pl.Int64))
    places = np.cumsum(lengths) - lengths
    reached = places + len(_PREFIX)
    for name in COLUMNS:
        if name == "forced":
            said = body[np.minimum(reached, len(body) - 1)]
            if not np.array_equal(said, frame[name].cast(pl.UInt8).to_numpy()):
                return False
            reached += 1
        elif name in _TEXTS:
            length = texts[name].to_numpy()
            reached += length
            reached += _varint_length(length)
        else:
            reached += _varint_length(frame[name].cast(pl.Int64).to_numpy())
    return np.array_equal(reached, places + lengths)


def _varint_length(numbers: _Numbers) -> _Numbers | int:
    # Avro's zigzag maps n to 2n, and below zero to -2n-1. Of k bytes, 7k bits count, one of them for the sign.
    magnitude = numbers ^ (numbers >> 63)
    smallest, largest = int(magnitude.min()), int(magnitude.max())
    length: _Numbers | int = 1
    for size in range(1, 10):
        limit = 1 << (7 * size - 1)
        if largest < limit:
            break
        # Mostly a column's numbers are all equally long, and need not be looked at one by one.
        length = length + (1 if smallest >= limit else magnitude >= limit)
    return length


def _one_by_one(values: Sequence[bytes | None], start: int, poison: list[Poison]) -> tuple[pl.DataFrame, list[int]]:
    rows, indexes = [], []
    for index, value in enumerate(values, start):
        try:
            # A message without a value is as poisonous as an empty one.
            hit = decode_hit(value or b"")
        except MalformedHit as error:
            poison.append(Poison(index=index, reason=str(error)))
        else:
            rows.append(tuple(getattr(hit, name) for name in COLUMNS))
            indexes.append(index)
    plain = {name: pl.Int64 if name == "occurred_at" else kind for name, kind in _FRAME_SCHEMA.items()}
    frame = pl.DataFrame(rows, schema=plain, orient="row")
    return frame.cast({"occurred_at": _FRAME_SCHEMA["occurred_at"]}), indexes


def _faults_of_attributes(texts: pl.Series) -> dict[str, str]:
    """Return the reason for every text that could not be the attributes of a hit. Mostly all are the same few."""
    others = texts.filter(texts != "{}").unique()
    return {text: _INVALID.format(fault) for text in others if (fault := attributes_fault(text))}


def _holds_nul(hits: pa.Table) -> bool:
    """Tell whether a text holds the character U+0000."""
    buffers = (chunk.buffers()[2] for name in _TEXTS for chunk in hits[name].chunks if len(chunk))
    return not all(np.frombuffer(buffer, dtype=np.uint8).all() for buffer in buffers if buffer is not None)


def _reason(*, nul: bool) -> pl.Expr:
    moment = pl.col("occurred_at").cast(pl.Int64)
    rules = [
        (
            ~pl.col("hit_id").str.contains(_UUID),
            "hit_id is not a UUID in its canonical form (36 characters, lower case)",
        ),
        (pl.col("test_key") == "", "test_key is empty"),
        (pl.col("variant") == "", "variant is empty"),
        ((moment < 0) | (moment >= _YEAR_10000), "occurred_at lies outside the years 1970 to 9999"),
    ]
    if nul:
        holds = pl.any_horizontal(pl.col(_TEXTS).str.contains("\0", literal=True))
        rules.append((holds, "a text holds the character U+0000"))
    reason = pl.lit(None, dtype=pl.String)
    for broken, sentence in reversed(rules):
        reason = pl.when(broken).then(pl.lit(_INVALID.format(sentence))).otherwise(reason)
    return reason.alias("reason")


def _varint(number: int) -> bytes:
    """Encode a number that is not negative as an Avro long."""
    rest = number << 1
    encoded = bytearray()
    while rest > 0x7F:  # noqa: PLR2004 - 7 bits a byte
        encoded.append(rest & 0x7F | 0x80)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded)


def _header() -> bytes:
    """Return the container's header. polars reads no schema with defaults in it, so it gets names and types only."""
    schema = json.loads(HIT_SCHEMA)
    fields = [{"name": name, "type": "int"} for name in _PREFIX_NUMBERS]
    fields += [{"name": field["name"], "type": field["type"]} for field in schema["fields"]]
    metadata = {
        b"avro.schema": json.dumps({"type": "record", "name": schema["name"], "fields": fields}).encode(),
        b"avro.codec": b"null",
    }
    entries = [_varint(len(part)) + part for entry in metadata.items() for part in entry]
    return b"".join([b"Obj\x01", _varint(len(metadata)), *entries, _varint(0), _SYNC])


_HEADER: Final = _header()
_REASON: Final = _reason(nul=False)
_REASON_OR_NUL: Final = _reason(nul=True)
_EMPTY: Final = pl.DataFrame(schema=_FRAME_SCHEMA)
