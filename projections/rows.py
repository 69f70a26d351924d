"""The rows that a batch of facts touches: loaded once, folded in memory, written back in bulk.

A SELECT and an UPDATE per fact would cost a rebuild of a long log hours; facts of one test come in runs, so most of
them find their row in memory. What is left is the price of a row on its way to the database, and there SQLAlchemy's
care for each value costs more than the database does: so rows go to the driver as tuples, by `executemany` on SQLite
and by binary COPY on PostgreSQL. How a value is stored is still the business of its column's type alone.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeAlias

import msgspec
from sqlalchemy import BigInteger, Boolean, Connection, Float, Integer, Table, Text

from events.database import UtcDateTime
from events.errors import DatabaseUnavailable
from projections.json_text import write_json

StoredRow: TypeAlias = dict[str, Any]

_Convert: TypeAlias = Callable[[Any], Any]


class KeyedRows:
    """The rows of `keys` in a table whose primary key is the column `key`.

    Rows handed out are changed in place; `write` finds out which ones were. Anything else than a text in a column of
    texts is stored as its JSON, which is made once, however often a batch changes it.
    """

    def __init__(self, connection: Connection, table: Table, keys: Iterable[str]) -> None:
        self._connection = connection
        self._table = table
        self._stored = {row["key"]: row for row in _rows_of(connection, table, set(keys))}
        self._rows: dict[str, StoredRow] = {key: row.copy() for key, row in self._stored.items()}

    def get(self, key: str) -> StoredRow | None:
        """Return the row of `key` to be read and changed, None if there is none."""
        return self._rows.get(key)

    def rows(self) -> list[StoredRow]:
        """Return all of them, to be read and changed."""
        return list(self._rows.values())

    def put(self, row: StoredRow) -> StoredRow:
        """Make `row`, with all its columns, the row of its key."""
        self._rows[row["key"]] = row
        return row

    def remove(self, key: str) -> None:
        """Remove the row of `key`, if there is one."""
        self._rows.pop(key, None)

    def write(self) -> None:
        """Write all that changed since the rows were loaded."""
        form = _form(self._table, self._connection.dialect.name)
        for row in self._rows.values():
            for name in form.texts:
                if not isinstance(row[name], str) and row[name] is not None:
                    row[name] = write_json(row[name])
        # A changed row is written anew: an UPDATE would have to be sent one row at a time.
        new = [row for key, row in self._rows.items() if self._stored.get(key) != row]
        old = [row["key"] for row in new if row["key"] in self._stored]
        old += [key for key in self._stored if key not in self._rows]
        if old:
            _delete_rows(self._connection, self._table, old)
        insert_rows(self._connection, self._table, [tuple(row[name] for name in form.names) for row in new])


def insert_rows(connection: Connection, table: Table, rows: Sequence[Sequence[Any]]) -> None:
    """Insert `rows`, each with a value for every column, in the order of the columns.

    Raises:
        DatabaseUnavailable: PostgreSQL went away.
        sqlalchemy.exc.DBAPIError: SQLite refused them.
        psycopg.Error: PostgreSQL refused them.
        OverflowError: a number is too large for its column.
    """
    if not rows:
        return
    form = _form(table, connection.dialect.name)
    stored: Iterable[Sequence[Any]] = form.stored(rows)
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" * len(form.names))
        connection.exec_driver_sql(f"INSERT INTO {form.table} VALUES ({marks})", list(stored))  # noqa: S608 - a name of ours
        return
    cursor: Any = connection.connection.cursor()
    # In binary: as text, a row took us three times as long to write, and the server longer to read (*measured*).
    statement = f"COPY {form.table} ({form.columns}) FROM STDIN (FORMAT binary)"
    with _named_outages(connection), cursor, cursor.copy(statement) as copy:
        copy.set_types(form.types)
        for row in stored:
            copy.write_row(row)


def _rows_of(connection: Connection, table: Table, keys: Collection[str]) -> Iterator[StoredRow]:
    form = _form(table, connection.dialect.name)
    statement = f"SELECT {form.columns} FROM {form.table} WHERE {form.key_is_one_of}"  # noqa: S608 - names of ours
    cursor: Any = connection.exec_driver_sql(statement, (form.key_list(sorted(keys)),)).cursor
    for row in form.loaded(cursor.fetchall()):
        yield dict(zip(form.names, row, strict=True))


def _delete_rows(connection: Connection, table: Table, keys: Collection[str]) -> None:
    form = _form(table, connection.dialect.name)
    statement = f"DELETE FROM {form.table} WHERE {form.key_is_one_of}"  # noqa: S608 - a name of ours
    connection.exec_driver_sql(statement, (form.key_list(list(keys)),))


@contextmanager
def _named_outages(connection: Connection) -> Iterator[None]:
    """Name what SQLAlchemy does not see, because the driver is spoken to directly."""
    driver: Any = connection.dialect.loaded_dbapi
    try:
        yield
    except (driver.OperationalError, driver.InterfaceError) as error:
        raise DatabaseUnavailable(str(error)) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """What a table and its rows look like to a driver.

    Attributes:
        table: its name, quoted.
        columns: the names of its columns, quoted, in order.
        names: the same, as they are.
        texts: those of them that hold texts.
        types: of all columns, as PostgreSQL calls them.
        to_store: for each column that needs it, by its place, how a value becomes the driver's.
        to_load: and back.
        key_is_one_of: the condition that takes one parameter, a list of keys as `key_list` makes it.
    """

    table: str
    columns: str
    names: tuple[str, ...]
    texts: tuple[str, ...]
    types: tuple[str, ...]
    to_store: tuple[tuple[int, _Convert], ...]
    to_load: tuple[tuple[int, _Convert], ...]
    key_is_one_of: str
    key_list: Callable[[list[str]], Any]

    def stored(self, rows: Iterable[Sequence[Any]]) -> Iterable[Sequence[Any]]:
        return _converted(rows, self.to_store) if self.to_store else rows

    def loaded(self, rows: Iterable[Sequence[Any]]) -> Iterable[Sequence[Any]]:
        return _converted(rows, self.to_load) if self.to_load else rows


def _converted(rows: Iterable[Sequence[Any]], converts: Sequence[tuple[int, _Convert]]) -> Iterable[Sequence[Any]]:
    """Return the rows with some columns converted: column by column, which costs a third of going row by row."""
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
    if not columns:
        return ()
    for place, convert in converts:
        columns[place] = [None if value is None else convert(value) for value in columns[place]]
    return zip(*columns, strict=True)


_write_json = msgspec.json.Encoder().encode
_LENGTH_WITH_MICROSECONDS = len('"2026-05-03T14:05:07.123456Z"')


def text_of_moment(moment: datetime) -> str:
    """Return the moment as SQLAlchemy writes it: UTC without a zone, always six digits after the seconds.

    By way of JSON, which msgspec writes in a third of the time that `datetime.isoformat` takes.
    """
    text = _write_json(moment if moment.tzinfo is UTC else moment.astimezone(UTC)).decode()
    if len(text) == _LENGTH_WITH_MICROSECONDS:
        return f"{text[1:11]} {text[12:27]}"
    return f"{text[1:11]} {text[12:20]}.000000"


def moment_of_text(text: str) -> datetime:
    """Return the moment that SQLite keeps as text."""
    return datetime.fromisoformat(text + "+00:00")


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def _four_bytes(number: int) -> int:
    """Return the number if PostgreSQL's integers hold it. In binary, the driver would send its last four bytes."""
    if not -(2**31) <= number < 2**31:
        raise OverflowError(f"{number} is out of range for a column of integers")
    return number


_POSTGRES_TYPES: dict[type, str] = {
    BigInteger: "int8",
    Boolean: "bool",
    Float: "float8",
    Integer: "int4",
    Text: "text",
    UtcDateTime: "timestamptz",
}
_TO_STORE: dict[str, dict[type, _Convert]] = {
    "sqlite": {UtcDateTime: text_of_moment},
    "postgresql": {Integer: _four_bytes},
}
_TO_LOAD: dict[str, dict[type, _Convert]] = {
    "sqlite": {UtcDateTime: moment_of_text, Boolean: bool},
    "postgresql": {UtcDateTime: _utc},
}


@lru_cache(maxsize=256)
def _form(table: Table, dialect: str) -> _Form:
    def converts(known: dict[type, _Convert]) -> tuple[tuple[int, _Convert], ...]:
        return tuple(
            (place, known[type(column.type)])
            for place, column in enumerate(table.columns)
            if type(column.type) in known
        )

    names = tuple(column.name for column in table.columns)
    on_sqlite = dialect == "sqlite"
    return _Form(
        table=f'"{table.name}"',
        columns=", ".join(f'"{name}"' for name in names),
        names=names,
        texts=tuple(column.name for column in table.columns if isinstance(column.type, Text)),
        types=tuple(_POSTGRES_TYPES[type(column.type)] for column in table.columns),
        to_store=converts(_TO_STORE[dialect]),
        to_load=converts(_TO_LOAD[dialect]),
        key_is_one_of="key IN (SELECT value FROM json_each(?))" if on_sqlite else "key = ANY(%s)",
        key_list=json.dumps if on_sqlite else list,
    )
