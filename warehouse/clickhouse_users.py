"""The users table in ClickHouse: a server at `clickhouse://…`, or the engine in this process (`chdb://memory`).

Parameters travel beside the statement, typed, and ClickHouse itself puts them in.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, Final

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.cc_sqlalchemy.dialect import ClickHouseDialect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError
from clickhouse_connect.driver.exceptions import Error as ClickHouseError

from warehouse.errors import WarehouseDown, WarehouseRefused
from warehouse.users import Statement

_DIALECT: Final[Any] = ClickHouseDialect(server_side_params=True)
# Conditions may hold 100,000 values; the limits meant for people at a console do not fit them.
_SETTINGS: Final = {"max_query_size": 64 * 2**20, "max_ast_elements": 2_000_000, "max_expanded_ast_elements": 4_000_000}


class ClickHouseUsers:
    """A `warehouse.users.UsersDatabase` in ClickHouse. Connections have no session, so threads may share one."""

    counts_nearby: Final = False

    def __init__(self, place: str | Client) -> None:
        """Connect at first use. `place` is a URL, or a client that is open already and stays its owner's to close."""
        self._url = place if isinstance(place, str) else ""
        self._client = None if isinstance(place, str) else place
        self._opening = Lock()

    @property
    def client(self) -> Client:
        """The connection, for the importer and other writers of this room."""
        if self._client is None:
            with self._opening, _translated():
                if self._client is None:
                    self._client = clickhouse_connect.get_client(dsn=self._url, autogenerate_session_id=False)
        return self._client

    def column_types(self, table: str) -> Mapping[str, str]:
        """See `UsersDatabase.column_types`. `Nullable` and `LowCardinality` are left out of the names."""
        if not self._exists(table):
            return {}
        with _translated():
            found = self.client.query(f"DESCRIBE TABLE {quoted(table)}").result_rows
        return {str(name): _bare(str(type_)) for name, type_, *_ in found}

    def expression_type(self, table: str, expression: str) -> str:
        """See `UsersDatabase.expression_type`."""
        with _translated():
            described = f"DESCRIBE (SELECT ({expression}) FROM {quoted(table)})"  # noqa: S608 - the operator's own file
            return _bare(str(self.client.query(described).result_rows[0][1]))

    def table(self, statement: Statement) -> pa.Table:
        """See `UsersDatabase.table`."""
        text, parameters = _compiled(statement)
        with _translated():
            return self.client.query_arrow(text, parameters=parameters, settings=_SETTINGS)

    def rows(self, statement: Statement) -> Sequence[tuple[Any, ...]]:
        """See `UsersDatabase.rows`."""
        text, parameters = _compiled(statement)
        with _translated():
            found = self.client.query(text, parameters=parameters, settings=_SETTINGS)
            return [tuple(row) for row in found.result_rows]

    def stream(self, statement: Statement, *, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """See `UsersDatabase.stream`."""
        text, parameters = _compiled(statement)
        settings = {**_SETTINGS, "max_block_size": batch_rows}
        with _translated(), self.client.query_arrow_stream(text, parameters=parameters, settings=settings) as batches:
            for batch in batches:
                yield from batch.to_batches(batch_rows) if isinstance(batch, pa.Table) else [batch]

    def write(self, statement: str) -> None:
        """Run a statement of this program's own, for the writers of this room.

        Raises:
            WarehouseError: ClickHouse does not answer, or refuses.
        """
        with _translated():
            self.client.command(statement)

    def listed(self, statement: str) -> Sequence[tuple[Any, ...]]:
        """Return the rows of a statement of this program's own.

        Raises:
            WarehouseError: as `write`.
        """
        with _translated():
            return [tuple(row) for row in self.client.query(statement).result_rows]

    def batches(self, statement: str, *, batch_rows: int) -> Iterator[pa.Table]:
        """Yield the rows of a statement of this program's own.

        Raises:
            WarehouseError: as `write`.
        """
        settings = {"max_block_size": batch_rows}
        with _translated(), self.client.query_arrow_stream(statement, settings=settings) as found:
            for batch in found:
                yield batch if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])

    def insert(self, table: str, rows: pa.Table) -> None:
        """Add rows to a table, by the names of their columns.

        Raises:
            WarehouseError: as `write`; some of the rows may be in the table.
        """
        with _translated():
            self.client.insert_arrow(quoted(table), rows)

    def close(self) -> None:
        """See `UsersDatabase.close`."""
        if self._url and self._client is not None:
            self._client.close()
            self._client = None

    def _exists(self, table: str) -> bool:
        with _translated():
            return bool(self.client.command(f"EXISTS TABLE {quoted(table)}"))


def quoted(table: str) -> str:
    """Return a table's name, `table` or `database.table`, as an identifier."""
    return ".".join("`" + part.replace("\\", "\\\\").replace("`", "\\`") + "`" for part in table.split("."))


def _bare(type_: str) -> str:
    for wrapper in ("LowCardinality(", "Nullable("):
        if type_.startswith(wrapper):
            type_ = type_.removeprefix(wrapper).removesuffix(")")
    return type_.lower()


def _compiled(statement: Statement) -> tuple[str, dict[str, Any]]:
    compiled = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    return str(compiled), dict(compiled.params)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        raise WarehouseDown(f"ClickHouse cannot answer now: {error}") from error
    except DatabaseError as error:
        raise WarehouseRefused(f"ClickHouse refused: {error}") from error
    except ClickHouseError as error:
        raise WarehouseDown(f"ClickHouse cannot answer now: {error}") from error
