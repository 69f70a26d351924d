"""The charts over a warehouse in memory: what tests hold the databases' answers against."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from warehouse.memory_hits import MemoryHits
from warehouse.traffic import Span, UnitsShown, VariantTraffic


class MemoryTraffic:
    """A `warehouse.traffic.HitTraffic` over the rows of `hits`."""

    def __init__(self, hits: MemoryHits) -> None:
        self._hits = hits

    def over_time(self, key: str, span: Span) -> list[VariantTraffic]:
        """See `HitTraffic.over_time`."""
        lines: dict[tuple[int, str], list[int]] = defaultdict(lambda: [0] * span.buckets)
        for row in self._rows(span):
            if row["test_key"] == key:
                lines[row["settings_group"], row["variant"]][_bucket(row, span)] += 1
        return [
            VariantTraffic(settings_group=group, variant=variant, hits=hits)
            for (group, variant), hits in sorted(lines.items())
        ]

    def recent(self, span: Span) -> Mapping[str, Sequence[int]]:
        """See `HitTraffic.recent`."""
        lines: dict[str, list[int]] = defaultdict(lambda: [0] * span.buckets)
        for row in self._rows(span):
            lines[row["test_key"]][_bucket(row, span)] += 1
        return dict(lines)

    def units(self, key: str, settings_group: int, span: Span) -> UnitsShown:
        """See `HitTraffic.units`."""
        shown: dict[tuple[str, str], list[str]] = defaultdict(list)
        for row in sorted(self._rows(span), key=lambda row: (row["occurred_at"], row["hit_id"])):
            if (row["test_key"], row["settings_group"]) == (key, settings_group):
                shown[row["unit_type"], row["unit_id"]].append(row["variant"])
        per_variant: dict[str, int] = defaultdict(int)
        for variants in shown.values():
            per_variant[variants[0]] += 1
        return UnitsShown(
            per_variant=dict(per_variant), torn=sum(len(set(variants)) > 1 for variants in shown.values())
        )

    def _rows(self, span: Span) -> list[dict[str, Any]]:
        self._hits.ping()
        return [
            row
            for row in self._hits.rows()
            if span.since <= row["occurred_at"] < span.until
            and row["environment"] == span.environment
            and not row["forced"]
        ]


def _bucket(row: dict[str, Any], span: Span) -> int:
    return int((row["occurred_at"] - span.since) // span.bucket)
