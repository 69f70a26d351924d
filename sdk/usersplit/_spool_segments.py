"""The files of the spool: blocks of records, each with its length and a CRC, so that a torn one is known as such."""

import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from usersplit._hit_transport import Record

_BLOCK: Final = struct.Struct(">4sIII")  # a mark, the payload's length, the number of records, a CRC-32 of both
_MARK: Final = b"hit1"
_RECORD: Final = struct.Struct(">II")  # the lengths of key and value


def block_of(records: Sequence[Record]) -> bytes:
    """Return the records as one block."""
    parts: list[bytes] = []
    for key, value in records:
        parts += (_RECORD.pack(len(key), len(value)), key, value)
    payload = b"".join(parts)
    return _BLOCK.pack(_MARK, len(payload), len(records), zlib.crc32(payload, len(records))) + payload


def read_segment(path: Path) -> list[Record]:
    """Return the intact records of a segment, in order.

    A block with a wrong CRC is left out. After a torn one (a process that was killed while it wrote, a full disk)
    there is nothing to be found.
    """
    return list(_intact(path.read_bytes()))


def _intact(content: bytes) -> Iterator[Record]:
    start = 0
    while start + _BLOCK.size <= len(content):
        mark, length, count, checksum = _BLOCK.unpack_from(content, start)
        start += _BLOCK.size
        if mark != _MARK or start + length > len(content):
            return
        payload = content[start : start + length]
        start += length
        if zlib.crc32(payload, count) == checksum:
            yield from _records(payload, count)


def _records(payload: bytes, count: int) -> Iterator[Record]:
    position = 0
    for _ in range(count):
        key_length, value_length = _RECORD.unpack_from(payload, position)
        value_start = position + _RECORD.size + key_length
        position = value_start + value_length
        yield payload[value_start - key_length : value_start], payload[value_start:position]
