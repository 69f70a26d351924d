"""The dimensions in DuckDB, in the file and through the connection of the hits: one process, one database object."""

from collections.abc import Mapping, Sequence

from warehouse.dimension_tables import TABLES, new_rows
from warehouse.dimensions import DimensionRows
from warehouse.duckdb_hits import DuckDbHits, move_offset
from warehouse.hits import OffsetRange


class DuckDbDimensions:
    """A `warehouse.dimensions.DimensionWarehouse` beside the hits of `hits`, whose owner closes it."""

    def __init__(self, hits: DuckDbHits) -> None:
        self._hits = hits

    def prepare(self) -> None:
        """See `DimensionWarehouse.prepare`."""
        self._hits.prepare()
        with self._hits.transaction() as cursor:
            for table in TABLES:
                for statement in table.create():
                    cursor.execute(statement)

    def offsets(self, topic: str) -> Mapping[int, int]:
        """See `DimensionWarehouse.offsets`."""
        return self._hits.offsets(topic)

    def store(self, rows: DimensionRows, ranges: Sequence[OffsetRange]) -> None:
        """See `DimensionWarehouse.store`."""
        with self._hits.transaction() as cursor:
            for part in ranges:
                move_offset(cursor, part)
            if rows.discarded:
                for table in TABLES:
                    cursor.execute(f"DELETE FROM {table.name} WHERE test_key IN ?", [list(rows.discarded)])  # noqa: S608 - a constant
            for table, found in new_rows(rows):
                cursor.register("new_rows", found)
                try:
                    for statement in table.replace():
                        cursor.execute(statement)
                finally:
                    cursor.unregister("new_rows")
