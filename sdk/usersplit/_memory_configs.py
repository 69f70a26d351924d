"""The port to configs, and configs held in memory: for tests, and for tools that read documents from elsewhere."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from usersplit._config import SplitTestConfig, config_from_document, parse_config
from usersplit._errors import MalformedConfig


class Configs(Protocol):
    """Where a check finds the config of a test.

    `find` is on the path of every check: no lock, no input or output, and it raises nothing for any string.
    """

    def find(self, key: str) -> SplitTestConfig | None:
        """Return the config of the test `key`, or None for an unknown one."""
        ...

    def keys(self) -> tuple[str, ...]:
        """Return the keys of all known tests."""
        ...

    def close(self) -> None:
        """Let go of what reads the configs; those in hand can still be checked. Idempotent."""
        ...


class MemoryConfigs:
    """Configs from documents in memory: JSON texts, or the same decoded."""

    def __init__(self, documents: Iterable[Mapping[str, Any] | str | bytes] = ()) -> None:
        self._configs: dict[str, SplitTestConfig] = {}
        for document in documents:
            self.put(document)

    def put(self, document: Mapping[str, Any] | str | bytes) -> bool:
        """Take `document` if it is newer than the one in hand; answer whether it was taken.

        Raises:
            UnreadableConfig: the document must not be used; what is in hand stays.
        """
        if isinstance(document, (str, bytes)):
            key = _key_in(document)
            config = parse_config(document, key=key)
        else:
            config = config_from_document(dict(document), key=str(document.get("key")))
        if config is None:
            return False
        known = self._configs.get(config.key)
        if known is not None and known.position >= config.position:
            return False
        # A new mapping and one assignment: a check in another thread sees all of the old one or all of the new one.
        self._configs = {**self._configs, config.key: config}
        return True

    def forget(self, key: str) -> None:
        """Drop the config of `key`, as if its file were removed."""
        self._configs = {known: config for known, config in self._configs.items() if known != key}

    def find(self, key: str) -> SplitTestConfig | None:
        """Return the config of the test `key`, or None for an unknown one."""
        return self._configs.get(key)

    def keys(self) -> tuple[str, ...]:
        """Return the keys of all known tests."""
        return tuple(self._configs)

    def close(self) -> None:
        """Do nothing: there is nothing to let go of."""


def _key_in(text: str | bytes) -> str:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedConfig(f"The config is no JSON ({error}).") from error
    return str(document.get("key")) if isinstance(document, dict) else ""
