"""The config documents in memory, as servers have them in files: for evaluations and downloads without a database.

A thread looks a few times a second whether the log went on, and reads the documents that changed. What is handed out is
never changed, only replaced: whoever took `current` answers from one moment's configs, however long that takes.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from threading import Event, Lock
from types import MappingProxyType
from typing import Final

from sqlalchemy import Connection

from events.errors import DatabaseUnavailable
from projections import documents
from projections.config import ConfigDocument
from projections.errors import OUTAGES, ProjectionsError
from projections.reading import standing_of
from usersplit import MemoryConfigs, SplitTestConfig, UnreadableConfig
from usersplit._documents import parse_config
from usersplit._user_group_config import UserGroupConfig

_LOOK_EVERY_SECONDS: Final = 0.5

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveConfig:
    """All documents as of one moment.

    Attributes:
        documents: by the keys under which servers know them.
        digest: the same for the same documents, in every process.
        tests: the split tests among them, parsed; those that could not be are left out.
        user_groups: the user groups, likewise.
    """

    documents: Mapping[str, ConfigDocument]
    digest: str
    tests: tuple[SplitTestConfig, ...]
    user_groups: tuple[UserGroupConfig, ...] = ()


class LiveConfigs:
    """Keeps `current` up with the log.

    Args:
        reading: opens a connection to the read models, by `projections.reading`.

    Attributes:
        current: the newest documents.
        configs: the same for the SDK's checkers; always the newest.
    """

    def __init__(self, reading: Callable[[], AbstractContextManager[Connection]]) -> None:
        self.current = LiveConfig(documents=MappingProxyType({}), digest="", tests=())
        self.configs = MemoryConfigs()
        self._reading = reading
        self._lock = Lock()
        self._seen: tuple[int, ...] = ()
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
        # The connection is opened under the lock: who comes later reads later.
        with self._lock, self._reading() as connection:
            seen = _place(connection)
            if seen == self._seen:
                return False
            found = {each.key: each for each in documents.all_documents(connection)}
            is_new = found != self.current.documents
            if is_new:
                self._take(found)
            self._seen = seen
        if is_new:
            for changed in self._told:
                changed()
        return is_new

    def is_current(self, connection: Connection) -> bool:
        """Return whether `current` is what a connection by `projections.reading` would read. Asks nobody."""
        return self._seen == _place(connection)

    def follow(self, stop: Event) -> None:
        """Refresh until `stop` is set. An outage of the database leaves `current` as it is."""
        while not stop.wait(_LOOK_EVERY_SECONDS):
            try:
                self.refresh()
            except (*OUTAGES, DatabaseUnavailable, ProjectionsError) as error:
                _log.warning("configs could not be refreshed, those in hand stay: %s", error)

    def _take(self, found: Mapping[str, ConfigDocument]) -> None:
        """Take over the documents that differ; what is as it was stays the same object, with all made of it."""
        before = self.current.documents
        places = self.configs.published.current.by_place
        kept = {key: config for key, config in places.items() if key in found and before.get(key) == found[key]}
        for key, each in found.items():
            if key in kept:
                continue
            # Whatever its position was: the read model is right, even restored or rebuilt.
            try:
                config = parse_config(each.document, place=key)
            except UnreadableConfig as error:  # one test is unknown then, not all of them
                _log.error("the config of %s cannot be used: %s", key, error)
                continue
            if config is not None:
                kept[key] = config
        # All at once: between forgetting a test and knowing it again somebody would ask.
        self.configs.published.publish(kept)
        self.current = self._snapshot(found)

    def _snapshot(self, found: Mapping[str, ConfigDocument]) -> LiveConfig:
        digest = hashlib.blake2b(digest_size=9)
        for key in sorted(found):
            digest.update(found[key].document.encode())
        return LiveConfig(
            documents=MappingProxyType(dict(found)),
            digest=digest.hexdigest(),
            tests=tuple(self.configs.published.current.tests.values()),
            user_groups=tuple(self.configs.published.current.user_groups.values()),
        )


def _place(connection: Connection) -> tuple[int, ...]:
    """Return where the log and the read models of the documents stood when a reading began."""
    standing = standing_of(connection)
    generations = (standing.serving.get(each.name) for each in documents.PROJECTIONS)
    return (standing.head, *(each.generation if each else 0 for each in generations))
