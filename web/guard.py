"""Who is let in: pages are for people who are signed in, and a page's web socket for the person it was made for.

NiceGUI drives a page over a web socket, to which browsers send cookies from any site. So its origin must be ours, its
session must be valid, and the page that it wants to drive must have been made for the same person.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias
from urllib.parse import parse_qs, quote

from nicegui import Client
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from accounts.identity import Identity
from accounts.origin import is_our_own

_AUDIT: Final = logging.getLogger("usersplit.audit")
_SOCKET: Final = "/_nicegui_ws/"
_OPEN: Final = ("/_nicegui/", "/assets/", "/favicon.ico")
"""Scripts, styles and pictures, the same for everybody."""

LOGIN: Final = "/login"

_OF_PROGRAMS: Final = ("/api/", "/ofrep/")
"""Addresses of the API that it did not answer itself: a program is told so, and not sent to a login."""

_NOTHING_THERE: Final = JSONResponse(
    {
        "type": "urn:usersplit:problem:NotFound",
        "title": "Not found",
        "status": 404,
        "detail": "there is nothing at this address; see /api/openapi.json",
        "error": "NotFound",
    },
    status_code=404,
    media_type="application/problem+json",
)

_HEADERS: Final = {
    b"x-frame-options": b"DENY",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"same-origin",
    b"content-security-policy": b"frame-ancestors 'none'; base-uri 'self'; object-src 'none'",
}


PersonOf: TypeAlias = Callable[[Mapping[str, str]], Identity | None]


class Guard:
    """An ASGI middleware before all pages: it puts who is signed in into the scope's state, as `person`."""

    def __init__(self, app: ASGIApp, *, person_of: PersonOf, public_url: str) -> None:
        self._app = app
        self._person_of = person_of
        self._public_url = public_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request pass, send a stranger to the login, refuse a foreign socket."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        path = _path(scope)
        if path.startswith(_OF_PROGRAMS):
            await _NOTHING_THERE(scope, receive, send)
            return
        if path == LOGIN or path.startswith(_OPEN):
            await self._app(scope, receive, _with_headers(send))
            return
        connection = HTTPConnection(scope)
        person = await asyncio.to_thread(self._person_of, connection.cookies)
        scope.setdefault("state", {})["person"] = person
        if path.startswith(_SOCKET):
            if (reason := self._refusal(connection, person)) is not None:
                name = "a stranger" if person is None else repr(person.name)
                _AUDIT.warning("refused: a web socket of a page, by %s: %s", name, reason)
                await _refuse(scope, receive, send)
                return
        elif person is None:
            target = path + (f"?{query}" if (query := scope["query_string"].decode("latin-1")) else "")
            await RedirectResponse(login_address(target), status_code=303)(scope, receive, send)
            return
        await self._app(scope, receive, _with_headers(send))

    def _refusal(self, connection: HTTPConnection, person: Identity | None) -> str | None:
        if person is None:
            return "nobody is signed in"
        if not is_our_own(connection.headers, public_url=self._public_url):
            return f"its origin is {connection.headers.get('origin', 'not said')!r}"
        wanted = parse_qs(connection.scope["query_string"].decode("latin-1")).get("client_id", [""])[0]
        client = Client.instances.get(wanted)
        if client is None:
            return None  # NiceGUI itself refuses the handshake, and the browser loads the page anew
        owner = client.request.state.person
        return None if owner.name == person.name else "the page was made for somebody else"


def login_address(target: str) -> str:
    """Return the address of the login that leads on to `target`, an address of ours."""
    return LOGIN if target in {"", "/"} else f"{LOGIN}?next={quote(target, safe='/')}"


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    await PlainTextResponse("This page belongs to another session; reload it.", status_code=403)(scope, receive, send)


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")) or "/"


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            known = {name.lower() for name, _ in message["headers"]}
            message["headers"] = [*message["headers"], *((k, v) for k, v in _HEADERS.items() if k not in known)]
        await send(message)

    return sending
