"""The warehouse in DuckDB: one file, one process.

DuckDB lets one process in at a time, readers included. Threads share the database through a cursor each; another part
of the program that wants to ask shares this object, or takes a cursor from it.

Why no PRIMARY KEY: its index in memory grows with the table and made a batch 1.7 times dearer after two million rows.
`hit_id` is a UUIDv7, stored as UUID: later hits have higher ids, so DuckDB's min-max statistics leave only the newest
row groups to be looked at for ids that are there already, and that look costs the same however large the table is
(measured: as fast as an insert that looks at nothing). Ids that are not in the order of time are found as well, slower.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

import duckdb
import numpy as np
import pyarrow as pa
from duckdb import DuckDBPyConnection
from numpy.typing import NDArray

from warehouse.errors import (
    Fenced,
    WarehouseDown,
    WarehouseError,
    WarehouseLocked,
    WarehouseRefused,
    WarehouseTooNew,
)
from warehouse.hit_ids import is_first, uuid_array, uuid_bytes
from warehouse.hits import COLUMNS, HITS_SCHEMA, SCHEMA_VERSION, HitsPerVariant, OffsetRange, chosen

_Answer = TypeVar("_Answer")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_TABLES: Final = """
    CREATE TABLE IF NOT EXISTS hit_warehouse (version INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS hit_offsets (
        topic VARCHAR NOT NULL, "partition" INTEGER NOT NULL, next_offset BIGINT NOT NULL,
        PRIMARY KEY (topic, "partition")
    );
    CREATE TABLE IF NOT EXISTS hits (
        hit_id UUID NOT NULL, occurred_at TIMESTAMPTZ NOT NULL, test_key VARCHAR NOT NULL,
        settings_group INTEGER NOT NULL, variant VARCHAR NOT NULL, unit_type VARCHAR NOT NULL,
        unit_id VARCHAR NOT NULL, split_group INTEGER NOT NULL, environment VARCHAR NOT NULL,
        platform VARCHAR NOT NULL, country VARCHAR NOT NULL, app VARCHAR NOT NULL, host VARCHAR NOT NULL,
        forced BOOLEAN NOT NULL, sdk_version VARCHAR NOT NULL, attributes VARCHAR NOT NULL
    );
"""

# docs/bi.md has their meaning. The day is taken of microseconds: the zone of the reader's session must not move it.
_VIEWS: Final = """
    CREATE OR REPLACE VIEW exposures AS
    SELECT test_key, settings_group, environment, unit_type, unit_id,
           arg_min(variant, (occurred_at, hit_id)) AS variant, min(occurred_at) AS exposed_at,
           count(*) AS hits, count(DISTINCT variant) AS variants
    FROM hits WHERE NOT forced
    GROUP BY test_key, settings_group, environment, unit_type, unit_id;

    CREATE OR REPLACE VIEW hits_per_day AS
    SELECT make_timestamp(epoch_us(occurred_at))::DATE AS day, test_key, settings_group, variant, environment,
           count(*) AS hits, count(DISTINCT (unit_type, unit_id)) AS units
    FROM hits WHERE NOT forced
    GROUP BY ALL;
"""

# Nearly always nothing is known, and an insert of all rows as they are costs half of one that has to choose (measured).
_KNOWN: Final = "SELECT new.place FROM hits AS old JOIN new_ids AS new ON new.hit_id = old.hit_id"
_INSERT: Final = "INSERT INTO hits SELECT * FROM new_hits"

# What is left of a batch beyond a whole row group is one of its own, and lies in the file already. At every checkpoint,
# DuckDB would write whole groups once more to have fewer of them: as dear as the insert, and the file twice as large
# (measured). Groups whose hits are all deleted are let go of without that.
_NO_MERGING: Final = "SET max_vacuum_tasks = 0"

# Moments are fetched as microseconds: for TIMESTAMPTZ itself DuckDB's Python client wants the package pytz.
_PER_VARIANT: Final = """
    SELECT test_key, settings_group, variant, environment, count(*), count(DISTINCT (unit_type, unit_id)),
           epoch_us(min(occurred_at)), epoch_us(max(occurred_at))
    FROM hits WHERE $key IS NULL OR test_key = $key
    GROUP BY ALL ORDER BY ALL
"""


class DuckDbHits:
    """A `warehouse.hits.HitWarehouse` in a DuckDB file, or in a database that the process has open already."""

    def __init__(self, database: Path | DuckDBPyConnection) -> None:
        """Nothing is opened here; a path is opened at first use, a connection stays its owner's to close."""
        self._path = database if isinstance(database, Path) else None
        self._connection = None if isinstance(database, Path) else database
        self._opening = threading.Lock()
        self._storing = threading.Lock()
        self._threads = threading.local()

    def cursor(self) -> DuckDBPyConnection:
        """Return this thread's cursor on the database, for queries of other parts of the program.

        Raises:
            WarehouseLocked: another process holds the file.
            WarehouseDown: the file cannot be opened.
        """
        cursor: DuckDBPyConnection | None = getattr(self._threads, "cursor", None)
        if cursor is None:
            cursor = self._threads.cursor = self._open().cursor()
        return cursor

    def prepare(self) -> None:
        """See `HitWarehouse.prepare`."""
        with self._storing, self.transaction() as cursor:
            cursor.execute(_TABLES)
            versions = cursor.execute("SELECT version FROM hit_warehouse").fetchall()
            if not versions:
                cursor.execute("INSERT INTO hit_warehouse VALUES (?)", [SCHEMA_VERSION])
            elif versions[0][0] > SCHEMA_VERSION:
                raise WarehouseTooNew(versions[0][0], SCHEMA_VERSION)
            elif versions[0][0] < SCHEMA_VERSION:
                cursor.execute("UPDATE hit_warehouse SET version = ?", [SCHEMA_VERSION])
            cursor.execute(_VIEWS)

    def ping(self) -> None:
        """See `HitWarehouse.ping`."""
        self._ask(lambda cursor: cursor.execute("SELECT 1").fetchall())

    def offsets(self, topic: str) -> Mapping[int, int]:
        """See `HitWarehouse.offsets`."""
        query = 'SELECT "partition", next_offset FROM hit_offsets WHERE topic = ?'
        return dict(self._ask(lambda cursor: cursor.execute(query, [topic]).fetchall()))

    def forget_offsets(self, topic: str) -> None:
        """See `HitWarehouse.forget_offsets`."""
        with self._storing, self.transaction() as cursor:
            cursor.execute("DELETE FROM hit_offsets WHERE topic = ?", [topic])

    def store(self, hits: pa.Table, ranges: Sequence[OffsetRange]) -> int:
        """See `HitWarehouse.store`."""
        with self._storing, self.transaction() as cursor:
            for part in ranges:
                move_offset(cursor, part)
            return _insert(cursor, hits.select(COLUMNS).cast(HITS_SCHEMA)) if hits.num_rows else 0

    def hits_per_variant(self, key: str | None = None) -> list[HitsPerVariant]:
        """See `HitWarehouse.hits_per_variant`."""
        rows = self._ask(lambda cursor: cursor.execute(_PER_VARIANT, {"key": key}).fetchall())
        return [
            HitsPerVariant(
                test_key=row[0],
                settings_group=row[1],
                variant=row[2],
                environment=row[3],
                hits=row[4],
                units=row[5],
                first_at=_moment(row[6]),
                last_at=_moment(row[7]),
            )
            for row in rows
        ]

    def forget_hits(self, before: datetime) -> int:
        """See `HitRetention.forget_hits`."""
        microseconds = (before - _EPOCH) // timedelta(microseconds=1)
        with self._storing, self.transaction() as cursor:
            deleted = cursor.execute("DELETE FROM hits WHERE occurred_at < make_timestamptz(?)", [microseconds])
            counted = deleted.fetchone()
            return int(counted[0]) if counted else 0

    def close(self) -> None:
        """See `HitWarehouse.close`. A connection that was handed in stays open."""
        with self._opening:
            self._threads = threading.local()
            if self._path is not None and self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> DuckDBPyConnection:
        with self._opening:
            if self._connection is None:
                path = str(self._path)
                try:
                    self._connection = duckdb.connect(path)
                    self._connection.execute(_NO_MERGING)
                except duckdb.IOException as error:
                    raise WarehouseLocked(path) if "lock" in str(error) else WarehouseDown(str(error)) from error
            return self._connection

    @contextmanager
    def transaction(self) -> Iterator[DuckDBPyConnection]:
        """Run the block in a transaction on this thread's cursor; DuckDB's errors become this room's."""
        cursor = self.cursor()
        with self._translated():
            cursor.begin()
            try:
                yield cursor
                cursor.commit()
            except BaseException:
                _roll_back(cursor)
                raise

    def _ask(self, question: Callable[[DuckDBPyConnection], _Answer]) -> _Answer:
        cursor = self.cursor()
        with self._translated():
            return question(cursor)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except WarehouseError:
            raise
        except duckdb.FatalException as error:
            # A write failed halfway (a full disk): DuckDB closes its mind until the file is opened anew.
            self._reopen()
            raise WarehouseDown(f"DuckDB gave up its file, it is opened anew at the next try: {error}") from error
        except duckdb.OperationalError as error:
            raise WarehouseDown(f"DuckDB cannot store or answer now: {error}") from error
        except duckdb.Error as error:
            raise WarehouseRefused(f"DuckDB refused: {error}") from error

    def _reopen(self) -> None:
        if self._path is not None:
            self.close()


def move_offset(cursor: DuckDBPyConnection, part: OffsetRange) -> None:
    """Move the offset within the cursor's transaction, or raise `Fenced`."""
    where = 'WHERE topic = ? AND "partition" = ?'
    row = cursor.execute(f"SELECT next_offset FROM hit_offsets {where}", [part.topic, part.partition]).fetchone()  # noqa: S608 - a constant
    if row is None:
        cursor.execute("INSERT INTO hit_offsets VALUES (?, ?, ?)", [part.topic, part.partition, part.next])
    elif row[0] != part.first:
        raise Fenced(part.topic, part.partition, expected=part.first, stored=row[0])
    else:
        cursor.execute(f"UPDATE hit_offsets SET next_offset = ? {where}", [part.next, part.topic, part.partition])  # noqa: S608 - a constant


def _insert(cursor: DuckDBPyConnection, hits: pa.Table) -> int:
    ids = uuid_bytes(hits["hit_id"])
    new = is_first(ids)
    new[_known(cursor, ids)] = False
    if not new.all():
        hits, ids = chosen(hits, new), ids[new]
    if len(ids):
        with _registered(cursor, "new_hits", hits.set_column(0, "hit_id", uuid_array(ids))):
            cursor.execute(_INSERT)
    return len(ids)


def _known(cursor: DuckDBPyConnection, ids: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the places of the ids that are stored already."""
    places = np.arange(len(ids))
    with _registered(cursor, "new_ids", pa.table({"hit_id": uuid_array(ids), "place": places})):
        found: NDArray[np.int64] = cursor.execute(_KNOWN).fetchnumpy()["place"]
    return found


@contextmanager
def _registered(cursor: DuckDBPyConnection, name: str, table: pa.Table) -> Iterator[None]:
    cursor.register(name, table)
    try:
        yield
    finally:
        cursor.unregister(name)


def _roll_back(cursor: DuckDBPyConnection) -> None:
    try:
        cursor.rollback()
    except duckdb.Error:
        # The commit itself failed, and DuckDB has rolled back already: the first error is the one to tell.
        return


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
