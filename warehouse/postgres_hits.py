"""The warehouse in PostgreSQL: COPY straight into the table while all ids are new, by way of a staging table otherwise.

COPY alone cannot skip ids that are there already, and INSERT alone is an order of magnitude slower; COPY into a staging
table and INSERT … ON CONFLICT from there does the rows' work twice. But a hit that comes again is rare: a service's
retries are known to Kafka. So a batch goes straight into the table, within a savepoint; the first id that is there
already undoes it, and this batch and the next ones go by way of the staging table (what was undone is left to
autovacuum, so it must not happen often). `hit_id` is stored as uuid with a primary key; UUIDv7 puts new ids at the
index's right edge, so that its hot pages stay few.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Final, LiteralString

import polars as pl
import psycopg
import pyarrow as pa
from psycopg import Connection

from warehouse.errors import Fenced, WarehouseDown, WarehouseError, WarehouseRefused, WarehouseTooNew
from warehouse.hits import COLUMNS, HITS_SCHEMA, SCHEMA_VERSION, HitsPerVariant, OffsetRange
from warehouse.postgres_patience import cut_after

# Any number does that nobody else locks in this database; it keeps two processes from making the tables at once.
_PREPARING: Final = 0x75736572

_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS hit_warehouse (version integer NOT NULL)",
    """
    CREATE TABLE IF NOT EXISTS hit_offsets (
        topic text NOT NULL, partition integer NOT NULL, next_offset bigint NOT NULL, PRIMARY KEY (topic, partition)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS hits (
        hit_id uuid PRIMARY KEY, occurred_at timestamptz NOT NULL, test_key text NOT NULL,
        settings_group integer NOT NULL, variant text NOT NULL, unit_type text NOT NULL, unit_id text NOT NULL,
        split_group integer NOT NULL, environment text NOT NULL, platform text NOT NULL, country text NOT NULL,
        app text NOT NULL, host text NOT NULL, forced boolean NOT NULL, sdk_version text NOT NULL,
        attributes text NOT NULL
    )
    """,
    # A few kilobytes: hits lie in the table nearly in the order of time.
    "CREATE INDEX IF NOT EXISTS hits_occurred_at ON hits USING brin (occurred_at)",
)

# docs/bi.md has their meaning. The day is UTC's, whatever the zone of the reader's session.
_VIEWS: Final = (
    """
    CREATE OR REPLACE VIEW exposures AS
    SELECT test_key, settings_group, environment, unit_type, unit_id,
           (array_agg(variant ORDER BY occurred_at, hit_id))[1] AS variant, min(occurred_at) AS exposed_at,
           count(*) AS hits, count(DISTINCT variant) AS variants
    FROM hits WHERE NOT forced
    GROUP BY test_key, settings_group, environment, unit_type, unit_id
    """,
    """
    CREATE OR REPLACE VIEW hits_per_day AS
    SELECT (occurred_at AT TIME ZONE 'UTC')::date AS day, test_key, settings_group, variant, environment,
           count(*) AS hits, count(DISTINCT (unit_type, unit_id)) AS units
    FROM hits WHERE NOT forced
    GROUP BY 1, 2, 3, 4, 5
    """,
)

_STAGING: Final = "CREATE TEMPORARY TABLE IF NOT EXISTS new_hits (LIKE hits) ON COMMIT DELETE ROWS"
_COPY: Final = "COPY {table} FROM STDIN (FORMAT csv)"
# After an id that was there already: what delivers some hits twice (a replay, a service's spool) delivers more of them.
_STAGED_BATCHES: Final = 20
_INSERT: Final = "INSERT INTO hits SELECT * FROM new_hits ON CONFLICT (hit_id) DO NOTHING"

# One statement reads, compares and moves. Whoever comes second waits for the first one's commit and then finds the
# offset moved.
_MOVE: Final = """
    INSERT INTO hit_offsets AS stored (topic, partition, next_offset) VALUES (%(topic)s, %(partition)s, %(next)s)
    ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset
    WHERE stored.next_offset = %(first)s
"""
_STORED: Final = "SELECT next_offset FROM hit_offsets WHERE topic = %s AND partition = %s"

_PER_VARIANT: Final = """
    SELECT test_key, settings_group, variant, environment, count(*), count(DISTINCT (unit_type, unit_id)),
           min(occurred_at), max(occurred_at)
    FROM hits WHERE %(key)s::text IS NULL OR test_key = %(key)s::text
    GROUP BY 1, 2, 3, 4 ORDER BY test_key COLLATE "C", 2, variant COLLATE "C", environment COLLATE "C"
"""

_AWAY: Final = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.ReadOnlySqlTransaction)


class PostgresHits:
    """A `warehouse.hits.HitWarehouse` in a PostgreSQL database."""

    def __init__(self, url: str, *, timeout_seconds: float = 60.0) -> None:
        """Nothing is connected here. `url`: libpq's (`postgresql://…`) or SQLAlchemy's (`postgresql+psycopg://…`).

        After `timeout_seconds` the server ends a statement of the sink's, and a little later, if it does not even do
        that, the connection is cut. Reports may take as long as they need.
        """
        self._url = url.replace("postgresql+psycopg://", "postgresql://", 1)
        self._timeout_seconds = timeout_seconds
        self._storing = Lock()
        self._writer: Connection[Any] | None = None
        self._repeats = Repeats()

    def prepare(self) -> None:
        """See `HitWarehouse.prepare`."""
        # A connection without a limit: an index on a large table of an earlier release takes its time.
        with _translated(), self._connect() as connection, connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [_PREPARING])
            for statement in _TABLES:
                connection.execute(statement)
            row = connection.execute("SELECT version FROM hit_warehouse").fetchone()
            if row is None:
                connection.execute("INSERT INTO hit_warehouse VALUES (%s)", [SCHEMA_VERSION])
            elif row[0] > SCHEMA_VERSION:
                raise WarehouseTooNew(row[0], SCHEMA_VERSION)
            elif row[0] < SCHEMA_VERSION:
                connection.execute("UPDATE hit_warehouse SET version = %s", [SCHEMA_VERSION])
            for statement in _VIEWS:
                connection.execute(statement)

    def ping(self) -> None:
        """See `HitWarehouse.ping`."""
        self._ask("SELECT 1", [], timeout_seconds=self._timeout_seconds)

    def offsets(self, topic: str) -> Mapping[int, int]:
        """See `HitWarehouse.offsets`."""
        query = "SELECT partition, next_offset FROM hit_offsets WHERE topic = %s"
        return dict(self._ask(query, [topic], timeout_seconds=self._timeout_seconds))

    def forget_offsets(self, topic: str) -> None:
        """See `HitWarehouse.forget_offsets`."""
        with self._storing, self._writing() as connection, connection.transaction():
            connection.execute("DELETE FROM hit_offsets WHERE topic = %s", [topic])

    def store(self, hits: pa.Table, ranges: Sequence[OffsetRange]) -> int:
        """See `HitWarehouse.store`."""
        with self._storing, self._writing() as connection, connection.transaction():
            # Always in one order, so that two consumers that move the same partitions cannot deadlock.
            for part in sorted(ranges, key=lambda part: (part.topic, part.partition)):
                move_offset(connection, part)
            if not hits.num_rows:
                return 0
            return _insert(connection, hits.select(COLUMNS).cast(HITS_SCHEMA), self._repeats)

    def hits_per_variant(self, key: str | None = None) -> list[HitsPerVariant]:
        """See `HitWarehouse.hits_per_variant`."""
        return [
            HitsPerVariant(
                test_key=row[0],
                settings_group=row[1],
                variant=row[2],
                environment=row[3],
                hits=row[4],
                units=row[5],
                first_at=row[6].astimezone(UTC),
                last_at=row[7].astimezone(UTC),
            )
            for row in self._ask(_PER_VARIANT, {"key": key})
        ]

    def forget_hits(self, before: datetime) -> int:
        """See `HitRetention.forget_hits`."""
        with _translated(), self._connect() as connection:
            return connection.execute("DELETE FROM hits WHERE occurred_at < %s", [before]).rowcount

    def close(self) -> None:
        """See `HitWarehouse.close`."""
        with self._storing:
            self._let_go()

    @contextmanager
    def transaction(self) -> Iterator[Connection[Any]]:
        """Run the block in a transaction on a connection of its own; psycopg's errors become this room's."""
        seconds = self._timeout_seconds
        with (
            _translated(),
            self._connect(timeout_seconds=seconds) as connection,
            cut_after(connection, seconds),
            connection.transaction(),
        ):
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection[Any]]:
        with _translated():
            if self._writer is None:
                self._writer = self._connect(timeout_seconds=self._timeout_seconds)
                # The staging table of a large batch stays in memory; with the default of 8 MiB it goes to disk.
                self._writer.execute("SET temp_buffers = '64MB'")
            try:
                with cut_after(self._writer, self._timeout_seconds):
                    yield self._writer
            except _AWAY:
                self._let_go()
                raise

    def _connect(self, *, timeout_seconds: float = 0.0) -> Connection[Any]:
        connection = psycopg.connect(
            self._url, autocommit=True, connect_timeout=10, application_name="usersplit-warehouse"
        )
        # A statement's own limit, 0 for none; the connection is cut only where the server does not keep it.
        connection.execute("SELECT set_config('statement_timeout', %s, false)", [str(round(timeout_seconds * 1000))])
        return connection

    def _ask(
        self, query: str, parameters: Sequence[Any] | Mapping[str, Any], *, timeout_seconds: float = 0.0
    ) -> list[tuple[Any, ...]]:
        # A connection of its own: a report may take long, and the sink must not wait for it.
        with (
            _translated(),
            self._connect(timeout_seconds=timeout_seconds) as connection,
            cut_after(connection, timeout_seconds) if timeout_seconds else nullcontext(),
        ):
            return connection.execute(query, parameters).fetchall()

    def _let_go(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def move_offset(connection: Connection[Any], part: OffsetRange) -> None:
    """Move the offset within the connection's transaction, or raise `Fenced`."""
    values = {"topic": part.topic, "partition": part.partition, "first": part.first, "next": part.next}
    if connection.execute(_MOVE, values).rowcount != 1:
        row = connection.execute(_STORED, [part.topic, part.partition]).fetchone()
        raise Fenced(part.topic, part.partition, expected=part.first, stored=row[0] if row else None)


class Repeats:
    """Remembers whether ids came lately that were there already. `expected` batches go by way of the staging table."""

    def __init__(self) -> None:
        self.expected = 0


def _insert(connection: Connection[Any], hits: pa.Table, repeats: Repeats) -> int:
    frame = pl.from_arrow(hits)
    if not isinstance(frame, pl.DataFrame):
        raise WarehouseRefused("the hits are no table; hand in a pyarrow.Table of HITS_SCHEMA")
    # Partitions come in turns; sorted, nearly all ids go to the right edge of the key's index.
    frame = frame.sort("hit_id")
    frame = frame.filter(pl.col("hit_id").ne_missing(pl.col("hit_id").shift(1)))
    text = frame.write_csv(include_header=False)
    if not repeats.expected:
        with suppress(psycopg.errors.UniqueViolation), connection.transaction():
            _copy(connection, text, "hits")
            return frame.height
        repeats.expected = _STAGED_BATCHES
    repeats.expected -= 1
    connection.execute(_STAGING)
    _copy(connection, text, "new_hits")
    return connection.execute(_INSERT).rowcount


def _copy(connection: Connection[Any], text: str, table: LiteralString) -> None:
    with connection.cursor() as cursor, cursor.copy(_COPY.format(table=table)) as copy:
        copy.write(text)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except WarehouseError:
        raise
    except _AWAY as error:
        raise WarehouseDown(f"PostgreSQL cannot store or answer now: {error}") from error
    except psycopg.Error as error:
        raise WarehouseRefused(f"PostgreSQL refused: {error}") from error
