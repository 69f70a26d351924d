"""Config documents of every kind, and the place that each has: the name of its file, and its key in the topic."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from usersplit._config import KIND, SplitTestConfig, split_test_from_document
from usersplit._config_fields import shown, whole_number
from usersplit._errors import ConfigFromTheFuture, MalformedConfig, MiskeyedConfig
from usersplit._overrides import OVERRIDES_KEY, OVERRIDES_KIND, Overrides, overrides_from_document
from usersplit._user_group_config import USER_GROUP_KIND, UserGroupConfig, user_group_from_document

FORMAT: Final = 1
USER_GROUP_PREFIX: Final = "~user_group."

Config: TypeAlias = SplitTestConfig | UserGroupConfig | Overrides

_BLANKS: Final = re.compile(r"[ \t\n\r]*")
_DECODER: Final = json.JSONDecoder()


def decoded(text: bytes | str, place: str = "a document") -> object:
    """Return decoded JSON.

    Raises:
        MalformedConfig: it is none.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedConfig(f"The config of {place} is no JSON ({error}); it may be torn.") from error


def parse_config(text: bytes | str, *, place: str) -> Config | None:
    """Return the config in the JSON `text`, or None if it is a document of a kind that has no such place.

    Raises:
        MalformedConfig: it is not what docs/config-documents.md describes.
        MiskeyedConfig: it is another document than its place says.
        ConfigFromTheFuture: its format is newer than this SDK.
    """
    return config_from_document(decoded(text, place), place=place)


def config_from_document(document: object, *, place: str) -> Config | None:
    """As `parse_config`, of decoded JSON."""
    if not isinstance(document, dict):
        raise MalformedConfig(f"The config of {place} is no JSON object.")
    form = whole_number(document, "format", place)
    if form > FORMAT:
        raise ConfigFromTheFuture(
            f"The config of {place} has the format {shown(form)}, this SDK knows {FORMAT}: upgrade it."
        )
    if form != FORMAT:
        raise MalformedConfig(f"The config of {place} has the format {shown(form)}; there is no such format.")
    kind, key = _expected(place)
    if document.get("kind") != kind:
        return None
    if document.get("key") != key:
        raise MiskeyedConfig(f"The config in the place of {place} says that it is of {shown(document.get('key'))}.")
    if kind == OVERRIDES_KIND:
        return overrides_from_document(document)
    if kind == USER_GROUP_KIND:
        return user_group_from_document(document, key=key)
    return split_test_from_document(document, key=key)


def place_of(document: Mapping[str, Any]) -> str:
    """Return the place of a decoded document that came without one; "" if its kind is not known here."""
    kind, key = document.get("kind"), document.get("key")
    if not isinstance(key, str):
        return ""
    if kind == USER_GROUP_KIND:
        return USER_GROUP_PREFIX + key
    return key if kind in (KIND, OVERRIDES_KIND) else ""


def unknown_without(place: str) -> str:
    """Return what it means that there is no config in a place, as a sentence."""
    if place == OVERRIDES_KEY:
        return "There are no overrides."
    return f"The {'user group' if place.startswith(USER_GROUP_PREFIX) else 'test'} is unknown."


def _expected(place: str) -> tuple[str, str]:
    """Return the kind and the key of the document that belongs in a place. A test's key holds no `~`."""
    if place == OVERRIDES_KEY:
        return OVERRIDES_KIND, OVERRIDES_KEY
    if place.startswith(USER_GROUP_PREFIX):
        return USER_GROUP_KIND, place.removeprefix(USER_GROUP_PREFIX)
    return KIND, place


def documents_in(body: bytes) -> Iterator[tuple[object, str]]:
    """Yield each document in `{"documents": […]}`, decoded, with its text.

    One at a time: decoding a thousand at once would hold up every thread that checks.

    Raises:
        MalformedConfig: it is something else, or torn. Nothing that was yielded before is to be used then.
    """
    try:
        yield from _Answer(body.decode()).documents()
    except (ValueError, RecursionError) as error:
        raise MalformedConfig(f"The answer is no list of config documents ({error}); it may be torn.") from error


class _Answer:
    """JSON text that is read from left to right. Its methods raise ValueError for what is not JSON."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def documents(self) -> Iterator[tuple[object, str]]:
        self._mark("{")
        has_documents = False
        while True:
            name, _ = self._value()
            self._mark(":")
            if name == "documents":
                has_documents = True
                yield from self._items()
            else:
                self._value()  # what a newer server adds
            if self._mark(",}") == "}":
                break
        self._pass_blanks()
        if not has_documents or self._at < len(self._text):
            raise ValueError("it ends in something else" if has_documents else "it has no documents")

    def _items(self) -> Iterator[tuple[object, str]]:
        self._mark("[")
        self._pass_blanks()
        if self._text.startswith("]", self._at):
            self._at += 1
            return
        while True:
            yield self._value()
            if self._mark(",]") == "]":
                return

    def _value(self) -> tuple[object, str]:
        self._pass_blanks()
        began = self._at
        value, self._at = _DECODER.raw_decode(self._text, began)
        return value, self._text[began : self._at]

    def _mark(self, marks: str) -> str:
        self._pass_blanks()
        found = self._text[self._at : self._at + 1]
        if not found or found not in marks:
            raise ValueError(f"{found!r} at {self._at} where {' or '.join(marks)} belongs")
        self._at += 1
        return found

    def _pass_blanks(self) -> None:
        blanks = _BLANKS.match(self._text, self._at)
        self._at = blanks.end() if blanks else self._at
