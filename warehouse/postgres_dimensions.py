"""The dimensions in PostgreSQL, in the database of the hits."""

from collections.abc import Mapping, Sequence
from typing import Final

from warehouse.dimension_tables import TABLES, is_of_an_older_release, new_rows
from warehouse.dimensions import DimensionRows
from warehouse.hit_accounting import hit_accounting
from warehouse.hits import OffsetRange
from warehouse.postgres_hits import PostgresHits, move_offset

_TABLE_NAMES: Final = "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"


class PostgresDimensions:
    """A `warehouse.dimensions.DimensionWarehouse` beside the hits of `hits`, whose owner closes it."""

    def __init__(self, hits: PostgresHits) -> None:
        self._hits = hits

    def prepare(self, topic: str) -> None:
        """See `DimensionWarehouse.prepare`."""
        self._hits.prepare()
        with self._hits.transaction() as connection:
            if is_of_an_older_release([name for (name,) in connection.execute(_TABLE_NAMES).fetchall()]):
                connection.execute("DELETE FROM hit_offsets WHERE topic = %s", [topic])
            for table in TABLES:
                for statement in table.create():
                    connection.execute(statement.encode())
                key = ", ".join(table.key)
                connection.execute(
                    f"CREATE UNIQUE INDEX IF NOT EXISTS {table.name}_key ON {table.name} ({key})".encode()
                )
            connection.execute(hit_accounting(day="({} AT TIME ZONE 'UTC')::date").encode())

    def offsets(self, topic: str) -> Mapping[int, int]:
        """See `DimensionWarehouse.offsets`."""
        return self._hits.offsets(topic)

    def store(self, rows: DimensionRows, ranges: Sequence[OffsetRange]) -> None:
        """See `DimensionWarehouse.store`."""
        with self._hits.transaction() as connection:
            for part in ranges:
                move_offset(connection, part)
            for table in TABLES:
                column, discarded = table.discarded(rows)
                if discarded:
                    query = f"DELETE FROM {table.name} WHERE {column} = ANY(%s)"  # noqa: S608 - constants
                    connection.execute(query.encode(), [discarded])
            for table, found in new_rows(rows):
                connection.execute(f"CREATE TEMPORARY TABLE new_rows (LIKE {table.name}) ON COMMIT DROP".encode())
                with connection.cursor() as cursor, cursor.copy("COPY new_rows FROM STDIN") as copy:
                    for row in found.to_pylist():
                        copy.write_row(list(row.values()))
                for statement in table.replace():
                    connection.execute(statement.encode())
                connection.execute("DROP TABLE new_rows")
