"""Configs from a directory with one file per test, as an agent keeps it on every server."""

import logging
import os
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from usersplit._config import SplitTestConfig
from usersplit._config_directory import ConfigDirectory, ConfigProblem
from usersplit._forks import watch_forks

_logger = logging.getLogger("usersplit.configs")


class DirectoryConfigs:
    """Configs from files, reloaded in the background while the service runs.

    A check reads a mapping in memory: no lock, no look at the disk. A daemon thread looks for changed files every
    `reload_seconds` and replaces the mapping as a whole. Torn, foreign, older and future files change nothing: the
    last good config of the test stays, one warning is logged per version of the file, `problems()` tells.

    A directory that does not exist is no exception either: every test is unknown until it appears.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        reload_seconds: float = 1.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read the directory once, here; then keep it fresh in the background."""
        self._directory = ConfigDirectory(Path(path))
        self._reload_seconds = reload_seconds
        self._monotonic = monotonic
        self._closed = False
        self._asleep = True
        self._wake_lock = threading.Lock()
        self._reloader = _Reloader(self._directory, reload_seconds, monotonic)
        self._reloader.look()
        watch_forks(self)
        self._wake()

    def find(self, key: str) -> SplitTestConfig | None:
        """Return the config of the test `key`, or None for an unknown one."""
        if self._asleep:
            self._wake()
        return self._directory.configs.get(key)

    def keys(self) -> tuple[str, ...]:
        """Return the keys of all known tests."""
        return tuple(self._directory.configs)

    def reload(self) -> None:
        """Look at the directory now, in the calling thread. For scripts and tests; a service need not call it."""
        self._reloader.look()

    def problems(self) -> tuple[ConfigProblem, ...]:
        """Return what is wrong with the directory and its files, as of the last look."""
        return self._directory.problems

    def staleness_seconds(self) -> float:
        """Return how long ago the directory was last read; infinite if it never could be.

        It stays near `reload_seconds` while all is well; alert on a multiple of it.
        """
        return self._monotonic() - self._reloader.read_at

    def close(self) -> None:
        """Stop looking for changes; the configs in hand can still be checked. Idempotent."""
        self._closed = True
        self._asleep = False
        self._reloader.stop.set()

    def after_fork_in_child(self) -> None:
        """Forget the parent's thread; the child's own starts with its first check."""
        self._wake_lock = threading.Lock()
        read_at = self._reloader.read_at
        self._reloader = _Reloader(self._directory, self._reload_seconds, self._monotonic)
        self._reloader.read_at = read_at
        self._asleep = not self._closed

    def _wake(self) -> None:
        # Whoever finds the lock taken goes on with the configs in hand: somebody else is starting the thread.
        if not self._wake_lock.acquire(blocking=False):
            return
        try:
            if self._asleep and not self._closed:
                self._asleep = False
                thread = threading.Thread(target=self._reloader.run, name="usersplit-configs", daemon=True)
                thread.start()
        except RuntimeError as error:  # no more threads, or the interpreter is going down
            _logger.warning("Configs will not be reloaded, no thread could be started: %s", error)
        finally:
            self._wake_lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        if not getattr(self, "_closed", True):
            self.close()
            _warn(
                f"unclosed {type(self).__name__}; use it in a with statement or close it", ResourceWarning, source=self
            )


class _Reloader:
    """The background thread's side. It does not hold the DirectoryConfigs, so that one left unclosed can be noticed."""

    def __init__(self, directory: ConfigDirectory, reload_seconds: float, monotonic: Callable[[], float]) -> None:
        self.stop = threading.Event()
        self.read_at = float("-inf")
        self._directory = directory
        self._reload_seconds = reload_seconds
        self._monotonic = monotonic
        self._look_lock = threading.Lock()

    def look(self) -> None:
        with self._look_lock:
            if self._directory.look():
                self.read_at = self._monotonic()

    def run(self) -> None:
        while not self.stop.wait(self._reload_seconds):
            try:
                self.look()
            except Exception:  # the thread outlives whatever it meets; a dead one would freeze the configs silently
                _logger.exception("The config directory could not be read; the configs in hand stay in force.")
