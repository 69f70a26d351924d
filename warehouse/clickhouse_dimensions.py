"""The dimensions in ClickHouse, in the database of the hits (docs/adr/0010).

There are no transactions: rows are written between the announcement of a range of offsets and their move, each with the
number of the announcement as its version. Of two rows with one key the later announcement's is shown, whichever came
last; a store that was cut short is repeated whole by the next one.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from warehouse.clickhouse_hits import ClickHouseHits
from warehouse.clickhouse_offsets import PLAIN_INSERT
from warehouse.dimension_tables import TABLES, DimensionTable, is_of_an_older_release, new_rows
from warehouse.dimensions import DimensionRows
from warehouse.hit_accounting import hit_accounting
from warehouse.hits import OffsetRange

_TYPES: Final = {
    pa.large_string(): "String",
    pa.timestamp("us", tz="UTC"): "Nullable(DateTime64(6, 'UTC'))",
    pa.int32(): "Int32",
    pa.int64(): "Nullable(Int64)",
    pa.bool_(): "Bool",
}
# Of a key no part may be NULL.
_KEY_TYPES: Final[Mapping[Any, str]] = {**_TYPES, pa.int64(): "Int64"}


class ClickHouseDimensions:
    """A `warehouse.dimensions.DimensionWarehouse` beside the hits of `hits`, whose owner closes it."""

    def __init__(self, hits: ClickHouseHits) -> None:
        self._hits = hits

    def prepare(self, topic: str) -> None:
        """See `DimensionWarehouse.prepare`."""
        self._hits.prepare()
        with self._hits.writing() as client:
            # Before the tables are made: cut short between the two, it is done again.
            if is_of_an_older_release([name for (name,) in client.query("SHOW TABLES").result_rows]):
                self._hits.offsets_of(client).forget(topic)
            for table in TABLES:
                for statement in _create(table):
                    client.command(statement)
            client.command(hit_accounting(day="toDate32({})"))

    def offsets(self, topic: str) -> Mapping[int, int]:
        """See `DimensionWarehouse.offsets`."""
        return self._hits.offsets(topic)

    def store(self, rows: DimensionRows, ranges: Sequence[OffsetRange]) -> None:
        """See `DimensionWarehouse.store`. Until it returns, readers may see a part of the rows."""
        with self._hits.writing() as client:
            offsets = self._hits.offsets_of(client)
            claim = offsets.claim(ranges)
            if claim.done:
                return
            for table in TABLES:
                column, discarded = table.discarded(rows)
                if discarded:
                    older = {"keys": discarded, "version": claim.number}
                    where = f"{column} IN {{keys:Array(String)}} AND version < {{version:UInt64}}"
                    client.command(f"DELETE FROM {table.name} WHERE {where}", parameters=older)  # noqa: S608 - constants
            for table, found in new_rows(rows):
                version = pa.array([claim.number] * found.num_rows, pa.uint64())
                client.insert_arrow(table.name, found.append_column("version", version), settings=PLAIN_INSERT)
            offsets.check(claim)
            offsets.finish(claim)


def _create(table: DimensionTable) -> Iterator[str]:
    """Yield the statements that make the table, if it is not there, and the view."""
    columns = ", ".join(
        f"{name} {(_KEY_TYPES if name in table.key else _TYPES)[kind]}" for name, kind in table.columns.items()
    )
    yield (
        f"CREATE TABLE IF NOT EXISTS {table.name} ({columns}, version UInt64) "
        f"ENGINE = ReplacingMergeTree(version) ORDER BY ({', '.join(table.key)})"
    )
    yield (
        f"CREATE OR REPLACE VIEW {table.view} AS SELECT {', '.join(table.columns)} FROM {table.name} FINAL"  # noqa: S608 - constants
        f"{table.shown(' FINAL')}"
    )
