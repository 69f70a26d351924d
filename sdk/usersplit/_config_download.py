"""Reading configs from a server of UserSplit: what changed since the last look, and what is wrong with what it sent."""

import hashlib
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from usersplit._config_problems import ConfigProblems
from usersplit._config_set import Published
from usersplit._documents import Config, config_from_document, documents_in, place_of, unknown_without
from usersplit._errors import MalformedConfig, UnreadableConfig
from usersplit._http_wire import HttpWire, NoAnswer

_DIGEST_BYTES: Final = 16


class ConfigDownload:
    """The documents of one server, asked for again and again by one thread at a time.

    Args:
        wire: asks the server.
        cache_file: where the last good answer is kept, for a process that starts while the server is away; None keeps
            none.
    """

    def __init__(self, wire: HttpWire, cache_file: Path | None) -> None:
        self.published = Published()
        self.problems = ConfigProblems()
        self._wire = wire
        self._cache_file = cache_file
        self._has_looked = False
        self._etag = ""
        self._digests: dict[str, bytes] = {}

    def look(self) -> bool:
        """Take what is new; answer whether the server answered with configs. Raises nothing for whatever it sends.

        A document that is gone is a test that is unknown from now on. No answer, or one that is no list of documents,
        says nothing about any of them, so everything stays.
        """
        try:
            answer = self._wire.ask(self._etag)
            if answer is not None:
                self._take(answer.body)
        except (NoAnswer, UnreadableConfig) as error:
            kept = "" if self._has_looked else self._take_kept()
            self.problems.report("", f"{error} {kept or 'The configs in hand stay in force.'}")
            self._has_looked = True
            self.problems.publish()
            return False
        self._has_looked = True
        if answer is not None:
            # After publishing: a fork in between leaves the child with an answer to ask for again.
            self._etag = answer.etag
            self._keep(answer.body)
        self.problems.mend("")
        self.problems.publish()
        return True

    def _take(self, body: bytes) -> None:
        """Publish the documents in an answer.

        Raises:
            MalformedConfig: it is none; nothing is changed.
        """
        before = self.published.current.by_place
        configs: dict[str, Config] = {}
        digests: dict[str, bytes] = {}
        problems: dict[str, str] = {}
        for place, document, digest in _placed(body):
            time.sleep(0)  # a long answer must not hold up the threads that check
            known = before.get(place)
            if known is not None:
                configs[place] = known
            if known is not None and self._digests.get(place) == digest:
                digests[place] = digest
                continue
            try:
                configs[place] = _newer(document, place, known)
                digests[place] = digest
            except UnreadableConfig as error:
                meanwhile = unknown_without(place) if known is None else "The last good config stays in force."
                problems[place] = f"{error} {meanwhile}"
        self.problems.keep_only({"", *problems})
        for place, reason in problems.items():
            self.problems.report(place, reason)
        if configs.keys() != before.keys() or any(configs[place] is not before[place] for place in configs):
            self.published.publish(configs)
        self._digests = digests

    def _take_kept(self) -> str:
        """Take what an earlier process kept; return what happened as a sentence, "" if there is nothing."""
        if self._cache_file is None:
            return ""
        try:
            kept_at = datetime.fromtimestamp(self._cache_file.stat().st_mtime, UTC)
            self._take(self._cache_file.read_bytes())
        except FileNotFoundError:
            return ""
        except (OSError, UnreadableConfig) as error:
            return f"What was kept in {self._cache_file} cannot be used ({error}), so every test is unknown."
        return f"Until then the configs kept in {self._cache_file} at {kept_at:%Y-%m-%dT%H:%M:%SZ} are in force."

    def _keep(self, body: bytes) -> None:
        if self._cache_file is None:
            return
        name = self._cache_file.name
        beside = self._cache_file.with_name(f".{name}.{os.getpid()}.new")
        try:
            # It holds the ids of units that QA forced: not everybody's to read.
            beside.touch(mode=0o600)
            beside.write_bytes(body)
            beside.replace(self._cache_file)
        except OSError as error:
            self.problems.report(name, f"The configs cannot be kept in {self._cache_file} ({error}); make it writable.")
        else:
            self.problems.mend(name)


def _placed(body: bytes) -> Iterator[tuple[str, dict[str, object], bytes]]:
    """Yield the place, the fields and the digest of every document of a kind that this SDK knows.

    Raises:
        MalformedConfig: the answer is no list of documents, or holds one of which nobody can say what it is. Whichever
            test it was meant to be would look as if it were gone.
    """
    for document, text in documents_in(body):
        if not isinstance(document, dict) or not isinstance(document.get("key"), str):
            raise MalformedConfig("The server sent a config document without a key.")
        place = place_of(document)
        if place:
            yield place, document, hashlib.blake2b(text.encode(), digest_size=_DIGEST_BYTES).digest()


def _newer(document: dict[str, object], place: str, known: Config | None) -> Config:
    """Return the config in a document that differs from the one in hand.

    Raises:
        UnreadableConfig: it must not be used, or is older.
    """
    config = config_from_document(document, place=place)
    if config is None:
        raise MalformedConfig(f"The config of {place} is of another kind than its place.")
    if known is not None and config.position < known.position:
        raise MalformedConfig(
            f"The server sent a config of {place} that is older (position {config.position}) than the one in hand "
            f"({known.position}); it is ignored. If it is the right one, restart this service."
        )
    return config
