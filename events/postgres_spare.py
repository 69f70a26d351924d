"""Connections to PostgreSQL that are kept beside an engine's pool, for appends of one statement.

To take a connection out of the pool and to give it back costs two thirds of what sending the statement and reading its
answer do, and where many writers share a machine they feel it. So one is taken out for good, commits after each
statement, and is found again by the next append. Only where several stores append through one engine at once are there
more; beyond a few, appends use the pool as usual.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, event

from events.database import has_hung_up, named_errors
from events.errors import DatabaseUnavailable

MOST_SPARES: Final = 4
"""A server allows a hundred connections by default, for all processes together."""


@contextmanager
def spare_connection(engine: Engine) -> Iterator[Any]:
    """Yield the driver's own connection, which commits after each statement.

    The driver's errors pass as they are, but for:

    Raises:
        DatabaseUnavailable: it cannot be reached, or the connection was lost: the last statement may have been
            committed or not.
    """
    spares = _SPARES.get(engine) or _spares_of(engine)
    connection = spares.take() or spares.make(engine)
    if connection is None:
        with _pooled(engine) as pooled:
            yield pooled
        return
    try:
        yield connection
    except engine.dialect.loaded_dbapi.Error as error:
        if connection.broken:
            raise DatabaseUnavailable(str(error)) from error
        raise
    finally:
        spares.give_back(connection)


@contextmanager
def _pooled(engine: Engine) -> Iterator[Any]:
    with named_errors():
        pooled = engine.raw_connection()
    connection: Any = pooled.driver_connection
    try:
        connection.autocommit = True
        yield connection
    except engine.dialect.loaded_dbapi.Error as error:
        if connection.broken:
            pooled.invalidate(error)
            raise DatabaseUnavailable(str(error)) from error
        raise
    finally:
        if not connection.closed:
            connection.autocommit = False
        pooled.close()


class _Spares:
    """The spare connections of an engine, of this process. The engine itself is not held: it is to be collected."""

    def __init__(self) -> None:
        self._free: list[Any] = []
        self._made = 0
        self._making = Lock()
        self._process = os.getpid()
        self._of_the_parent: list[Any] = []

    def take(self) -> Any | None:
        """Return one that is free and whose server has not hung up; None if there is none."""
        if self._process != os.getpid():
            self._leave_to_the_parent()
        while self._free:
            try:
                connection = self._free.pop()
            except IndexError:  # another thread was quicker
                break
            if not has_hung_up(connection):
                return connection
            self._forget(connection)
        return None

    def make(self, engine: Engine) -> Any | None:
        """Take one out of the pool for good; None if there are enough."""
        with self._making:
            if self._made >= MOST_SPARES:
                return None
            self._made += 1
        try:
            with named_errors():
                pooled = engine.raw_connection()
            connection: Any = pooled.driver_connection
            pooled.detach()
            connection.autocommit = True
        except BaseException:
            self._one_less()
            raise
        return connection

    def give_back(self, connection: Any) -> None:
        """Keep it for the next append, unless it cannot be trusted any more."""
        # An interrupt in a statement leaves its answer to come, which the next append would take for its own.
        if connection.closed or connection.info.transaction_status != 0:
            self._forget(connection)
        else:
            self._free.append(connection)

    def close(self) -> None:
        """Close those that are free: the engine is disposed of."""
        if self._process == os.getpid():
            while (connection := self._free.pop() if self._free else None) is not None:
                self._forget(connection)

    def _forget(self, connection: Any) -> None:
        connection.close()
        self._one_less()

    def _one_less(self) -> None:
        with self._making:
            self._made -= 1

    def _leave_to_the_parent(self) -> None:
        # After a fork. To close them here, or to let them be collected, would end them for the parent.
        self._of_the_parent += self._free
        self._free, self._made, self._making, self._process = [], 0, Lock(), os.getpid()


_SPARES: WeakKeyDictionary[Engine, _Spares] = WeakKeyDictionary()


def _spares_of(engine: Engine) -> _Spares:
    spares = _SPARES.setdefault(engine, _Spares())
    event.listen(engine, "engine_disposed", lambda _: spares.close())
    return spares
