"""All configs as of one moment: what a checker answers from until the next one is published."""

import logging
import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final, Protocol

from usersplit._config import SplitTestConfig
from usersplit._documents import Config
from usersplit._forks import watch_forks
from usersplit._overrides import EnvironmentOverrides, Overrides
from usersplit._user_group_config import UserGroupConfig

_logger = logging.getLogger("usersplit.configs")

_NONE: Final[Mapping[str, EnvironmentOverrides]] = MappingProxyType({})


class ConfigSet:
    """Configs by their places; never changed, only replaced by the next one.

    Attributes:
        by_place: every config by its place.
        tests: split tests by key.
        user_groups: user groups by key.
        overrides: what QA decided, by the name of the environment.
    """

    __slots__ = ("by_place", "overrides", "tests", "user_groups")

    def __init__(self, by_place: Mapping[str, Config]) -> None:
        self.by_place: Final = by_place
        self.tests: Final = {each.key: each for each in by_place.values() if isinstance(each, SplitTestConfig)}
        self.user_groups: Final = {each.key: each for each in by_place.values() if isinstance(each, UserGroupConfig)}
        overrides = next((each for each in by_place.values() if isinstance(each, Overrides)), None)
        self.overrides: Final = _NONE if overrides is None else overrides.environments


class Watcher(Protocol):
    """Who answers from the set in force. Neither method may raise, for publishing must not fail."""

    def take(self, current: ConfigSet) -> None:
        """Answer from `current` from now on."""
        ...

    def fall_asleep(self) -> None:
        """Answer nothing before `Configs.wake` was called: this is a forked child, where no thread runs."""
        ...


class Listener(Protocol):
    """Who is told of changes, after those who answer. It is called by the thread that read the configs."""

    def configs_changed(self, before: ConfigSet, now: ConfigSet) -> None:
        """Take note that `now` is in force."""
        ...

    def configs_looked_for(self, *, was_read: bool) -> None:
        """Take note of a look at the source: it could be read, or the configs in hand may grow stale."""
        ...


class Published:
    """The set of configs in force, and those who answer from it.

    The set is handed to them, by the thread that read it: so a check need not even look whether there is a new one.

    Attributes:
        current: the set in force.
        is_fresh: whether the last look at the source could read it.
    """

    def __init__(self) -> None:
        self.current = ConfigSet({})
        self.is_fresh = True
        self._watchers: weakref.WeakSet[Watcher] = weakref.WeakSet()
        self._listeners: tuple[Listener, ...] = ()
        self._untold: list[tuple[ConfigSet, ConfigSet]] = []
        self._lock = threading.Lock()
        watch_forks(self)

    def publish(self, by_place: Mapping[str, Config]) -> None:
        """Put these configs in force; `tell` is to be called next."""
        with self._lock:
            before, self.current = self.current, ConfigSet(by_place)
            self._untold.append((before, self.current))
            self._hand_over()

    def tell(self) -> None:
        """Tell what was published. Called without any lock: what a listener does is the service's code."""
        while True:
            with self._lock:
                if not self._untold:
                    return
                before, now = self._untold.pop(0)
            for listener in self._listeners:
                with _reported():
                    listener.configs_changed(before, now)

    def looked(self, *, was_read: bool) -> None:
        """Tell what was published by a look at the source, and whether that could be read; also without any lock."""
        self.is_fresh = was_read
        self.tell()
        for listener in self._listeners:
            with _reported():
                listener.configs_looked_for(was_read=was_read)

    def listen(self, listener: Listener) -> None:
        """Tell `listener` of what happens from now on, until `forget`."""
        with self._lock:
            self._listeners = (*(each for each in self._listeners if each is not listener), listener)

    def forget(self, listener: Listener) -> None:
        """Tell `listener` nothing more."""
        with self._lock:
            self._listeners = tuple(each for each in self._listeners if each is not listener)

    def watch(self, watcher: Watcher) -> None:
        """Hand `watcher` the set in force, and every later one, while it is alive."""
        with self._lock:
            self._watchers.add(watcher)
            watcher.take(self.current)

    def wake(self) -> None:
        """Hand over again the set in force."""
        with self._lock:
            self._hand_over()

    def after_fork_in_child(self) -> None:
        """Let the first check wake the source; the parent may have been about to hand a set over."""
        self._lock = threading.Lock()
        for watcher in list(self._watchers):
            watcher.fall_asleep()

    def _hand_over(self) -> None:
        for watcher in list(self._watchers):
            watcher.take(self.current)


@contextmanager
def _reported() -> Iterator[None]:
    try:
        yield
    except Exception:  # reading configs goes on, whatever a listener does
        _logger.exception("Somebody who listens to changes of the configs failed.")
