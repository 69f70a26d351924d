"""The end of a process: who still has hits then, and how they are asked to deliver them."""

import atexit
import sys
import threading
import weakref
from typing import Final, Protocol

EXIT_TIMEOUT_SECONDS: Final = 2.0


class Closable(Protocol):
    """Something with hits on their way."""

    def finish(self, timeout_seconds: float) -> None:
        """Begin to close, without waiting."""
        ...

    def close(self, timeout_seconds: float) -> None:
        """Deliver what can be delivered in time. Idempotent."""
        ...


_open: Final[weakref.WeakSet[Closable]] = weakref.WeakSet()
_exit_hook_lock: Final = threading.Lock()
_exit_hook_is_set = False


def close_at_exit(closable: Closable) -> None:
    """Close it at the normal end of this process, or of a child in which it is still there."""
    global _exit_hook_is_set  # noqa: PLW0603 - one hook a process, set on first use and not on import
    with _exit_hook_lock:
        _open.add(closable)
        if not _exit_hook_is_set:
            atexit.register(close_all, EXIT_TIMEOUT_SECONDS)
            _exit_hook_is_set = True


def close_all(timeout_seconds: float) -> None:
    """Close all that are open, together within the timeout."""
    closables = list(_open)
    for closable in closables:
        closable.finish(timeout_seconds)  # all at once, so that their deadlines pass together
    for closable in closables:
        closable.close(timeout_seconds)


def close_at_exit_of_multiprocessing() -> None:
    """In a child of `multiprocessing`, which ends by `os._exit`, close with its own finalizers; elsewhere do nothing.

    To be called in the child itself: what a parent registered is forgotten when the child begins.
    """
    process, util = sys.modules.get("multiprocessing.process"), sys.modules.get("multiprocessing.util")
    if process is not None and util is not None and process.parent_process() is not None:
        util.Finalize(None, close_all, args=(EXIT_TIMEOUT_SECONDS,), exitpriority=0)
