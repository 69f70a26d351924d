"""The directory of config documents on a server: one file per document, replaced whole or not at all."""

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from consumers.whole_files import WholeFiles

FORMAT = 1
STATE_FILE = ".agent.json"
"""What the agent says of itself. No test's file can have this name: a key does not start with a dot."""

_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")
_OVERRIDES = "~overrides"
_USER_GROUP_PREFIX = "~user_group."
_SHOWN = 5
_LARGEST_POSITION = 2**63 - 1
"""What the log's own column holds. A number beyond it was made up, and no database would take it in a report."""

_log = logging.getLogger(__name__)


class UnusableDocument(Exception):
    """Bytes that are no config document of the test they are said to belong to; the last good one stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A config document: the bytes as they came, and what decides whether they are newer.

    `key` is the name it has in the topic, and as a file: a test's key, `~user_group.<key>`, or `~overrides`.
    """

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
    name = _name_of(fields)
    if name is None:
        return None
    if key != name.encode():
        raise UnusableDocument(f"the document of {name} came under the key {key!r}")
    return Document(key=name, position=position_in(fields), content=content)


def _name_of(fields: Mapping[str, Any]) -> str | None:
    """Return the name that the document should have come under, None for a document of a kind that is not laid out."""
    kind, key = fields.get("kind"), fields.get("key")
    if kind == "overrides":
        if key != _OVERRIDES or not isinstance(fields.get("environments"), dict):
            raise UnusableDocument(f"the overrides have the key {key!r}, or no environments")
        return _OVERRIDES
    if kind not in {"split_test", "user_group"}:
        return None
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise UnusableDocument(f"the key {key!r} is no key of a split test or a user group")
    if not isinstance(fields.get("status"), str):
        raise UnusableDocument(f"the document of {key} has no status")
    return key if kind == "split_test" else _USER_GROUP_PREFIX + key


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
    if not isinstance(position, int) or isinstance(position, bool) or not 0 <= position <= _LARGEST_POSITION:
        raise UnusableDocument(f"its position is {position!r}, not that of a fact")
    return position


class ConfigFiles:
    """The files, for one process at a time. What is there when it starts stays until the topic says otherwise.

    A file that this run did not write may have been damaged: by a disk, or by a hand that raised its position. The
    topic is read from its beginning, so a document that is no newer than such a file may be an old one with a newer
    one behind it; it waits for `settle`, which takes the newest that the topic had. From then on documents are
    compared with what was read from the topic, and with the files no more.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files = WholeFiles(directory)
        self._positions: dict[str, int] = {}
        self._unreadable: set[str] = set()
        self._find()
        self._read: dict[str, int] = {}
        self._waiting: dict[str, Document] = {}
        self._settled = False

    @property
    def newest_position(self) -> int:
        """The highest position of all documents, 0 without any."""
        return max(self._positions.values(), default=0)

    @property
    def positions(self) -> Mapping[str, int]:
        """The position of each document that has a file, by the document's name."""
        return self._positions

    def apply(self, document: Document) -> bool:
        """Take a document of the topic; say whether a file changed. Call `sync` after the last one.

        At the same position other bytes are newer as well: they say the same facts, in the words of a newer release.
        """
        key = document.key
        if document.position < self._read.get(key, -1):
            return False
        if not self._settled and (key not in self._read or key in self._waiting) and self._may_be_old(document):
            self._waiting[key] = document
            self._read[key] = document.position
            return False
        changed = self._lay_out(document)
        self._waiting.pop(key, None)
        self._read[key] = document.position
        return changed

    def settle(self) -> int:
        """Believe the topic, which was read from its beginning to its end; return how many files changed. Idempotent.

        Call `sync` afterwards.
        """
        if self._settled:
            return 0
        changed = sum([self._lay_out(document) for document in self._waiting.values()])
        self._waiting.clear()
        self._settled = True
        unknown = sorted(self._positions.keys() - self._read.keys())
        if unknown:
            _log.warning(
                "%d files stay as they are though the topic says nothing of their tests, the first ones of %s: if the "
                "topic was made anew, republish the documents; else remove the files",
                len(unknown),
                ", ".join(unknown[:_SHOWN]),
            )
        return changed

    def sync(self) -> None:
        """Make what was taken survive a power cut."""
        self._files.sync()

    def read_state(self) -> Mapping[str, Any]:
        """Return what the agent last wrote about itself, nothing if that is unreadable."""
        try:
            return decoded((self._directory / STATE_FILE).read_bytes())
        except (OSError, UnusableDocument):
            return {}

    def write_state(self, state: Mapping[str, Any]) -> None:
        """Write what the agent says about itself."""
        self._files.replace(STATE_FILE, json.dumps({"format": FORMAT, "kind": "agent", **state}, indent=1).encode())

    def _may_be_old(self, document: Document) -> bool:
        return document.key in self._unreadable or document.position <= self._positions.get(document.key, -1)

    def _lay_out(self, document: Document) -> bool:
        key, name = document.key, f"{document.key}.json"
        known = self._positions.get(key, -1)
        if document.position == known and self._files.hold(name, document.content):
            return False
        if (self._directory / name).is_dir():
            # Whose it is, nobody knows. Ending here would keep all other tests from being laid out.
            _log.error(
                "%s is a folder, so the document of %s is not laid out; take it away", self._directory / name, key
            )
            self._unreadable.add(key)
            return False
        if document.position < known:
            _log.error(
                "%s was at position %d and the topic has nothing newer than %d: the file was damaged, or the topic was "
                "made anew; the topic's is taken. Restart the services that run on this server if they report an "
                "older file",
                self._directory / name,
                known,
                document.position,
            )
        self._files.replace(name, document.content)
        self._unreadable.discard(key)
        self._positions[key] = document.position
        return True

    def _find(self) -> None:
        for file in sorted(self._directory.glob("*.json")):
            if file.name == STATE_FILE:
                continue
            try:
                document = read_document(file.stem.encode(errors="surrogateescape"), file.read_bytes())
            except (OSError, UnusableDocument) as error:
                _log.warning("%s is not used, the topic's document of that test replaces it: %s", file, error)
                document = None
            if document is None:
                self._unreadable.add(file.stem)
            else:
                self._positions[document.key] = document.position
