"""Group commits whose first one is held, so that a test decides who waits behind it and goes together in the next."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from types import TracebackType
from typing import Any, Self, TypeVar

from events.group_commit import GroupCommit
from events.sql_append import Batch
from events.store import Appended
from tests.support.terminal import wait_until

PATIENCE_SECONDS = 60

Answer = TypeVar("Answer")


class HeldCommits:
    """Stands before the commits of a store: the first one waits until it is let go.

    Attributes:
        groups: the streams of every commit, in order.
        refused: those of the groups of which nothing was appended.
    """

    def __init__(self, commits: GroupCommit) -> None:
        self._commits = commits
        self._append_all = commits._append_all
        commits._append_all = self._hold
        self._reached, self._let_go = Event(), Event()
        self._pool = ThreadPoolExecutor(32)
        self.groups: list[list[str]] = []
        self.refused: list[list[str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.let_go()
        self._pool.shutdown()
        self._commits._append_all = self._append_all

    def start(self, append: Callable[..., Answer], *arguments: Any) -> Callable[[], Answer]:
        """Begin to append; return what gives the answer, once it is at its commit or waits for the one that is."""
        is_first, before = not self.groups, waiting(self._commits)
        future = self._pool.submit(append, *arguments)
        if is_first:
            assert self._reached.wait(PATIENCE_SECONDS)
        else:
            wait_until("one more waits", lambda: waiting(self._commits) > before)
        return lambda: future.result(PATIENCE_SECONDS)

    def let_go(self) -> None:
        """Let the first commit be made."""
        self._let_go.set()

    def _hold(self, batches: Sequence[Batch]) -> Sequence[Appended] | None:
        self.groups.append([batch.stream for batch in batches])
        if len(self.groups) == 1:
            self._reached.set()
            assert self._let_go.wait(PATIENCE_SECONDS)
        answers = self._append_all(batches)
        if answers is None:
            self.refused.append(self.groups[-1])
        return answers


def waiting(commits: GroupCommit) -> int:
    """Return how many appends wait for the one on its way."""
    return sum(len(queue._waiting) for queue in commits._queues.values())
