"""Users from a file into ClickHouse, and split groups for those who have none.

ClickHouse neither updates a row quickly nor has transactions. So what is new is put into a table beside the one in use,
both are merged into a third one, and this takes the place of the one in use in one step: a reader sees all of an import
or nothing of it, and one that was killed has changed nothing. What such a one left behind is cleared away a day later.
"""

import re
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import pyarrow as pa

from warehouse.clickhouse_users import ClickHouseUsers, quoted
from warehouse.errors import WarehouseRefused
from warehouse.split_group_backfill import Progress, draw_split_groups, untold
from warehouse.users_file import UsersFile

_TYPES: Final = {
    "BOOLEAN": "Bool",
    "TINYINT": "Int8",
    "SMALLINT": "Int16",
    "INTEGER": "Int32",
    "BIGINT": "Int64",
    "UTINYINT": "UInt8",
    "USMALLINT": "UInt16",
    "UINTEGER": "UInt32",
    "UBIGINT": "UInt64",
    "FLOAT": "Float32",
    "DOUBLE": "Float64",
    "VARCHAR": "String",
    "UUID": "UUID",
    "DATE": "Date32",
    "TIMESTAMP": "DateTime64(6, 'UTC')",
    "TIMESTAMP WITH TIME ZONE": "DateTime64(6, 'UTC')",
}
_LINE: Final = "usersplit_line"
_MARK: Final = "_usersplit_"
_LEFT_BEHIND_AFTER_SECONDS: Final = 86_400
# More than this is sorted on the disk, so that ten million users do not ask for the server's memory.
_MOST_BYTES_GROUPED: Final = 2 * 2**30


def import_into_clickhouse(
    database: ClickHouseUsers,
    path: Path,
    *,
    table: str,
    id_column: str,
    split_group: str,
    batch_users: int = 500_000,
    progress: Progress = untold,
) -> int:
    """Import the users in the file `path` all at once, and return how many lines it has.

    The table is made if it is not there. Columns and split groups are treated as `warehouse.users_import` says; for a
    new user, a column that the file lacks gets the table's own default.

    Raises:
        WarehouseRefused: the file or the table does not fit, or somebody else wrote meanwhile; nothing is changed.
        WarehouseDown: ClickHouse cannot write; run it again.
    """
    with closing(UsersFile(path, id_column, split_group)) as export:
        made = ", ".join(
            f"{quoted(name)} {_type(kind) if name == id_column else f'Nullable({_type(kind)})'}"
            for name, kind in export.types.items()
            if name != split_group
        )
        database.write(
            f"CREATE TABLE IF NOT EXISTS {quoted(table)} ({made}, {quoted(split_group)} Nullable(Int16)) "
            f"ENGINE = MergeTree ORDER BY {quoted(id_column)}"
        )
        renewal = _Renewal(database, table, id_column=id_column, split_group=split_group)
        try:
            renewal.begin(export.names)
            for batch in export.batches(batch_users):
                renewal.stage(batch)
                progress(min(renewal.lines, export.total), export.total)
            if renewal.lines:
                renewal.finish()
            progress(export.total, export.total)
        finally:
            renewal.clear()
        return export.total


def backfill_clickhouse(
    database: ClickHouseUsers,
    table: str,
    *,
    id_column: str,
    split_group: str,
    batch_users: int = 500_000,
    progress: Progress = untold,
) -> int:
    """Draw a split group for every user of `table` without one (or with 0), all at once; return how many there were.

    Raises:
        WarehouseRefused: the table is of an engine whose tables cannot be exchanged, or somebody else wrote meanwhile.
        WarehouseDown: ClickHouse cannot write; run it again. Nothing is changed.
    """
    renewal = _Renewal(database, table, id_column=id_column, split_group=split_group)
    without = f"FROM {quoted(table)} WHERE ifNull({quoted(split_group)}, 0) = 0"
    total = int(database.listed(f"SELECT count() {without}")[0][0])
    if not total:
        return 0
    try:
        renewal.begin([id_column, split_group])
        for ids in database.batches(f"SELECT {quoted(id_column)} {without}", batch_rows=batch_users):
            drawn = pa.array(draw_split_groups(ids.num_rows))
            renewal.stage(pa.Table.from_arrays([ids.column(0), drawn], names=[id_column, split_group]))
            progress(min(renewal.lines, total), total)
        renewal.finish()
    finally:
        renewal.clear()
    return renewal.lines


class _Renewal:
    """A users table that is made anew beside the one in use, and takes its place.

    Attributes:
        lines: how many were staged.
    """

    def __init__(self, database: ClickHouseUsers, table: str, *, id_column: str, split_group: str) -> None:
        self.lines = 0
        self._database = database
        self._table = table
        self._id = id_column
        self._split_group = split_group
        ((run,),) = database.listed("SELECT lower(hex(generateUUIDv4()))")
        name = f"{table}{_MARK}{run}"
        self._staged, self._renewed = f"{name}_staged", f"{name}_renewed"
        self._names: Sequence[str] = ()
        self._staging: Sequence[str] = ()
        self._seen = ""

    def begin(self, names: Sequence[str]) -> None:
        """Make the table for what is new: lines with the columns `names`.

        Raises:
            WarehouseRefused: the users table lacks one of them, or is no MergeTree of one server.
        """
        self._clear_left_behind()
        engine = self._engine()
        if not engine.endswith("MergeTree") or engine.startswith("Replicated"):
            raise WarehouseRefused(
                f"{self._table} has the engine {engine}; users are imported into a MergeTree of one server. Insert "
                "them with ClickHouse's own tools, and give each row a split group as docs/audience.md shows"
            )
        described = self._database.listed(f"DESCRIBE TABLE {quoted(self._table)}")
        self._names = [str(name) for name, _, kind, *_ in described if kind not in {"MATERIALIZED", "ALIAS"}]
        if lacking := [name for name in names if name not in self._names]:
            raise WarehouseRefused(
                f"{self._table} has no column {', '.join(lacking)}; add it, or leave it out of the file"
            )
        self._staging = names
        self._seen = self._fingerprint()
        self._database.write(f"CREATE TABLE {quoted(self._staged)} AS {quoted(self._table)}")
        self._database.write(f"ALTER TABLE {quoted(self._staged)} ADD COLUMN {_LINE} UInt64")

    def stage(self, batch: pa.Table) -> None:
        """Put lines beside the users; the last one of a user counts."""
        numbers = pa.array(range(self.lines + 1, self.lines + batch.num_rows + 1), pa.uint64())
        self._database.insert(self._staged, batch.append_column(_LINE, numbers))
        self.lines += batch.num_rows

    def finish(self) -> None:
        """Merge users and lines, and let the merged table take the place of the one in use.

        Raises:
            WarehouseRefused: somebody else changed the users since `begin`.
        """
        names = ", ".join(map(quoted, self._names))
        kept = ", ".join(self._kept(name) for name in self._names)
        self._database.write(f"CREATE TABLE {quoted(self._renewed)} AS {quoted(self._table)}")
        self._database.write(
            f"INSERT INTO {quoted(self._renewed)} ({names}) SELECT {kept} FROM ("  # noqa: S608 - names of columns only
            f"SELECT {names}, toUInt64(0) AS {_LINE} FROM {quoted(self._table)} "
            f"UNION ALL SELECT {names}, {_LINE} FROM {quoted(self._staged)}) GROUP BY {quoted(self._id)} "
            f"SETTINGS max_bytes_before_external_group_by = {_MOST_BYTES_GROUPED}"
        )
        if self._fingerprint() != self._seen:
            raise WarehouseRefused(f"somebody else changed {self._table} meanwhile; nothing was imported, run it again")
        self._database.write(f"EXCHANGE TABLES {quoted(self._table)} AND {quoted(self._renewed)}")

    def clear(self) -> None:
        """Drop the tables beside the users."""
        for each in (self._staged, self._renewed):
            self._database.write(f"DROP TABLE IF EXISTS {quoted(each)}")

    def _kept(self, name: str) -> str:
        """Return which value of a column counts. Aggregates pass over NULL, so values travel in tuples."""
        column = quoted(name)
        if name == self._id:
            return column
        if name == self._split_group:  # for good: the user's own, then the new one
            return f"argMinIf(tuple({column}), {_LINE}, ifNull({column}, 0) != 0).1"
        return f"{'argMax' if name in self._staging else 'argMin'}(tuple({column}), {_LINE}).1"

    def _fingerprint(self) -> str:
        asked = f"SELECT count(), groupBitXor(cityHash64(tuple(*))) FROM {quoted(self._table)}"  # noqa: S608 - a name
        return str(self._database.listed(asked))

    def _engine(self) -> str:
        database, name = self._place()
        asked = f"SELECT engine FROM system.tables WHERE database = {database} AND name = {_text(name)}"  # noqa: S608 - quoted
        return "".join(str(engine) for (engine,) in self._database.listed(asked))

    def _place(self) -> tuple[str, str]:
        """Return the database, as an expression, and the table's name in it."""
        database, _, name = self._table.rpartition(".")
        return _text(database) if database else "currentDatabase()", name

    def _clear_left_behind(self) -> None:
        database, name = self._place()
        left = self._database.listed(
            f"SELECT name FROM system.tables WHERE database = {database} AND startsWith(name, {_text(name + _MARK)}) "  # noqa: S608 - quoted
            f"AND metadata_modification_time < now() - {_LEFT_BEHIND_AFTER_SECONDS}"
        )
        for (each,) in left:
            self._database.write(f"DROP TABLE IF EXISTS {quoted(self._table.removesuffix(name) + str(each))}")


def _type(kind: str) -> str:
    known = _TYPES.get(kind) or (kind.capitalize() if re.fullmatch(r"DECIMAL\(\d+,\d+\)", kind) else None)
    if known is None:
        raise WarehouseRefused(f"the file has a column of the type {kind}; leave it out, or make the users table first")
    return known


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
