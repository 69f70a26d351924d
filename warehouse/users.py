"""The port of the users table: questions as SQLAlchemy statements in, rows and columns out.

Who asks (`audience`) knows what the questions mean; who answers knows a driver. Statements are built once for every
database: what the databases spell differently are elements of `warehouse.users_sql`, which render themselves. Values
are always handed over as parameters, never as text of the statement.

Promises: one statement sees one state of the table; a database that does not answer raises `WarehouseDown`, one that
answers with an error raises `WarehouseRefused`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import pyarrow as pa
from sqlalchemy import Select

Statement: TypeAlias = Select[*tuple[Any, ...]]


class UsersDatabase(Protocol):
    """A database with a users table. Safe to share between threads unless an adapter says otherwise."""

    @property
    def counts_nearby(self) -> bool:
        """Whether rows reach this process at the speed of memory, so that grouping them here is the quicker way."""
        ...

    def column_types(self, table: str) -> Mapping[str, str]:
        """Return the database's own type names of the columns of `table`, in lower case; empty: no such table."""
        ...

    def expression_type(self, table: str, expression: str) -> str:
        """Return the type name of an expression over `table`, likewise.

        Raises:
            WarehouseRefused: the database cannot read the expression.
        """
        ...

    def table(self, statement: Statement) -> pa.Table:
        """Return the whole answer."""
        ...

    def rows(self, statement: Statement) -> Sequence[tuple[Any, ...]]:
        """Return the whole answer, row by row; for small ones."""
        ...

    def stream(self, statement: Statement, *, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """Yield the answer in batches, so that memory stays the same however long it is."""
        ...

    def close(self) -> None:
        """Give back what was opened here; what was handed in stays open."""
        ...
