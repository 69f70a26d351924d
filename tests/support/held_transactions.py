"""Transactions that stop just before their commit, so that a test decides which of them ends first, and how."""

from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Event
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, event, text

from events.database import open_database
from events.facts import REGISTRY
from events.sql_store import SqlEventStore
from events.store import Appended, Command
from tests.support.event_stores import BY_ANNA, some_facts

PATIENCE_SECONDS = 20


class RolledBackByTest(Exception):
    """The test chose this end for a held transaction."""


class HeldWriter:
    """An append in a thread of its own. It reaches the end of its transaction, stops there, and is let go."""

    def __init__(self, url: str) -> None:
        self._engine = open_database(url)
        self._store = SqlEventStore(self._engine, REGISTRY)
        self._pool = ThreadPoolExecutor(1)
        self._at_commit = Event()
        self._let_go = Event()
        self._rolls_back = False
        self._append: Future[Appended] | None = None
        event.listen(self._engine, "commit", self._hold)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._let_go.set()
        self._pool.shutdown()
        self._engine.dispose()

    def start(self, stream: str, *, facts: int, command: Command | None = None) -> None:
        """Begin to append to a new stream."""
        self._append = self._pool.submit(
            self._store.append, stream, some_facts(facts), expected_version=0, provenance=BY_ANNA, command=command
        )

    def reaches_its_commit(self, *, within_seconds: float = PATIENCE_SECONDS) -> bool:
        """Tell whether the transaction has done everything but commit, waiting for that."""
        return self._at_commit.wait(within_seconds)

    def commit(self) -> Appended:
        """Let the transaction commit, and return the append's answer."""
        self._let_go.set()
        return self._appending().result(PATIENCE_SECONDS)

    def roll_back(self) -> None:
        """Let the transaction fail at its commit."""
        self._rolls_back = True
        self._let_go.set()
        wait([self._appending()], PATIENCE_SECONDS)

    def _appending(self) -> Future[Appended]:
        if self._append is None:
            raise ValueError("start() comes first")
        return self._append

    def _hold(self, connection: Connection) -> None:
        del connection
        self._at_commit.set()
        self._let_go.wait(PATIENCE_SECONDS)
        if self._rolls_back:
            raise RolledBackByTest


def somebody_waits_for_a_lock(url: str) -> bool:
    """Return once a session of this PostgreSQL database waits for another one's lock; False if none ever does."""
    engine = open_database(url)
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    pause = Event()
    try:
        for _ in range(PATIENCE_SECONDS * 100):
            with engine.connect() as connection:
                if connection.execute(waiting).scalar_one() > 0:
                    return True
            pause.wait(0.01)
    finally:
        engine.dispose()
    return False
