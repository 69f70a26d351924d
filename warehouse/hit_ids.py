"""Columns of UUIDs: from text to the 16 bytes that databases keep, a batch at a time.

DuckDB reads them as its own UUIDs, without parsing texts: an insert is a quarter cheaper.
"""

from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from warehouse.errors import WarehouseRefused

_TEXT_LENGTH: Final = 36
_HYPHENS: Final = (8, 13, 18, 23)
_DIGITS: Final = tuple(place for place in range(_TEXT_LENGTH) if place not in _HYPHENS)
_NO_DIGIT: Final = 255
_ODD: Final = np.uint64(0x9E37_79B9_7F4A_7C15)


def _values_of_digits() -> NDArray[np.uint8]:
    values = np.full(256, _NO_DIGIT, dtype=np.uint8)
    values[np.frombuffer(b"0123456789abcdef", dtype=np.uint8)] = np.arange(16)
    return values


_VALUES: Final = _values_of_digits()


def uuid_bytes(texts: pa.ChunkedArray) -> NDArray[np.uint8]:
    """Return UUIDs in their canonical text form (lower case, with hyphens) as rows of 16 bytes.

    Raises:
        WarehouseRefused: one of them is none.
    """
    # Not by way of pa.array(): given a list, that imports pandas where it is installed, a second and more.
    joined = texts.cast(pa.large_string()).combine_chunks()
    _, offsets, data = joined.buffers()
    bounds = np.frombuffer(offsets, dtype=np.int64, count=len(joined) + 1) if len(joined) else np.zeros(1, np.int64)
    if joined.null_count or (np.diff(bounds) != _TEXT_LENGTH).any():
        raise _refusal()
    characters = np.frombuffer(data or b"", dtype=np.uint8, count=_TEXT_LENGTH * len(joined), offset=int(bounds[0]))
    rows = characters.reshape(-1, _TEXT_LENGTH)
    digits = _VALUES[rows[:, _DIGITS]]
    if (digits == _NO_DIGIT).any() or (rows[:, _HYPHENS] != ord("-")).any():
        raise _refusal()
    return np.ascontiguousarray(digits[:, 0::2] << 4 | digits[:, 1::2])


def uuid_array(ids: NDArray[np.uint8]) -> Any:
    """Return rows of 16 bytes as an Arrow array of UUIDs."""
    stored = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(ids), [None, pa.py_buffer(ids)])
    return pa.ExtensionArray.from_storage(pa.uuid(), stored)


def is_first(ids: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Tell of every id, a row of 16 bytes, whether no equal one comes before it."""
    first = np.ones(len(ids), dtype=np.bool_)
    halves = ids.view(np.uint64)
    mixed = halves[:, 0] * _ODD ^ halves[:, 1]
    ordered = np.sort(mixed)
    # Mostly there are none, and a batch is not worth more than the sorting of numbers.
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    seen = set()
    for place in np.flatnonzero(np.isin(mixed, repeated)) if len(repeated) else ():
        value = ids[place].tobytes()
        first[place] = value not in seen
        seen.add(value)
    return first


def _refusal() -> WarehouseRefused:
    return WarehouseRefused("a hit_id is no UUID in its canonical form; hand in what `consumers.hit_decoding` let pass")
