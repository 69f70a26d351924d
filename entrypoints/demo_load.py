"""The demo's load: visitors of the coconut store, and what they must have been counted as.

The tally is kept from the store's own answers, on the client's side of HTTP, so that it owes nothing to the pipeline it
is compared with at the end.
"""

import http.client
import json
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import quote, urlsplit

Shown: TypeAlias = tuple[str, int, str]
"""A test's key, the settings group, and the variant that was shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """What is in force of a test while visitors come: which settings group, and whether hits are logged."""

    settings_group: int
    logs_hits: bool = True


class StoreRefused(Exception):
    """The store answered something else than it should."""


@dataclass(slots=True)
class Tally:
    """What visitors saw. `hits` is what BI must hold in the end; `given` also counts what logs no hit."""

    hits: Counter[Shown] = field(default_factory=Counter)
    given: Counter[Shown] = field(default_factory=Counter)
    visits: int = 0

    def count(self, variants: Mapping[str, str | None], settings: Mapping[str, InForce]) -> None:
        """Count one page: the variants it was shown with, by test, under the settings in force."""
        self.visits += 1
        for test, variant in variants.items():
            if variant is None:
                continue
            shown = (test, settings[test].settings_group, variant)
            self.given[shown] += 1
            if settings[test].logs_hits:
                self.hits[shown] += 1


class Visitors:
    """A crowd that registers at the store and looks at its catalog, over keep-alive connections."""

    def __init__(self, store_url: str, *, connections: int = 8) -> None:
        address = urlsplit(store_url)
        self._host, self._port = address.hostname or "127.0.0.1", address.port or 80
        self._pool = ThreadPoolExecutor(connections, thread_name_prefix="visitor")
        self._local = threading.local()
        self._connections: list[http.client.HTTPConnection] = []
        self.tally = Tally()

    def close(self) -> None:
        """Close the connections. Idempotent."""
        self._pool.shutdown()
        for connection in self._connections:
            connection.close()

    def register(self, profiles: Sequence[Mapping[str, Any]]) -> list[str]:
        """Register a user for each profile; return their ids."""
        answers = self._pool.map(lambda profile: self._ask("POST", "/users", json.dumps(dict(profile))), profiles)
        return [answer["id"] for answer in answers]

    def visit(self, user_ids: Iterable[str], in_force: Mapping[str, InForce]) -> Iterator[dict[str, Any]]:
        """Let each of `user_ids` look at the catalog once, many at a time; tally and yield the pages they saw.

        The settings in force must not change meanwhile, or the tally would not know which ones a visitor met.
        """
        for page in self._pool.map(self._look, user_ids):
            self.tally.count(page["variants"], in_force)
            yield page

    def health(self) -> dict[str, Any]:
        """Return the store's accounting of hits."""
        return self._ask("GET", "/health")

    def _look(self, user_id: str) -> dict[str, Any]:
        return self._ask("GET", f"/coconuts?user={quote(user_id)}")

    def _ask(self, method: str, path: str, body: str | None = None) -> dict[str, Any]:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = http.client.HTTPConnection(self._host, self._port, timeout=30)
            self._connections.append(connection)
        connection.request(method, path, body=body, headers={"User-Agent": "coconut-lover/1.0"})
        response = connection.getresponse()
        text = response.read()
        if response.status >= http.client.BAD_REQUEST:
            raise StoreRefused(f"{method} {path} was answered with {response.status}: {text.decode(errors='replace')}")
        answer: dict[str, Any] = json.loads(text)
        return answer
