"""The config documents in memory, as servers have them in files: for evaluations and downloads without a database.

A thread looks a few times a second whether the log went on, and reads the documents that changed. What is handed out is
never changed, only replaced: whoever took `current` answers from one moment's configs, however long that takes.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Event, Lock
from types import MappingProxyType
from typing import Final

from sqlalchemy import Engine

from events.errors import DatabaseUnavailable
from events.store import EventStore
from projections import config, registry
from projections.config import ConfigDocument
from projections.errors import OUTAGES, ProjectionsError
from usersplit import MemoryConfigs, SplitTestConfig, UnreadableConfig

_LOOK_EVERY_SECONDS: Final = 0.5

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveConfig:
    """All documents as of one moment.

    Attributes:
        documents: by the keys under which servers know them.
        digest: the same for the same documents, in every process.
        tests: the split tests among them, parsed; those that could not be are left out.
    """

    documents: Mapping[str, ConfigDocument]
    digest: str
    tests: tuple[SplitTestConfig, ...]


class LiveConfigs:
    """Keeps `current` up with the log.

    Args:
        engine: the database of the read models.
        store: the event log.
        catch_up: brings the read models up to a position.

    Attributes:
        current: the newest documents.
        configs: the same for the SDK's checkers; always the newest.
    """

    def __init__(self, engine: Engine, store: EventStore, catch_up: Callable[[int], object]) -> None:
        self.current = LiveConfig(documents=MappingProxyType({}), digest="", tests=())
        self.configs = MemoryConfigs()
        self._engine = engine
        self._store = store
        self._catch_up = catch_up
        self._lock = Lock()
        self._seen: tuple[int, int] | None = None
        self._told: list[Callable[[], None]] = []

    def tell(self, changed: Callable[[], None]) -> None:
        """Call `changed`, in whichever thread noticed, after `current` was replaced."""
        self._told.append(changed)

    def refresh(self) -> bool:
        """Look whether there is something new, and return whether there was. Blocks for the database.

        Raises:
            DatabaseUnavailable, sqlalchemy.exc.OperationalError: it does not answer; `current` stays.
            ProjectionsError: there is no read model to read.
        """
        with self._lock:
            head = self._store.head()
            if self._seen is not None and self._seen[0] == head and not self._was_rebuilt():
                return False
            self._catch_up(head)
            with self._engine.connect() as connection:
                serving = registry.serving(connection, config.PROJECTION.name)
                found = {each.key: each for each in config.all_documents(connection)}
            self._seen = (head, serving.generation if serving else 0)
            if found == self.current.documents:
                return False
            self._parse(found)
            self.current = self._snapshot(found)
        for changed in self._told:
            changed()
        return True

    def follow(self, stop: Event) -> None:
        """Refresh until `stop` is set. An outage of the database leaves `current` as it is."""
        while not stop.wait(_LOOK_EVERY_SECONDS):
            try:
                self.refresh()
            except (*OUTAGES, DatabaseUnavailable, ProjectionsError) as error:
                _log.warning("configs could not be refreshed, those in hand stay: %s", error)

    def _was_rebuilt(self) -> bool:
        with self._engine.connect() as connection:
            serving = registry.serving(connection, config.PROJECTION.name)
        return self._seen is not None and (serving.generation if serving else 0) != self._seen[1]

    def _parse(self, found: Mapping[str, ConfigDocument]) -> None:
        """Take over the documents that differ; what is as it was stays the same object, with all made of it."""
        before = self.current.documents
        for key in before.keys() - found.keys():
            self.configs.forget(key)
        for key, each in found.items():
            if before.get(key) == each:
                continue
            self.configs.forget(key)  # whatever its position was: the read model is right, even restored or rebuilt
            try:
                self.configs.put(each.document)
            except UnreadableConfig as error:  # one test is unknown then, not all of them
                _log.error("the config of %s cannot be used: %s", key, error)

    def _snapshot(self, found: Mapping[str, ConfigDocument]) -> LiveConfig:
        digest = hashlib.blake2b(digest_size=9)
        for key in sorted(found):
            digest.update(found[key].document.encode())
        tests = (self.configs.find(key) for key in self.configs.keys())  # noqa: SIM118 - a port's method
        return LiveConfig(
            documents=MappingProxyType(dict(found)),
            digest=digest.hexdigest(),
            tests=tuple(test for test in tests if test is not None),
        )
