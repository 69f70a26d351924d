"""Hits to bytes, in batches: the same bytes as `encode_hit` writes, about twenty times faster.

fastavro walks through the schema for every record. But of sixteen fields most are the same in many hits, so their
bytes are kept and joined, and only the id, the time and the unit are written anew. Whatever is unusual about a hit
sends it to `encode_hit`, which is the truth; a property test holds the two against each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, NamedTuple

from usersplit._errors import __version__
from usersplit._hit_record import HITS_PER_BATCH, BufferedHit, HitIds, HitOrigin, LoggedHit, hit_of, text_of
from usersplit._hit_transport import Record
from usersplit._split_groups import SPLIT_GROUPS
from usersplit.hits import HIT_PREFIX, UnencodableHit, encode_hit

# Keys, variants, platforms and countries come from callers, so what is kept of them is bounded.
_KEPT: Final = 4096
_ID_PREFIX: Final = HIT_PREFIX + b"\x48"  # the length of an id: 36
_SEVEN: Final = 0x7F
_NO_ATTRIBUTES: Final = b"\x04{}"
_INT_LIMIT: Final = 2**31
_LATEST_US: Final = 2**62


@dataclass(slots=True)
class EncodedHits:
    """A batch that was encoded: the records, and why the others are missing."""

    records: list[Record] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


class _Written(NamedTuple):
    """The bytes of small numbers, by the number."""

    lengths: Sequence[bytes]
    split_groups: Sequence[bytes]
    counts: Sequence[bytes]
    low: Sequence[bytes]
    """The two lowest bytes of a time; the others change every eight milliseconds only."""


@cache  # the same for all hits: one copy a process, made by who encodes first
def _written() -> _Written:
    return _Written(
        lengths=[_varint(length) for length in range(128)],
        split_groups=[_varint(group) for group in range(SPLIT_GROUPS + 1)],
        counts=[HitIds(b"").count(place).encode() for place in range(HITS_PER_BATCH)],
        low=[bytes((bits & 0x7F | 0x80, bits >> 7 | 0x80)) for bits in range(1 << 14)],
    )


class HitEncoder:
    """Encodes the hits of one process. For one thread at a time."""

    def __init__(self, origin: HitOrigin) -> None:
        self._origin = origin
        self._environment = _string(origin.environment_name)
        self._origin_bytes = _string(origin.app) + _string(origin.host)
        self._tests: dict[tuple[str, int, str, str], bytes] = {}
        self._drawn: dict[tuple[object, object], bytes] = {}
        self._forced: dict[tuple[object, object], bytes] = {}

    def encode(self, batch: Sequence[BufferedHit], random_bytes: bytes) -> EncodedHits:
        """Return the records of at most `HITS_PER_BATCH` hits, in order. `random_bytes` make their ids unique."""
        ids = HitIds(random_bytes)
        encoded = EncodedHits()
        add, join = encoded.records.append, b"".join
        # One loop, unrolled, its names local: a call would cost more than what it does.
        id_tail = ids.tail.encode()
        tests, drawn, forced_ones = self._tests, self._drawn, self._forced
        lengths, split_groups, counts, low = _written()
        unix_ms: int | None = None
        eight_ms: int | None = None
        id_head = high = b""
        for place, hit in enumerate(batch):
            at, key, group, variant, kind, unit, split_group, platform, country, forced, attributes, hit_id, _ = hit
            try:
                # True and 1.0 would be found as 1, and -1 as the last.
                if type(group) is not int or split_group < 0:
                    raise UnencodableHit  # noqa: TRY301 - perhaps not at all, as is seen below
                occurred_at = at // 1000
                if occurred_at >> 13 != eight_ms:
                    high = _high_bytes(occurred_at)
                    eight_ms = occurred_at >> 13
                if occurred_at // 1000 != unix_ms:
                    unix_ms = occurred_at // 1000
                    id_head = _ID_PREFIX + ids.head(unix_ms).encode()
                test = tests.get((key, group, variant, kind)) or self._keep_test(key, group, variant, kind)
                kept = forced_ones if forced is True else drawn if forced is False else {}
                end = kept.get((platform, country)) or self._keep_place(platform, country, forced)
                unit_bytes = b"%d" % unit if type(unit) is int else text_of(unit).encode()
                value = join(
                    (
                        HIT_PREFIX + _string(hit_id) if hit_id else id_head + counts[place] + id_tail,
                        low[occurred_at << 1 & 0x3FFF],
                        high,
                        test,
                        lengths[len(unit_bytes)],
                        unit_bytes,
                        split_groups[split_group],
                        end,
                        _NO_ATTRIBUTES if attributes == "" else _string(attributes),
                    )
                )
            except Exception:  # noqa: BLE001 - what is unusual is not an error yet
                self._encode_unusual(hit, ids, place, encoded)
            else:
                add((unit_bytes, value))
        return encoded

    def _encode_unusual(self, hit: BufferedHit, ids: HitIds, place: int, encoded: EncodedHits) -> None:
        try:
            logged = LoggedHit._make(hit)
            made = hit_of(logged, self._origin, ids.id(logged.occurred_at_ns // 1_000_000, place))
            encoded.records.append((made.unit_id.encode(), encode_hit(made)))
        except Exception as error:  # noqa: BLE001 - whatever a service gave as an id: one hit must not stop the others
            encoded.failures.append(_safe_text(error))

    def _keep_test(self, key: str, group: int, variant: str, kind: str) -> bytes:
        if not 0 <= group < _INT_LIMIT:
            raise UnencodableHit
        if len(self._tests) >= _KEPT:
            self._tests.clear()
        test = _string(key) + _varint(group) + _string(variant) + _string(kind)
        self._tests[key, group, variant, kind] = test
        return test

    def _keep_place(self, platform: object, country: object, forced: object) -> bytes:
        if type(forced) is not bool or type(platform) is not str or type(country) is not str:
            raise UnencodableHit
        kept = self._forced if forced else self._drawn
        if len(kept) >= _KEPT:
            kept.clear()
        place = (self._environment, _string(platform), _string(country), self._origin_bytes)
        end = b"".join((*place, b"\x01" if forced else b"\x00", _VERSION))
        kept[platform, country] = end
        return end


def _high_bytes(occurred_at: int) -> bytes:
    """Return what follows the two lowest bytes of a time in microseconds."""
    if not 1 << 13 <= occurred_at < _LATEST_US:
        raise UnencodableHit
    return _seven_bits(occurred_at >> 13)


def _seven_bits(number: int) -> bytes:
    """Return `number`, zero or more, in groups of seven bits, the lowest first; all but the last are marked."""
    written = bytearray()
    while number > _SEVEN:
        written.append(number & _SEVEN | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


def _varint(number: int) -> bytes:
    """Return what Avro writes for a number of zero or more."""
    return _seven_bits(number << 1)


def _string(text: Any) -> bytes:
    encoded = str.encode(text)
    return _varint(len(encoded)) + encoded


def _safe_text(error: Exception) -> str:
    try:
        return f"{type(error).__name__}: {error}"[:500]
    except Exception:  # noqa: BLE001 - the error's own text fails
        return type(error).__name__


_VERSION: Final = _string(__version__)
