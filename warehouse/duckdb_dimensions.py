"""The dimensions in DuckDB, in the file and through the connection of the hits: one process, one database object."""

from collections.abc import Mapping, Sequence
from typing import Final

from warehouse.dimension_tables import TABLES, is_of_an_older_release, new_rows
from warehouse.dimensions import DimensionRows
from warehouse.duckdb_hits import DuckDbHits, move_offset
from warehouse.hit_accounting import hit_accounting
from warehouse.hits import OffsetRange

_TABLE_NAMES: Final = "SELECT table_name FROM information_schema.tables"


class DuckDbDimensions:
    """A `warehouse.dimensions.DimensionWarehouse` beside the hits of `hits`, whose owner closes it."""

    def __init__(self, hits: DuckDbHits) -> None:
        self._hits = hits

    def prepare(self, topic: str) -> None:
        """See `DimensionWarehouse.prepare`."""
        self._hits.prepare()
        with self._hits.transaction() as cursor:
            if is_of_an_older_release([name for (name,) in cursor.execute(_TABLE_NAMES).fetchall()]):
                cursor.execute("DELETE FROM hit_offsets WHERE topic = ?", [topic])
            for table in TABLES:
                for statement in table.create():
                    cursor.execute(statement)
            # The day is taken of microseconds: the zone of the reader's session must not move it.
            cursor.execute(hit_accounting(day="make_timestamp(epoch_us({}))::DATE"))

    def offsets(self, topic: str) -> Mapping[int, int]:
        """See `DimensionWarehouse.offsets`."""
        return self._hits.offsets(topic)

    def store(self, rows: DimensionRows, ranges: Sequence[OffsetRange]) -> None:
        """See `DimensionWarehouse.store`."""
        with self._hits.transaction() as cursor:
            for part in ranges:
                move_offset(cursor, part)
            for table in TABLES:
                column, discarded = table.discarded(rows)
                if discarded:
                    cursor.execute(f"DELETE FROM {table.name} WHERE {column} IN ?", [discarded])  # noqa: S608 - constants
            for table, found in new_rows(rows):
                cursor.register("new_rows", found)
                try:
                    for statement in table.replace():
                        cursor.execute(statement)
                finally:
                    cursor.unregister("new_rows")
