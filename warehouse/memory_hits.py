"""A warehouse in memory: the shipped stand-in for tests, under the same contract suite as the real ones."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from threading import Lock
from typing import Any

import pyarrow as pa

from warehouse.errors import Fenced, WarehouseDown
from warehouse.hits import COLUMNS, HITS_SCHEMA, HitsPerVariant, OffsetRange


class MemoryHits:
    """A `warehouse.hits.HitWarehouse` that forgets everything with its process.

    Attributes:
        down: set it to True to let every call fail as a database that is away does.
    """

    def __init__(self) -> None:
        self.down = False
        self._lock = Lock()
        self._rows: dict[str, dict[str, Any]] = {}
        self._offsets: dict[tuple[str, int], int] = {}

    def prepare(self) -> None:
        """See `HitWarehouse.prepare`."""
        self.ping()

    def ping(self) -> None:
        """See `HitWarehouse.ping`."""
        if self.down:
            raise WarehouseDown("the warehouse in memory was told to be down; set `down` to False")

    def offsets(self, topic: str) -> Mapping[int, int]:
        """See `HitWarehouse.offsets`."""
        self.ping()
        with self._lock:
            return {partition: at for (name, partition), at in self._offsets.items() if name == topic}

    def forget_offsets(self, topic: str) -> None:
        """See `HitWarehouse.forget_offsets`."""
        self.ping()
        with self._lock:
            self._offsets = {place: at for place, at in self._offsets.items() if place[0] != topic}

    def store(self, hits: pa.Table, ranges: Sequence[OffsetRange]) -> int:
        """See `HitWarehouse.store`."""
        self.ping()
        rows = hits.select(COLUMNS).cast(HITS_SCHEMA).to_pylist()
        with self._lock:
            for part in ranges:
                stored = self._offsets.get((part.topic, part.partition))
                if stored not in {None, part.first}:
                    raise Fenced(part.topic, part.partition, expected=part.first, stored=stored)
            before = len(self._rows)
            for row in rows:
                self._rows.setdefault(row["hit_id"], row)
            self._offsets.update({(part.topic, part.partition): part.next for part in ranges})
            return len(self._rows) - before

    def rows(self) -> list[dict[str, Any]]:
        """Return every stored hit, in the order in which they were stored."""
        with self._lock:
            return list(self._rows.values())

    def hits_per_variant(self, key: str | None = None) -> list[HitsPerVariant]:
        """See `HitWarehouse.hits_per_variant`."""
        self.ping()
        groups: dict[tuple[str, int, str, str], list[dict[str, Any]]] = defaultdict(list)
        for row in self.rows():
            if key in {None, row["test_key"]}:
                groups[row["test_key"], row["settings_group"], row["variant"], row["environment"]].append(row)
        return [_counted(group, rows) for group, rows in sorted(groups.items())]

    def forget_hits(self, before: datetime) -> int:
        """See `HitRetention.forget_hits`."""
        self.ping()
        with self._lock:
            kept = {hit_id: row for hit_id, row in self._rows.items() if row["occurred_at"] >= before}
            forgotten = len(self._rows) - len(kept)
            self._rows = kept
            return forgotten

    def close(self) -> None:
        """See `HitWarehouse.close`."""


def _counted(group: tuple[str, int, str, str], rows: list[dict[str, Any]]) -> HitsPerVariant:
    test_key, settings_group, variant, environment = group
    moments: list[datetime] = [row["occurred_at"] for row in rows]
    return HitsPerVariant(
        test_key=test_key,
        settings_group=settings_group,
        variant=variant,
        environment=environment,
        hits=len(rows),
        units=len({(row["unit_type"], row["unit_id"]) for row in rows}),
        first_at=min(moments),
        last_at=max(moments),
    )
