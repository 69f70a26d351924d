"""What sources of configs that change have in common: a thread that looks again and again, forks, and staleness."""

import logging
import threading
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from usersplit._config import SplitTestConfig
from usersplit._config_problems import ConfigProblem, ConfigProblems
from usersplit._config_set import Published
from usersplit._forks import watch_forks
from usersplit._settings import require_positive_seconds

_logger = logging.getLogger("usersplit.configs")


class ConfigSource(Protocol):
    """Something that can be looked at for configs, by one thread at a time.

    Attributes:
        published: holds the set of configs in force.
        problems: what is wrong with documents that were not taken.
    """

    published: Published
    problems: ConfigProblems

    def look(self) -> bool:
        """Publish what is new; answer whether the source could be read. Raises nothing for whatever it finds."""
        ...


class ReloadedConfigs:
    """Configs from a source that is looked at in the background while the service runs.

    A check reads a mapping in memory: no lock, no look at the source. A daemon thread looks for changes every
    `reload_seconds` and replaces the mapping as a whole.
    """

    def __init__(self, source: ConfigSource, *, reload_seconds: float, monotonic: Callable[[], float]) -> None:
        """Look once, here; then keep the configs fresh in the background."""
        require_positive_seconds("reload_seconds", reload_seconds)
        self.published = source.published
        self._source = source
        self._reload_seconds = reload_seconds
        self._monotonic = monotonic
        self._closed = False
        self._asleep = True
        self._wake_lock = threading.Lock()
        self._reloader = _Reloader(source, reload_seconds, monotonic)
        self._reloader.look()
        watch_forks(self)
        self.wake()

    def find(self, key: str) -> SplitTestConfig | None:
        """Return the config of the test `key`, or None for an unknown one."""
        if self._asleep:
            self.wake()
        return self.published.current.tests.get(key)

    def keys(self) -> tuple[str, ...]:
        """Return the keys of all known tests."""
        return tuple(self.published.current.tests)

    def reload(self) -> None:
        """Look for changes now, in the calling thread. For scripts and tests; a service need not call it."""
        self._reloader.look()

    def problems(self) -> tuple[ConfigProblem, ...]:
        """Return what is wrong with the source and its documents, as of the last look."""
        return self._source.problems.listed

    def staleness_seconds(self) -> float:
        """Return how long ago the source was last read; infinite if it never could be.

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
        self._reloader = _Reloader(self._source, self._reload_seconds, self._monotonic)
        self._reloader.read_at = read_at
        self._asleep = not self._closed

    def wake(self) -> None:
        """Start the background thread, if it does not run and shall, and let checkers answer again."""
        self.published.wake()
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
    """The background thread's side. It does not hold the configs' owner, so that one left unclosed can be noticed."""

    def __init__(self, source: ConfigSource, reload_seconds: float, monotonic: Callable[[], float]) -> None:
        self.stop = threading.Event()
        self.read_at = float("-inf")
        self._source = source
        self._reload_seconds = reload_seconds
        self._monotonic = monotonic
        self._look_lock = threading.Lock()

    def look(self) -> None:
        with self._look_lock:
            was_read = self._source.look()
            if was_read:
                self.read_at = self._monotonic()
        self._source.published.looked(was_read=was_read)

    def run(self) -> None:
        while not self.stop.wait(self._reload_seconds):
            try:
                self.look()
            except Exception:  # the thread outlives whatever it meets; a dead one would freeze the configs silently
                _logger.exception("The configs could not be read; those in hand stay in force.")
