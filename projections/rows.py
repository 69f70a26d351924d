"""The rows that a batch of facts touches: loaded once, folded in memory, written back in bulk.

A SELECT and an UPDATE per fact would cost a rebuild of a long log hours; facts of one test come in runs, so most of
them find their row in memory.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeAlias

from sqlalchemy import Connection, Table, bindparam, delete, insert, select, update

StoredRow: TypeAlias = dict[str, Any]

_KEYS_A_SELECT = 500


class KeyedRows:
    """The rows of `keys` in a table whose primary key is the column `key`.

    Rows handed out are changed in place; `write` finds out which ones were.
    """

    def __init__(self, connection: Connection, table: Table, keys: Iterable[str]) -> None:
        self._connection = connection
        self._table = table
        self._stored: dict[str, StoredRow] = {}
        for some in _chunks(sorted(set(keys)), _KEYS_A_SELECT):
            found = connection.execute(select(table).where(table.c.key.in_(some))).mappings()
            self._stored.update((row["key"], dict(row)) for row in found)
        self._rows: dict[str, StoredRow] = {key: dict(row) for key, row in self._stored.items()}

    def get(self, key: str) -> StoredRow | None:
        """Return the row of `key` to be read and changed, None if there is none."""
        return self._rows.get(key)

    def put(self, row: StoredRow) -> StoredRow:
        """Make `row`, with all its columns, the row of its key."""
        self._rows[row["key"]] = row
        return row

    def remove(self, key: str) -> None:
        """Remove the row of `key`, if there is one."""
        self._rows.pop(key, None)

    def write(self) -> None:
        """Write all that changed since the rows were loaded."""
        gone = [{"at_key": key} for key in self._stored if key not in self._rows]
        new = [row for key, row in self._rows.items() if key not in self._stored]
        changed = [row for key, row in self._rows.items() if key in self._stored and row != self._stored[key]]
        at_key = self._table.c.key == bindparam("at_key")
        if gone:
            self._connection.execute(delete(self._table).where(at_key), gone)
        if new:
            self._connection.execute(insert(self._table), new)
        if changed:
            columns: dict[str, Any] = {name: bindparam(name) for name in self._table.c.keys() if name != "key"}  # noqa: SIM118 - a ColumnCollection iterates over columns
            statement = update(self._table).where(at_key).values(columns)
            self._connection.execute(statement, [{"at_key": row["key"], **row} for row in changed])


def _chunks(items: Sequence[str], size: int) -> Iterator[list[str]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
