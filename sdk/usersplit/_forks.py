"""What the SDK's objects do in a forked child: threads do not survive a fork, and locks may be held for ever."""

import os
import threading
import weakref
from typing import Final, Protocol


class ForkAware(Protocol):
    """Something with a thread, a lock or a connection that a child must not use."""

    def after_fork_in_child(self) -> None:
        """Let go of all that belongs to the parent, without blocking: only this thread exists now."""
        ...


_objects: Final[weakref.WeakSet[ForkAware]] = weakref.WeakSet()
_hook_lock = threading.Lock()
_hook_is_set = False


def watch_forks(watched: ForkAware) -> None:
    """Call `watched.after_fork_in_child` in every child that is forked from now on, while it is alive.

    The hook is set on first use and not on import, so that importing the SDK does nothing to a process.
    """
    global _hook_is_set  # noqa: PLW0603 - a fork hook belongs to the process and cannot be removed
    with _hook_lock:
        _objects.add(watched)
        if not _hook_is_set and hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_in_child)
            _hook_is_set = True


def _in_child() -> None:
    global _hook_lock  # noqa: PLW0603 - a thread that did not survive may have held the old one
    _hook_lock = threading.Lock()
    for watched in list(_objects):
        watched.after_fork_in_child()
