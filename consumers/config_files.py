"""The directory of config documents on a server: one file per test, replaced whole or not at all."""

import json
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORMAT = 1
STATE_FILE = ".agent.json"
"""What the agent says of itself. No test's file can have this name: a key does not start with a dot."""

_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")
_PART = ".part"

_log = logging.getLogger(__name__)


class UnusableDocument(Exception):
    """Bytes that are no config document of the test they are said to belong to; the last good one stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A config document: the bytes as they came, and what decides whether they are newer."""

    key: str
    position: int
    content: bytes


def read_document(key: bytes | None, content: bytes | None) -> Document | None:
    """Return the document in a record, None if it is a document of another kind.

    Raises:
        UnusableDocument: torn, foreign, from the future, or with a key that must not become a file's name.
    """
    if content is None:
        raise UnusableDocument("the record has no value; tests are forgotten by their status, never by a tombstone")
    fields = decoded(content)
    if fields.get("kind") != "split_test":
        return None
    name = fields.get("key")
    if not isinstance(name, str) or not _KEY.fullmatch(name):
        raise UnusableDocument(f"the key {name!r} is no key of a split test")
    if key != name.encode():
        raise UnusableDocument(f"the document of {name} came under the key {key!r}")
    if not isinstance(fields.get("status"), str):
        raise UnusableDocument(f"the document of {name} has no status")
    return Document(key=name, position=position_in(fields), content=content)


def decoded(content: bytes) -> Mapping[str, Any]:
    """Return the fields of a document of this format.

    Raises:
        UnusableDocument: it is torn, or from the future.
    """
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UnusableDocument(f"it is no JSON: {error}") from error
    if not isinstance(fields, dict):
        raise UnusableDocument("it is JSON but no object")
    if fields.get("format") != FORMAT:
        raise UnusableDocument(f"its format is {fields.get('format')!r} and this program reads {FORMAT}; update it")
    return fields


def position_in(fields: Mapping[str, Any]) -> int:
    """Return the position that the document carries.

    Raises:
        UnusableDocument: it carries none.
    """
    position = fields.get("position")
    if not isinstance(position, int) or isinstance(position, bool) or position < 0:
        raise UnusableDocument(f"its position is {position!r}, not a whole number")
    return position


class ConfigFiles:
    """The files, for one process at a time. What is there when it starts stays until something newer comes."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._directory.mkdir(parents=True, exist_ok=True)
        for abandoned in self._directory.glob(f".*{_PART}"):
            abandoned.unlink()
        self._positions = dict(self._found())

    @property
    def newest_position(self) -> int:
        """The highest position of all documents, 0 without any."""
        return max(self._positions.values(), default=0)

    def apply(self, document: Document) -> bool:
        """Write `document` if it is newer than the one in hand; say whether it was. Call `sync` after the last one."""
        if document.position <= self._positions.get(document.key, -1):
            return False
        self._replace(f"{document.key}.json", document.content)
        self._positions[document.key] = document.position
        return True

    def sync(self) -> None:
        """Make the names of the files survive a power cut; their contents do from the moment they have a name."""
        descriptor = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def read_state(self) -> Mapping[str, Any]:
        """Return what the agent last wrote about itself, nothing if that is unreadable."""
        try:
            return decoded((self._directory / STATE_FILE).read_bytes())
        except (OSError, UnusableDocument):
            return {}

    def write_state(self, state: Mapping[str, Any]) -> None:
        """Write what the agent says about itself."""
        self._replace(STATE_FILE, json.dumps({"format": FORMAT, "kind": "agent", **state}, indent=1).encode())

    def _found(self) -> list[tuple[str, int]]:
        found = []
        for file in sorted(self._directory.glob("*.json")):
            if file.name == STATE_FILE:
                continue
            try:
                document = read_document(file.stem.encode(), file.read_bytes())
            except (OSError, UnusableDocument) as error:
                _log.warning("%s is not used, the next document of that test replaces it: %s", file, error)
                continue
            if document is not None:
                found.append((document.key, document.position))
        return found

    def _replace(self, name: str, content: bytes) -> None:
        # A leading dot: neither a test's file nor one that a service looks at.
        part = self._directory / f".{name}{_PART}"
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._directory / name)
