"""The port to configs, and configs held in memory: for tests, and for tools that read documents from elsewhere."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from usersplit._config import SplitTestConfig
from usersplit._config_fields import shown
from usersplit._config_set import Published
from usersplit._documents import config_from_document, decoded, place_of
from usersplit._errors import MalformedConfig


class Configs(Protocol):
    """Where a checker finds configs."""

    @property
    def published(self) -> Published:
        """The set of configs in force, which hands every later one to its checkers; the same object at all times."""
        ...

    def wake(self) -> None:
        """Start what keeps the configs fresh, if it does not run, and call `published.wake`. Raises nothing.

        In a forked child, where no thread survives, the first check calls it.
        """
        ...

    def close(self) -> None:
        """Let go of what reads the configs; those in hand can still be checked. Idempotent."""
        ...


class MemoryConfigs:
    """Configs from documents in memory, of every kind: JSON texts, or the same decoded."""

    def __init__(self, documents: Iterable[Mapping[str, Any] | str | bytes] = ()) -> None:
        self.published = Published()
        for document in documents:
            self.put(document)

    def put(self, document: Mapping[str, Any] | str | bytes) -> bool:
        """Take `document` if it is newer than the one in hand; answer whether it was taken.

        Raises:
            UnreadableConfig: the document must not be used; what is in hand stays.
        """
        fields = decoded(document) if isinstance(document, (str, bytes)) else dict(document)
        if not isinstance(fields, dict):
            raise MalformedConfig("The config is no JSON object.")
        place = place_of(fields) or shown(fields.get("key"))
        config = config_from_document(fields, place=place)
        if config is None:
            return False
        known = self.published.current.by_place.get(place)
        if known is not None and known.position >= config.position:
            return False
        self.published.publish({**self.published.current.by_place, place: config})
        self.published.tell()
        return True

    def forget(self, key: str) -> None:
        """Drop the config of the test `key`, as if its file were removed; also by place: `~overrides`."""
        kept = {place: config for place, config in self.published.current.by_place.items() if place != key}
        self.published.publish(kept)
        self.published.tell()

    def find(self, key: str) -> SplitTestConfig | None:
        """Return the config of the test `key`, or None for an unknown one."""
        return self.published.current.tests.get(key)

    def keys(self) -> tuple[str, ...]:
        """Return the keys of all known tests."""
        return tuple(self.published.current.tests)

    def wake(self) -> None:
        """Let checkers in a forked child answer again."""
        self.published.wake()

    def close(self) -> None:
        """Do nothing: there is nothing to let go of."""
