"""One preparation at a time, in all threads of all processes that share a database.

Two tests that are prepared at the same moment would not see each other's split groups, and could both take the same
free ones. The expected version of a test's stream does not guard against that: they are two streams.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Lock

from consumers.leadership import LeaderLock

LOCK = "preparer"
"""The lock's name in the database."""

_ASK_EVERY_SECONDS = 0.05


class LockLost(Exception):
    """The connection that held the lock is gone, so another preparation may have begun: nothing may be recorded."""

    def __init__(self) -> None:
        super().__init__("the lock on preparations was lost; what was drawn meanwhile is thrown away and drawn again")


class PreparationLock:
    """Held by one preparation at a time. Safe to share between threads."""

    def __init__(self, lock: LeaderLock) -> None:
        self._lock = lock
        self._threads = Lock()

    @contextmanager
    def held(self, stop: Event, on_wait: Callable[[], None]) -> Iterator[bool]:
        """Wait until nobody else prepares, and yield True while that is so; False if `stop` was set meanwhile.

        `on_wait` is called once if there is anybody to wait for.

        Raises:
            sqlalchemy.exc.OperationalError: the database did not answer.
        """
        if not self._try_acquire():
            on_wait()
            while not self._try_acquire():
                if stop.wait(_ASK_EVERY_SECONDS):
                    yield False
                    return
        try:
            yield True
        finally:
            self._lock.release()
            self._threads.release()

    def check(self) -> None:
        """Make sure that it is still ours; to be asked just before anything is recorded.

        Raises:
            LockLost: it is not.
        """
        if not self._lock.still_held():
            raise LockLost

    def _try_acquire(self) -> bool:
        # The database's lock belongs to this process, so threads need one of their own before it.
        if not self._threads.acquire(blocking=False):
            return False
        taken = False
        try:
            taken = self._lock.try_acquire()
        finally:
            if not taken:
                self._threads.release()
        return taken
