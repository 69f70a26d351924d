"""The port of the charts: is there traffic, and is it even. Every question is bounded by dates.

Forced hits are nobody's traffic and are left out of every answer; environments are kept apart. The contract suite is
`tests/contract/test_hit_traffic.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

MOST_BUCKETS: Final = 10_000
"""A chart with more points than a screen has is a mistake."""

_MICROSECOND: Final = timedelta(microseconds=1)


class TooManyBuckets(ValueError):
    """The buckets of a span are none, or more than a chart can show."""

    def __init__(self, since: datetime, until: datetime, bucket: timedelta) -> None:
        super().__init__(
            f"from {since} to {until} in buckets of {bucket} is no chart: let it end after its beginning, and take "
            f"{MOST_BUCKETS:,} buckets at most"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What a chart covers: hits of `environment` that occurred from `since` up to, but without, `until` (aware).

    `bucket` is how much of it one point of the chart stands for; the first begins at `since`, the last may be cut.

    Raises:
        TooManyBuckets: see there.
    """

    since: datetime
    until: datetime
    bucket: timedelta
    environment: str = "production"

    def __post_init__(self) -> None:
        if self.bucket < _MICROSECOND or not 1 <= self.buckets <= MOST_BUCKETS:
            raise TooManyBuckets(self.since, self.until, self.bucket)

    @property
    def buckets(self) -> int:
        """Return how many there are."""
        return -((self.since - self.until) // self.bucket)

    def starts(self) -> list[datetime]:
        """Return where each bucket begins."""
        return [self.since + number * self.bucket for number in range(self.buckets)]


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantTraffic:
    """A line of a chart: the hits of a variant of a settings group, one number for each bucket of the span."""

    settings_group: int
    variant: str
    hits: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitsShown:
    """How many units of a settings group each variant has, a unit counted where its first hit of the span put it.

    `torn` counts the units that were shown more than one variant, which should be none.
    """

    per_variant: Mapping[str, int]
    torn: int


class HitTraffic(Protocol):
    """Counts for charts. Safe to use from many threads. Every method raises `WarehouseDown`."""

    def over_time(self, key: str, span: Span) -> list[VariantTraffic]:
        """Return a line for each variant of each settings group of the test `key`, sorted by both.

        Those without a hit in the span have none.
        """
        ...

    def recent(self, span: Span) -> Mapping[str, Sequence[int]]:
        """Return the hits of every test that has any, by key, one number for each bucket: for sparklines."""
        ...

    def units(self, key: str, settings_group: int, span: Span) -> UnitsShown:
        """Return how many units each variant of a settings group of the test `key` has."""
        ...
