"""Appends that stop just before their commit, so that a test decides which of them ends first, and how."""

from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Self

from events.facts import REGISTRY
from events.sql_store import SqlEventStore
from events.store import Appended, Command
from tests.support.commit_gates import PATIENCE_SECONDS, commit_gate
from tests.support.event_stores import BY_ANNA, some_facts


class HeldWriter:
    """An append in a thread of its own. It reaches the end of its transaction, stops there, and is let go."""

    def __init__(self, url: str) -> None:
        self._gate = commit_gate(url)
        self._store = SqlEventStore(self._gate.engine, REGISTRY)
        self._pool = ThreadPoolExecutor(1)
        self._append: Future[Appended] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._gate.open()
        self._pool.shutdown()
        self._gate.close()

    def start(self, stream: str, *, facts: int, expected_version: int = 0, command: Command | None = None) -> None:
        """Begin to append, to a new stream if no `expected_version` is given."""
        self._append = self._pool.submit(
            self._store.append,
            stream,
            some_facts(facts),
            expected_version=expected_version,
            provenance=BY_ANNA,
            command=command,
        )

    def reaches_its_commit(self) -> bool:
        """Tell whether the transaction has done everything but commit, waiting for that."""
        return self._gate.reached()

    def is_kept_waiting(self) -> bool:
        """Tell whether the transaction, just begun beside a held one, waits for it instead of reaching its commit."""
        return self._gate.keeps_waiting_elsewhere() and not self._gate.reached(within_seconds=0)

    def commit(self) -> Appended:
        """Let the transaction commit, and return the append's answer."""
        self._gate.open()
        return self._appending().result(PATIENCE_SECONDS)

    def roll_back(self) -> None:
        """Let the transaction fail at its commit."""
        self._gate.roll_back()
        wait([self._appending()], PATIENCE_SECONDS)

    def _appending(self) -> Future[Appended]:
        if self._append is None:
            raise ValueError("start() comes first")
        return self._append
