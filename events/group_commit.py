"""Appends that several threads of a process ask for at once, committed together.

A commit waits for the disk, and until it is over the counter row keeps every other append from beginning (rule 1 of
`events.store`): alone, each append costs a wait of its own, however many threads ask. Here the others wait while one is
on its way, and the next of them takes all that have come meanwhile along, into one transaction and one wait.

Whoever comes while nobody is on the way goes at once and alone: a lone writer waits for nobody, and no thread of the
store's own has to be woken. Every append still answers for itself, and only after the commit it is in. Together they
are all or nothing; where one of them cannot be appended none is, and each thread finds out alone what its own comes to.
"""

import os
from collections.abc import Callable, Sequence
from threading import Condition
from typing import Final, TypeAlias

from events.errors import DatabaseUnavailable, EventsError
from events.sql_append import Batch
from events.store import Appended

MOST_FACTS: Final = 1_000
"""Of several appends in one commit: the first to come should not wait for much more than its own."""

AppendAll: TypeAlias = Callable[[Sequence[Batch]], Sequence[Appended] | None]
"""Append all of the batches in one transaction and answer each, or append nothing and return None.

It is never given two of one stream, or of one command.
"""


class GroupCommit:
    """Hands what threads append to `append_all`: one call at a time, with all that came during the last one."""

    def __init__(self, append_all: AppendAll) -> None:
        self._append_all = append_all
        self._queues: dict[int, _Queue] = {}

    def append(self, batch: Batch) -> Appended | None:
        """Append `batch` and return its answer after the commit. None: nothing of it was appended.

        Raises:
            DatabaseUnavailable: it is not known whether anything was appended.
            EventsError: whatever `append_all` raised.
        """
        # By process: a forked child has none of the threads that its parent's queue waits for.
        queue = self._queues.get(os.getpid()) or self._queues.setdefault(os.getpid(), _Queue())
        mine = _Append(batch)
        try:
            group = queue.wait_for_turn(mine)
            if group:
                queue.settle(self._append_all([each.batch for each in group]))
        except BaseException as error:
            queue.give_up(mine, error)
            raise
        return mine.outcome()


class _Append:
    """What one thread appends, until it is settled."""

    __slots__ = ("answer", "batch", "failure", "is_settled")

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.is_settled = False
        self.answer: Appended | None = None
        self.failure: BaseException | None = None

    def outcome(self) -> Appended | None:
        if self.failure is None:
            return self.answer
        if isinstance(self.failure, EventsError):
            raise self.failure
        # Not as it is: an interrupt, say, was meant for the thread that took this append along.
        raise DatabaseUnavailable(f"the commit it was part of failed: {self.failure!r}") from self.failure


class _Queue:
    """The appends of one process: those that wait, and those that are on their way to the disk."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._waiting: list[_Append] = []
        self._group: list[_Append] = []
        """On the way, the one whose thread commits it first."""

    def wait_for_turn(self, mine: _Append) -> Sequence[_Append]:
        """Return what this thread is to commit, `mine` first; nothing: `mine` is settled, by another thread."""
        with self._changed:
            self._waiting.append(mine)
            # First come, first to go: of those that wait, the thread of the first one commits.
            while not mine.is_settled and (self._group or self._waiting[0] is not mine):
                self._changed.wait()
            if mine.is_settled:
                return ()
            self._group = self._take_along()
            return self._group

    def settle(self, answers: Sequence[Appended] | None, failure: BaseException | None = None) -> None:
        """Let every thread of the group on the way go on, and the next one commit."""
        with self._changed:
            for number, each in enumerate(self._group):
                each.answer = answers[number] if answers else None
                each.failure = failure
                each.is_settled = True
            self._group = []
            self._changed.notify_all()

    def give_up(self, mine: _Append, error: BaseException) -> None:
        """Clear up behind a thread that was stopped by `error`, wherever it was."""
        with self._changed:
            # An append whose thread was interrupted must not happen minutes later, along with whoever comes next.
            if mine in self._waiting:
                self._waiting.remove(mine)
                self._changed.notify_all()
            commits = bool(self._group) and self._group[0] is mine
        if commits:
            self.settle(None, error)

    def _take_along(self) -> list[_Append]:
        """Take the first one, and all that can go with it, out of those that wait."""
        group, left = list[_Append](), list[_Append]()
        facts, taken = 0, set[tuple[str, str]]()
        for each in self._waiting:
            marks, count = _marks(each.batch), len(each.batch.facts)
            if group and (facts + count > MOST_FACTS or not taken.isdisjoint(marks)):
                left.append(each)
                continue
            group.append(each)
            facts += count
            taken |= marks
        self._waiting = left
        return group


def _marks(batch: Batch) -> set[tuple[str, str]]:
    """Return what no other append of its group may have: of two on one stream, one is a conflict."""
    stream = ("stream", batch.stream)
    return {stream, ("command", batch.command.command_id)} if batch.command else {stream}
