"""A coconut store, instrumented with the SDK: how slow may the catalog be, and what may a coconut cost?

A small real service: it registers users (each draws a split group once, for life), shows them the catalog over HTTP and
asks UserSplit which variant of its two tests they are in. The hits are logged by the question itself.

Run it: python -m examples.coconut_store --configs DIRECTORY --kafka HOST:PORT [--port 8042]

    POST /users {"country_id": 50, "is_new_user": true}   registers a user, answers {"id": "1", "split_group": 1207}
    GET /coconuts?user=1                                  the catalog, as that user sees it
    GET /health                                           what became of the hits, and how new the configs are
"""

import argparse
import itertools
import json
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import usersplit

DELAY_TEST: Final = "catalog_delay"
PRICING_TEST: Final = "coconut_pricing"
DELAY_SECONDS: Final[Mapping[str | None, float]] = {"short": 0.002, "long": 0.008}
PRICE_DELTA: Final[Mapping[str | None, int]] = {"expensive": +1, "cheap": -1}
NOBODY: Final = usersplit.Guest(split_group=1)
COCONUTS: Final = (("Green coconut", 3), ("Brown coconut", 4))


class UnknownUser(Exception):
    """Nobody registered under that id."""


class CoconutStore:
    """The store: its users, its catalog, and the two branches of each test."""

    def __init__(self, split_tests: usersplit.UserSplit) -> None:
        self._split_tests = split_tests
        self._ids = itertools.count(1)
        self._users: dict[str, usersplit.User] = {}

    def register(self, profile: Mapping[str, Any]) -> usersplit.User:
        """Add a user; the split group is drawn here, once, and never again."""
        user_id = str(next(self._ids))
        user = usersplit.User(id=user_id, split_group=usersplit.draw_split_group(), attributes=dict(profile))
        self._users[user_id] = user
        return user

    def catalog(self, user_id: str, environment: usersplit.Environment) -> dict[str, Any]:
        """Return the catalog as this user sees it, and which variants made it so."""
        user = self._users.get(user_id)
        if user is None:
            raise UnknownUser(user_id)
        delay = self._split_tests.get_active_variant(DELAY_TEST, user, environment)
        time.sleep(DELAY_SECONDS.get(delay, 0))
        pricing = self._split_tests.get_active_variant(PRICING_TEST, user, environment)
        difference = PRICE_DELTA.get(pricing, 0)
        return {
            "coconuts": [{"name": name, "price": price + difference} for name, price in COCONUTS],
            "variants": {DELAY_TEST: delay, PRICING_TEST: pricing},
        }

    def health(self) -> dict[str, Any]:
        """Return what became of the hits, and which version of each test's config this server has."""
        return {
            "hits": asdict(self._split_tests.stats()),
            "configs": {key: self._split_tests.explain(key, NOBODY).position for key in (DELAY_TEST, PRICING_TEST)},
        }


class Handler(BaseHTTPRequestHandler):
    """Parses, calls the store, renders."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    store: CoconutStore

    def do_POST(self) -> None:
        """Register a user."""
        try:
            profile = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        except ValueError:
            self._answer(400, {"error": "the profile is not JSON"})
            return
        if urlsplit(self.path).path != "/users" or not isinstance(profile, dict):
            self._answer(404, {"error": "POST /users with a JSON object"})
            return
        user = self.store.register(profile)
        self._answer(201, {"id": user.id, "split_group": user.split_group})

    def do_GET(self) -> None:
        """Show the catalog, or the health."""
        address = urlsplit(self.path)
        if address.path == "/health":
            self._answer(200, self.store.health())
        elif address.path == "/coconuts":
            user_id = parse_qs(address.query).get("user", [""])[0]
            environment = usersplit.Environment(platform="web", user_agent=self.headers.get("User-Agent", ""))
            try:
                self._answer(200, self.store.catalog(user_id, environment))
            except UnknownUser:
                self._answer(404, {"error": f"nobody registered as {user_id!r}: POST /users first"})
        else:
            self._answer(404, {"error": "try /coconuts?user=ID"})

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
        """Keep quiet: this store is put under load."""

    def _answer(self, status: int, document: Mapping[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class StoreServer(ThreadingHTTPServer):
    """One thread a connection; a full queue of connections is better than refused ones."""

    daemon_threads = True
    request_queue_size = 128


def main() -> None:
    """Serve until SIGTERM or Ctrl-C; then deliver the hits that are still buffered."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configs", required=True, help="directory of config files, kept by an agent")
    parser.add_argument("--kafka", required=True, help="host:port of Kafka")
    parser.add_argument("--port", type=int, default=8042)
    parser.add_argument("--environment", default="production", help="where this store runs: production, devel …")
    arguments = parser.parse_args()

    with usersplit.connect(
        configs=arguments.configs,
        bootstrap_servers=arguments.kafka,
        app="coconut-store",
        environment_name=arguments.environment,
        reload_seconds=0.2,
    ) as split_tests:
        Handler.store = CoconutStore(split_tests)
        server = StoreServer(("127.0.0.1", arguments.port), Handler)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
        print(f"The coconut store is open: http://127.0.0.1:{server.server_address[1]}/coconuts?user=1", flush=True)  # noqa: T201 - a program's only word
        server.serve_forever()
        server.server_close()


if __name__ == "__main__":
    main()
