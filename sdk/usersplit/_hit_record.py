"""From what was noted on the caller's path to a hit: ids and text are made here, in the background."""

from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from usersplit._errors import __version__
from usersplit.hits import Hit, UnencodableHit

RANDOM_BYTES_PER_BATCH: Final = 8
HITS_PER_BATCH: Final = 500


class LoggedHit(NamedTuple):
    """What the caller's thread notes of a hit: references only. Everything that costs happens later."""

    occurred_at_ns: int
    test_key: str
    settings_group: int
    variant: str
    unit_type: str
    unit_id: object
    split_group: int
    platform: object
    country: object
    forced: bool
    attributes: object
    hit_id: str
    extra_bytes: int


BufferedHit: TypeAlias = tuple[int, str, int, str, str, object, int, object, object, object, object, str, int]
"""A LoggedHit as the caller's thread leaves it: the same fields in the same order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HitOrigin:
    """What all hits of a process have in common."""

    app: str
    host: str
    environment_name: str


class HitIds:
    """Makes the ids of one batch of hits: UUIDs of version 7 (RFC 9562), cheaper than one by one.

    Such an id has 48 bits of time, 12 bits that count and 62 random ones. The count is the hit's place in its batch,
    and the random bits are drawn once a batch: two ids are equal only if two batches of the same millisecond drew the
    same 62 bits. Ids that grow with time keep the index of a table of hits small in memory; the standard library makes
    them only from Python 3.14 on.
    """

    __slots__ = ("_tail",)

    def __init__(self, random_bytes: bytes) -> None:
        random = int.from_bytes(random_bytes[:RANDOM_BYTES_PER_BATCH], "big") & 0x3FFF_FFFF_FFFF_FFFF
        digits = f"{0b10 << 62 | random:016x}"
        self._tail = f"{digits[:4]}-{digits[4:]}"

    def head(self, unix_ms: int) -> str:
        """Return the first 14 characters, which tell the time."""
        digits = f"{unix_ms & 0xFFFF_FFFF_FFFF:012x}"
        return f"{digits[:8]}-{digits[8:]}-"

    def count(self, place: int) -> str:
        """Return the five characters after it, for a hit at `place` of its batch."""
        return f"7{place & 0xFFF:03x}-"

    @property
    def tail(self) -> str:
        """The last 17 characters, the same in the whole batch."""
        return self._tail

    def id(self, unix_ms: int, place: int) -> str:
        """Return the whole id."""
        return self.head(unix_ms) + self.count(place) + self._tail


def hit_of(logged: LoggedHit, origin: HitOrigin, hit_id: str) -> Hit:
    """Return the hit. `hit_id` is its id, unless it brings one of its own."""
    return Hit(
        hit_id=logged.hit_id or hit_id,
        occurred_at=logged.occurred_at_ns // 1000,
        test_key=logged.test_key,
        settings_group=logged.settings_group,
        variant=logged.variant,
        unit_type=logged.unit_type,
        unit_id=text_of(logged.unit_id),
        split_group=int(logged.split_group),
        environment=origin.environment_name,
        platform=text_of(logged.platform),
        country=text_of(logged.country),
        app=origin.app,
        host=origin.host,
        forced=logged.forced,
        sdk_version=__version__,
        attributes=text if isinstance(text := logged.attributes or "{}", str) else _no_text(text),
    )


def _no_text(attributes: object) -> str:
    if isinstance(attributes, UnencodableHit):
        raise attributes
    raise UnencodableHit(f"The attributes, of type {type(attributes).__name__}, could not be made a JSON object.")


def text_of(value: object) -> str:
    """Return the text of an id or a place, as a service gave it."""
    # A member of `class Platform(str, Enum)` is the text "ios", although str() of it says "Platform.IOS".
    return str.__str__(value) if isinstance(value, str) else str(value)
