"""How accounts and tokens are read and changed: each question and each change by itself, or all in one transaction."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import Connection, Engine, Table
from sqlalchemy.dialects import postgresql, sqlite

from events.database import write_transaction

Shared: TypeAlias = Callable[[], AbstractContextManager[Connection]]
"""Gives the connection of a write transaction that is somebody else's to commit. It may begin when it is first asked
for, so that nothing is locked while a password is hashed."""


@dataclass(frozen=True, slots=True)
class Transactions:
    """Connections to read and to write with.

    Attributes:
        engine: the database.
        shared: where everything is done, None: each thing in a transaction of its own.
    """

    engine: Engine
    shared: Shared | None = None

    def reading(self) -> AbstractContextManager[Connection]:
        """Return a connection to read with."""
        return self.engine.connect() if self.shared is None else self.shared()

    def writing(self) -> AbstractContextManager[Connection]:
        """Return a connection in a transaction that may write; one of its own is committed at the end."""
        return write_transaction(self.engine) if self.shared is None else self.shared()


def insert_if_new(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert a row unless its key is there, and return whether it was new. Whoever inserts the same at once waits."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    # Not every driver tells how many rows an insert made.
    made = insert(table).values(row).on_conflict_do_nothing().returning(*table.primary_key)
    return connection.execute(made).first() is not None
