"""From what was noted on the caller's path to a hit: ids, text and JSON are made here, in the background."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from usersplit._errors import __version__
from usersplit.hits import Hit

RANDOM_BYTES_PER_ID: Final = 10


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
    attributes: Mapping[str, object] | str | None
    hit_id: str


BufferedHit: TypeAlias = tuple[
    int, str, int, str, str, object, int, object, object, bool, Mapping[str, object] | str | None, str
]
"""A LoggedHit as the caller's thread leaves it: the same fields in the same order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HitOrigin:
    """What all hits of a process have in common."""

    app: str
    host: str
    environment_name: str


def hit_of(logged: LoggedHit, origin: HitOrigin, random_bytes: bytes) -> Hit:
    """Return the hit. `random_bytes` are the ten that make its id unique, unless it brings an id of its own."""
    occurred_at = logged.occurred_at_ns // 1000
    return Hit(
        hit_id=logged.hit_id or uuid7(occurred_at // 1000, random_bytes),
        occurred_at=occurred_at,
        test_key=logged.test_key,
        settings_group=logged.settings_group,
        variant=logged.variant,
        unit_type=logged.unit_type,
        unit_id=_text(logged.unit_id),
        split_group=int(logged.split_group),
        environment=origin.environment_name,
        platform=_text(logged.platform),
        country=_text(logged.country),
        app=origin.app,
        host=origin.host,
        forced=logged.forced,
        sdk_version=__version__,
        attributes=_json_text(logged.attributes),
    )


def uuid7(unix_ms: int, random_bytes: bytes) -> str:
    """Return a UUID of version 7 (RFC 9562): 48 bits of time, then 74 of the 80 random bits.

    Ids that grow with time keep the index of a table of hits small in memory; the standard library makes them only
    from Python 3.14 on.
    """
    random = int.from_bytes(random_bytes, "big")
    number = (
        (unix_ms & 0xFFFF_FFFF_FFFF) << 80
        | 0x7 << 76
        | (random >> 68 & 0xFFF) << 64
        | 0b10 << 62
        | random & 0x3FFF_FFFF_FFFF_FFFF
    )
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _text(value: object) -> str:
    # A member of `class Platform(str, Enum)` is the text "ios", although str() of it says "Platform.IOS".
    return str.__str__(value) if isinstance(value, str) else str(value)


def _json_text(attributes: Mapping[str, object] | str | None) -> str:
    if not attributes:
        return "{}"
    if isinstance(attributes, str):
        return attributes
    return json.dumps(dict(attributes), ensure_ascii=False, separators=(",", ":"), default=str)
