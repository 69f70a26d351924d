"""Several processes of UserSplit as threads of one: how the embedded parts run, and what happens when one of them ends.

Each of these is a process of its own in production. Sharing a process is what DuckDB and the embedded broker ask for.
"""

import threading
from collections.abc import Callable
from logging import getLogger

_log = getLogger(__name__)


class PartFailed(Exception):
    """A part ended with an error while the others still needed it."""

    def __init__(self, name: str, error: BaseException) -> None:
        super().__init__(f"{name} failed: {type(error).__name__}: {error}")


class Crew:
    """Runs parts until they are told to stop. An error of one is raised in whoever asks `check`."""

    def __init__(self) -> None:
        self._members: list[tuple[threading.Thread, threading.Event]] = []
        self._failures: list[tuple[str, BaseException]] = []

    def start(self, name: str, run: Callable[[threading.Event], object]) -> None:
        """Run `run(stop)` in a thread; it must return soon after `stop` is set."""
        stop = threading.Event()

        def work() -> None:
            try:
                run(stop)
            except BaseException as error:  # noqa: BLE001 - whatever ends a part is raised again by `check`
                _log.exception("%s failed", name)
                self._failures.append((name, error))

        thread = threading.Thread(target=work, name=name, daemon=True)
        self._members.append((thread, stop))
        thread.start()

    def check(self) -> None:
        """Return if all parts are well.

        Raises:
            PartFailed: one of them is not.
        """
        for name, error in self._failures:
            raise PartFailed(name, error) from error

    def stop(self, timeout_seconds: float = 15.0) -> None:
        """Stop the parts, the last started first, each given time to finish what it has in hand."""
        for thread, stop in reversed(self._members):
            stop.set()
            thread.join(timeout_seconds)
            if thread.is_alive():
                _log.warning("%s did not stop within %.0f s", thread.name, timeout_seconds)
        self._members.clear()
