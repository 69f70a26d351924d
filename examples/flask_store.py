"""A shop in Flask whose guests and users see the variants of a split test.

Run it: python -m examples.flask_store --configs DIRECTORY --kafka HOST:PORT [--port 8043]

    GET /        the front page, as this guest sees it; the response sets the guest's cookie
    GET /?user=1 the same page for a user, whose split group is kept with the profile
"""

import argparse
from collections.abc import Mapping
from typing import Any, Final

from flask import Flask, Response, jsonify, request

import usersplit
from usersplit.guests import GuestCookie, WsgiGuests, guest_of

BUTTON_TEST: Final = "green_button"
COLOURS: Final[Mapping[str | None, str]] = {"red": "red", "blue": "blue"}


def create_app(
    split_tests: usersplit.UserSplit, users: Mapping[str, usersplit.User], cookie: GuestCookie | None = None
) -> Flask:
    """Return the shop, wrapped in the middleware that keeps guests' cookies.

    Args:
        split_tests: the client.
        users: by id; a real shop has a database of them.
        cookie: how the guests' cookie looks.
    """
    app = Flask(__name__)
    app.wsgi_app = WsgiGuests(app.wsgi_app, cookie)  # type: ignore[method-assign]  # Flask's documentation says so

    @app.get("/")
    def front_page() -> Response:
        visitor = users.get(request.args.get("user", "")) or guest_of(request.environ)
        environment = usersplit.Environment(platform="web", user_agent=request.headers.get("User-Agent", ""))
        variant = split_tests.get_active_variant(BUTTON_TEST, visitor, environment)
        return jsonify(button=COLOURS.get(variant, "green"))

    @app.get("/health")
    def health() -> dict[str, Any]:
        return {"dropped": split_tests.stats().dropped}

    return app


def main() -> None:
    """Serve with Flask's own server, for trying it out; in production a WSGI server calls `create_app`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configs", required=True, help="directory of config files, kept by an agent")
    parser.add_argument("--kafka", required=True, help="host:port of Kafka")
    parser.add_argument("--port", type=int, default=8043)
    arguments = parser.parse_args()
    with usersplit.connect(
        configs=arguments.configs, bootstrap_servers=arguments.kafka, app="flask-store", environment_name="devel"
    ) as split_tests:
        ada = usersplit.User(id=1, split_group=usersplit.draw_split_group())
        create_app(split_tests, {"1": ada}).run(port=arguments.port)


if __name__ == "__main__":
    main()
