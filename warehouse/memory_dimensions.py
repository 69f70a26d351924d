"""The dimensions in memory: the shipped stand-in for tests, under the same contract suite as the real ones."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from threading import Lock
from typing import Any

from warehouse.dimension_tables import TABLES, is_of_an_older_release
from warehouse.dimensions import DimensionRows
from warehouse.errors import Fenced, WarehouseDown
from warehouse.hits import OffsetRange


class MemoryDimensions:
    """A `warehouse.dimensions.DimensionWarehouse` that forgets everything with its process.

    Attributes:
        down: set it to True to let every call fail as a database that is away does.
    """

    def __init__(self) -> None:
        self.down = False
        self._lock = Lock()
        self._offsets: dict[tuple[str, int], int] = {}
        self._rows: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {table.view: {} for table in TABLES}

    def prepare(self, topic: str) -> None:
        """See `DimensionWarehouse.prepare`."""
        self._ping()
        with self._lock:
            if is_of_an_older_release([table.name for table in TABLES if table.view in self._rows]):
                self._offsets = {place: at for place, at in self._offsets.items() if place[0] != topic}
            for table in TABLES:
                self._rows.setdefault(table.view, {})

    def offsets(self, topic: str) -> Mapping[int, int]:
        """See `DimensionWarehouse.offsets`."""
        self._ping()
        with self._lock:
            return {partition: at for (name, partition), at in self._offsets.items() if name == topic}

    def store(self, rows: DimensionRows, ranges: Sequence[OffsetRange]) -> None:
        """See `DimensionWarehouse.store`."""
        self._ping()
        with self._lock:
            for part in ranges:
                stored = self._offsets.get((part.topic, part.partition))
                if stored not in {None, part.first}:
                    raise Fenced(part.topic, part.partition, expected=part.first, stored=stored)
            for table in TABLES:
                kept = self._rows[table.view]
                column, discarded = table.discarded(rows)
                for key in [key for key, row in kept.items() if discarded and row[column] in discarded]:
                    del kept[key]
                for new in map(asdict, getattr(rows, table.view)):
                    kept[tuple(new[column] for column in table.key)] = new
            self._offsets.update({(part.topic, part.partition): part.next for part in ranges})

    def view(self, name: str) -> list[dict[str, Any]]:
        """Return the rows of the view `name`, in no order."""
        with self._lock:
            (owner,) = [table.owner for table in TABLES if table.view == name]
            if owner is None:
                return list(self._rows[name].values())
            shown = {row[owner.key] for row in self._rows[owner.view].values() if row["status"] != "draft"}
            return [row for row in self._rows[name].values() if row[owner.key] in shown]

    def _ping(self) -> None:
        if self.down:
            raise WarehouseDown("the dimensions in memory were told to be down; set `down` to False")
