"""Messages of the hits topic → columns, a whole batch at once, without a step in Python for any one of them.

Every record is read from its own first byte on, thousands of records in step: field after field, an array says where
each of them has got to. So a damaged record cannot shift its neighbours, and what is wrong with one is known of that
one: a record counts as read only if it ends exactly where its message ends, every number and length has its shortest
encoding, and every text is UTF-8. Such bytes have one meaning, and no others have it. The rest is left to
`usersplit.hits.decode_hit`, which says what is wrong with a record, or reads what is only unusual in it.

Texts are not copied: the columns are Arrow's string views into the joined messages. All of it takes half of the time
of polars' reader of Avro, which needs a proof besides that no record shifted another (it does not tell).
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from usersplit.hits import HIT_SCHEMA_ID
from warehouse.hits import HITS_SCHEMA

# Arrow's views know the place of their text by a number of 32 bits.
_LARGEST_BYTES: Final = 2**31 - 2**16

_Bytes: TypeAlias = NDArray[np.uint8]
_Words: TypeAlias = NDArray[np.uint64]
_Numbers: TypeAlias = NDArray[np.int64]
_Truths: TypeAlias = NDArray[np.bool_]

_PREFIX: Final = struct.pack(">bI", 0, HIT_SCHEMA_ID)
_PREFIX_WORD: Final = np.uint64(int.from_bytes(_PREFIX, "little"))
_PREFIX_BITS: Final = np.uint64(2 ** (8 * len(_PREFIX)) - 1)
# Behind the last record, so that eight bytes can be read from wherever one has got to.
_PADDING: Final = bytes(16)
# So many records stay in the processor's cache while one field after the other is read.
_IN_STEP: Final = 16_384
_WORD: Final = 8
_INT_LIMIT: Final = 2**31
_MORE: Final = np.uint64(0x8080_8080_8080_8080)
_ONE: Final = np.uint64(1)

# A view is 16 bytes: the length in four, then a text of up to twelve; of a longer one the first four, and its place.
_SHORT: Final = 12
_BESIDE_LENGTH: Final = 4
_HALF: Final = np.uint64(32)


def _kept_bits(first: int) -> _Words:
    """Return for every length of a short text what keeps of eight bytes, the first of which is its `first`, its own."""
    kept = [max(0, min(_WORD, length - first)) for length in range(_SHORT + 1)]
    return np.array([2 ** (8 * count) - 1 for count in kept], dtype=np.uint64)


_BEGINNING: Final = _kept_bits(0)
_ENDING: Final = _kept_bits(_BESIDE_LENGTH)


@dataclass(frozen=True, slots=True, kw_only=True)
class HitColumns:
    """What was read of a batch.

    Attributes:
        hits: the records that were read, in order: a table of `HITS_SCHEMA`.
        read: of every message whether its record was.
        may_hold_nul: a text may hold the character U+0000. If False, none does.
    """

    hits: pa.Table
    read: _Truths
    may_hold_nul: bool


def read_columns(values: Sequence[bytes | None]) -> HitColumns:
    """Read what can be read at once. Never raises for what a message holds; one without a value is as an empty one."""
    try:
        lengths: _Numbers = np.fromiter(map(len, cast("Sequence[bytes]", values)), dtype=np.int64, count=len(values))
    except TypeError:  # one of them is None
        return read_columns([value or b"" for value in values])
    if len(values) > 1 and int(lengths.sum()) > _LARGEST_BYTES:
        middle = len(values) // 2
        return _joined([read_columns(values[:middle]), read_columns(values[middle:])])
    data = b"".join([*cast("Sequence[bytes]", values), _PADDING])
    starts = np.cumsum(lengths) - lengths
    return _joined(
        [
            _read_in_step(data, starts[first : first + _IN_STEP], lengths[first : first + _IN_STEP])
            for first in range(0, len(values), _IN_STEP)
        ]
    )


def _joined(parts: Sequence[HitColumns]) -> HitColumns:
    # In one piece: a database takes its columns in a tenth faster (measured), and joining views copies no text.
    hits = pa.concat_tables([HITS_SCHEMA.empty_table(), *(part.hits for part in parts)]).combine_chunks()
    return HitColumns(
        hits=hits,
        read=np.concatenate([np.zeros(0, dtype=np.bool_), *(part.read for part in parts)]),
        may_hold_nul=any(part.may_hold_nul for part in parts),
    )


def _read_in_step(data: bytes, starts: _Numbers, lengths: _Numbers) -> HitColumns:
    records = _Records(data, starts, lengths)
    records.skip_prefix()
    fields = [records.next_field(field.type) for field in HITS_SCHEMA]
    read = records.read()
    if not read.all():
        fields = [field.where(read) for field in fields]
    while True:
        columns = [field.column(data) for field in fields]
        wrong = [] if records.is_ascii() else [at for at, column in enumerate(columns) if not _is_valid(column)]
        if not wrong:
            hits = pa.Table.from_arrays(columns, schema=HITS_SCHEMA)
            return HitColumns(hits=hits, read=read, may_hold_nul=records.may_hold_nul())
        # Seldom: a text that is no UTF-8. Find the records that hold one, and leave them out.
        texts = np.logical_and.reduce([fields[at].is_utf8(data) for at in wrong])
        fields = [field.where(texts) for field in fields]
        read[np.flatnonzero(read)[~texts]] = False


class _Field:
    """A field of all records: numbers, or the places and lengths of texts."""

    def __init__(self, kind: Any, values: _Numbers, lengths: _Numbers | None = None) -> None:
        self._kind = kind
        self._values = values
        self._lengths = lengths

    def where(self, kept: _Truths) -> "_Field":
        """Return the field of some of the records."""
        return _Field(self._kind, self._values[kept], None if self._lengths is None else self._lengths[kept])

    def is_utf8(self, data: bytes) -> _Truths:
        """Tell of every record whether the text is UTF-8, one by one."""
        lengths = np.zeros_like(self._values) if self._lengths is None else self._lengths
        places = zip(self._values.tolist(), lengths.tolist(), strict=True)
        return np.array([_is_utf8(data[place : place + length]) for place, length in places], dtype=np.bool_)

    def column(self, data: bytes) -> Any:
        """Return the field as a column of Arrow's, whose texts lie in `data`."""
        if self._lengths is not None:
            buffers = [pa.py_buffer(_views(data, self._values, self._lengths)), pa.py_buffer(data)]
        elif self._kind == pa.bool_():
            buffers = [pa.py_buffer(np.packbits(self._values.astype(np.bool_), bitorder="little"))]
        else:
            buffers = [pa.py_buffer(self._values.astype(f"i{self._kind.byte_width}"))]
        return pa.Array.from_buffers(self._kind, len(self._values), [None, *buffers])


class _Records:
    """Where every record has got to, and whether it is a hit so far.

    It counts the bytes above 0x7F and the zeros that numbers account for: if all records were read and there are no
    more of them, no text holds any, and nobody need look at the texts themselves.
    """

    def __init__(self, data: bytes, starts: _Numbers, lengths: _Numbers) -> None:
        self._bytes: _Bytes = np.frombuffer(data, dtype=np.uint8)
        self._words = _words(data)
        self._end = len(data) - len(_PADDING)
        self._at = starts
        self._ends = starts + lengths
        self._good: _Truths = np.ones(len(starts), dtype=np.bool_)
        self._all = self._bytes[starts[0] : self._ends[-1]]
        self._high = 0
        self._zeros = 0

    def skip_prefix(self) -> None:
        """Go past the wire format's first bytes."""
        self._good &= self._words[self._at] & _PREFIX_BITS == _PREFIX_WORD
        self._zeros += _PREFIX.count(0) * len(self._at)
        self._advance(len(_PREFIX))

    def next_field(self, kind: Any) -> _Field:
        """Read the next field of all records."""
        if kind == pa.bool_():
            said = self._bytes.take(self._at).astype(np.int64)
            self._good &= said <= 1
            self._zeros += _zeros(said)
            self._advance(1)
            return _Field(kind, said)
        numbers = self._next_numbers()
        if kind == pa.string_view():
            self._good &= numbers >= 0
            field = _Field(kind, self._at, numbers)
            self._advance(np.maximum(numbers, 0))
            return field
        if kind == pa.int32():
            self._good &= (numbers >= -_INT_LIMIT) & (numbers < _INT_LIMIT)
        return _Field(kind, numbers)

    def read(self) -> _Truths:
        """Tell of every record whether it was read to its end, and not beyond: the way there only leads forward."""
        read: _Truths = self._good & (self._at == self._ends)
        return read

    def is_ascii(self) -> bool:
        """Whether all records were read and no text of theirs holds a byte above 0x7F."""
        return bool(self.read().all()) and np.count_nonzero(self._all & 0x80) == self._high

    def may_hold_nul(self) -> bool:
        """Whether a text may hold the character U+0000. If not, none of the records that were read does."""
        return not self.read().all() or _zeros(self._all) != self._zeros

    def _next_numbers(self) -> _Numbers:
        """Read an Avro number of every record. Of those that are longer than eight bytes, none is good."""
        first = self._bytes.take(self._at)
        if not (first & 0x80).any():
            self._zeros += _zeros(first)
            self._advance(1)
            return _signed(first.astype(np.int64))
        words = self._words[self._at]
        # The lowest bit that is set here is the highest one of the number's last byte.
        last = ~words & _MORE
        stop = last & (~last + _ONE)
        sizes = np.maximum((np.bitwise_count(stop - _ONE).astype(np.int64) + 1) >> 3, 1)
        words &= stop | (stop - _ONE)
        # A last byte of zero adds nothing: there is a shorter encoding of the same number.
        self._good &= (last != 0) & ((sizes == 1) | (words >> (8 * (sizes - 1)).astype(np.uint64) != 0))
        self._high += int(sizes.sum()) - len(sizes)
        self._zeros += _zeros(words)
        self._advance(sizes)
        return _signed(_join_sevens(words).astype(np.int64))

    def _advance(self, by: "_Numbers | int") -> None:
        # Who has lost the way stops behind the end of everything, where no record ends.
        self._at = np.minimum(self._at + by, self._end + 1)


def _zeros(numbers: NDArray[Any]) -> int:
    return len(numbers) - int(np.count_nonzero(numbers))


def _words(data: bytes) -> _Words:
    """Return what eight bytes are from every place of `data` on."""
    return np.ndarray((len(data) - _WORD + 1,), dtype="<u8", buffer=data, strides=(1,))


def _join_sevens(words: _Words) -> _Words:
    """Return the numbers whose groups of seven bits lie in the bytes of `words`, the lowest first."""
    words = words & np.uint64(0x7F7F_7F7F_7F7F_7F7F)
    words = words & np.uint64(0x007F_007F_007F_007F) | (words & np.uint64(0x7F00_7F00_7F00_7F00)) >> np.uint64(1)
    words = words & np.uint64(0x0000_3FFF_0000_3FFF) | (words & np.uint64(0x3FFF_0000_3FFF_0000)) >> np.uint64(2)
    return words & np.uint64(0x0FFF_FFFF) | (words & np.uint64(0x0FFF_FFFF_0000_0000)) >> np.uint64(4)


def _signed(numbers: _Numbers) -> _Numbers:
    """Undo Avro's zigzag: 0, -1, 1, -2 … travel as 0, 1, 2, 3 …"""  # noqa: D415 - it goes on like this
    return (numbers >> 1) ^ -(numbers & 1)


def _views(data: bytes, places: _Numbers, lengths: _Numbers) -> _Words:
    words, beginning = _words(data), np.minimum(lengths, _SHORT)
    views = np.zeros((len(places), 2), dtype=np.uint64)
    views[:, 0] = lengths.astype(np.uint64) | (words[places] & _BEGINNING.take(beginning)) << _HALF
    is_short = lengths <= _SHORT
    if not is_short.all():
        views[:, 1] = places.astype(np.uint64) << _HALF
    if (is_short & (lengths > _BESIDE_LENGTH)).any():
        views[:, 1] = np.where(is_short, words[places + _BESIDE_LENGTH] & _ENDING.take(beginning), views[:, 1])
    elif is_short.any():
        views[is_short, 1] = 0
    return views


def _is_valid(column: Any) -> bool:
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
