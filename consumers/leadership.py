"""One leader among processes that do the same job: a lock that dies with the process that holds it."""

import fcntl
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import IO, Protocol

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError


class LeaderLock(Protocol):
    """Held by at most one process at a time, and let go by the system when its holder dies."""

    def try_acquire(self) -> bool:
        """Take the lock if it is free, without waiting; True also if it is held already."""
        ...

    def still_held(self) -> bool:
        """Ask whether the lock is ours yet. False: stop at once, somebody else may lead."""
        ...

    def release(self) -> None:
        """Let go. Idempotent."""
        ...


class PostgresLeaderLock:
    """An advisory lock on a connection of its own: when that connection is lost, so is the lock.

    It is a session's lock: a connection pooler between us and the server must not share sessions between transactions.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._number = int.from_bytes(sha256(f"usersplit leader {name}".encode()).digest()[:8], "big", signed=True)
        self._connection: Connection | None = None

    def try_acquire(self) -> bool:
        """See `LeaderLock.try_acquire`."""
        if self._connection is not None:
            return True
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        taken = connection.execute(text("SELECT pg_try_advisory_lock(:number)"), {"number": self._number}).scalar_one()
        if taken:
            self._connection = connection
        else:
            connection.close()
        return bool(taken)

    def still_held(self) -> bool:
        """See `LeaderLock.still_held`."""
        if self._connection is None:
            return False
        try:
            self._connection.execute(text("SELECT 1"))
        except SQLAlchemyError:
            return False
        return True

    def release(self) -> None:
        """See `LeaderLock.release`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            # Not given back to the pool: the lock belongs to the session, and must end with it.
            with suppress(SQLAlchemyError):
                connection.invalidate()
            connection.close()


class FileLeaderLock:
    """A lock on a file beside a SQLite database, for processes of one machine. The file stays; its lock does not."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None

    def try_acquire(self) -> bool:
        """See `LeaderLock.try_acquire`."""
        if self._file is not None:
            return True
        file = self._path.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._file = file
        return True

    def still_held(self) -> bool:
        """See `LeaderLock.still_held`."""
        return self._file is not None

    def release(self) -> None:
        """See `LeaderLock.release`."""
        file, self._file = self._file, None
        if file is not None:
            file.close()


def leader_lock(engine: Engine, name: str) -> LeaderLock:
    """Return the lock called `name` of the database that `engine` speaks to.

    Raises:
        ValueError: an SQLite database in memory, which no second process can share.
    """
    if engine.dialect.name == "postgresql":
        return PostgresLeaderLock(engine, name)
    if not engine.url.database:
        raise ValueError("a leader lock needs a database that processes can share: give SQLite a file")
    return FileLeaderLock(Path(f"{engine.url.database}.{name}.lock"))
