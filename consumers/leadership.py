"""One leader among processes that do the same job: a lock that dies with the process that holds it."""

import fcntl
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from threading import Event, Thread
from typing import IO, Protocol

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from consumers.outages import DATABASE_AWAY
from consumers.repeated import Repeated

_log = logging.getLogger(__name__)


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
        taken = False
        try:
            ask = text("SELECT pg_try_advisory_lock(:number)")
            taken = bool(connection.execute(ask, {"number": self._number}).scalar_one())
        finally:
            if not taken:
                connection.close()
        self._connection = connection if taken else None
        return taken

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


def _nothing() -> None:
    """Do nothing while another process leads."""


class Leadership:
    """Does a piece of work while it holds a lock, and waits for the lock while another process has it.

    Attributes:
        leads: whether the work is being done here, now.
    """

    def __init__(self, name: str, lock: LeaderLock) -> None:
        self.leads = False
        self._name = name
        self._lock = lock

    def run(
        self,
        stop: Event,
        work: Callable[[Event], None],
        *,
        standing_by: Callable[[], object] = _nothing,
        retry_seconds: float = 1.0,
    ) -> None:
        """Call `work(over)` whenever the lock can be had, until `stop` is set; `standing_by()` each time it cannot.

        `over` is set when it is time to stop or when the lead is lost; the work must return soon after, and asks it in
        every round, which is the process's sign of life. A database that is away is waited for: nobody takes a lead
        for granted that it may have lost meanwhile. Any other error of the work ends the call.
        """
        told = Repeated()
        while not stop.is_set():
            try:
                if self._lock.try_acquire():
                    _log.info("the %s leads", self._name)
                    self.leads = True
                    with self._watched(stop) as over:
                        work(over)
                else:
                    standing_by()
            except DATABASE_AWAY as error:
                if told.is_due(str(error)):
                    _log.warning("the %s waits for the database: %s", self._name, error)
            finally:
                self.leads = False
                self._lock.release()
            stop.wait(retry_seconds)

    @contextmanager
    def _watched(self, stop: Event) -> Iterator[Event]:
        """Yield the event that is set when the lock is lost, even while the work waits for something else."""
        over, done = _LeadOver(stop), Event()

        def watch() -> None:
            while not done.wait(_ASK_EVERY_SECONDS):
                if not self._lock.still_held():
                    _log.warning("the %s has lost its lead", self._name)
                    over.set()
                    return

        watcher = Thread(target=watch, name=f"{self._name}-leadership", daemon=True)
        watcher.start()
        try:
            yield over
        finally:
            done.set()
            watcher.join()


_ASK_EVERY_SECONDS = 0.5


class _LeadOver(Event):
    """Set by itself, or by the event that stops the process; whoever asks this one asks that one too."""

    def __init__(self, stop: Event) -> None:
        super().__init__()
        self._stop = stop

    def is_set(self) -> bool:
        """Say whether the lead is over."""
        return super().is_set() or self._stop.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the stop, `timeout` seconds at most; a lead that is lost meanwhile is told afterwards."""
        return self._stop.wait(timeout) or self.is_set()
