"""A shop in Django whose guests and users see the variants of a split test. A whole project in one module.

Run it: python -m examples.django_store --configs DIRECTORY --kafka HOST:PORT [--port 8044]

    GET /        the front page, as this guest sees it; the response sets the guest's cookie
    GET /?user=1 the same page for a user, whose split group is kept with the profile
"""

import argparse
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from wsgiref.simple_server import make_server

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

import usersplit
from usersplit.guests import AsgiGuests, GuestCookie, WsgiGuests, guest_of

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

BUTTON_TEST: Final = "green_button"
COLOURS: Final[Mapping[str | None, str]] = {"red": "red", "blue": "blue"}


def front_page(request: HttpRequest) -> JsonResponse:
    """Show the front page, as this visitor sees it."""
    split_tests: usersplit.UserSplit = settings.SPLIT_TESTS
    # A request that came by ASGI has a scope, one by WSGI an environ.
    visitor = settings.USERS.get(request.GET.get("user")) or guest_of(getattr(request, "scope", request.META))
    environment = usersplit.Environment(platform="web", user_agent=request.headers.get("User-Agent", ""))
    variant = split_tests.get_active_variant(BUTTON_TEST, visitor, environment)
    return JsonResponse({"button": COLOURS.get(variant, "green")})


urlpatterns = [path("", front_page)]


def configure(split_tests: usersplit.UserSplit, users: Mapping[str, usersplit.User]) -> None:
    """Say what a project's `settings.py` says. Once a process: Django's settings belong to it."""
    settings.configure(
        ROOT_URLCONF=__name__,
        SECRET_KEY=secrets.token_hex(),
        ALLOWED_HOSTS=["localhost", "127.0.0.1"],
        SPLIT_TESTS=split_tests,
        USERS=users,
    )
    django.setup()


def wsgi(cookie: GuestCookie | None = None) -> "WSGIApplication":
    """Return what a project's `wsgi.py` makes, in the middleware that keeps guests' cookies."""
    return WsgiGuests(get_wsgi_application(), cookie)


def asgi(cookie: GuestCookie | None = None) -> Any:
    """Return what a project's `asgi.py` makes, in the same."""
    return AsgiGuests(get_asgi_application(), cookie)


def main() -> None:
    """Serve with the standard library's server, for trying it out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configs", required=True, help="directory of config files, kept by an agent")
    parser.add_argument("--kafka", required=True, help="host:port of Kafka")
    parser.add_argument("--port", type=int, default=8044)
    arguments = parser.parse_args()
    with usersplit.connect(
        configs=arguments.configs, bootstrap_servers=arguments.kafka, app="django-store", environment_name="devel"
    ) as split_tests:
        configure(split_tests, {"1": usersplit.User(id=1, split_group=usersplit.draw_split_group())})
        with make_server("127.0.0.1", arguments.port, wsgi()) as server:
            server.serve_forever()


if __name__ == "__main__":
    main()
