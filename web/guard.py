"""Who is let in: pages are for people who are signed in, and a page's web socket for the person it was made for.

NiceGUI drives a page over a web socket, to which browsers send cookies from any site. So its origin must be ours, its
session must be valid, and the page that it wants to drive must have been made for the same person.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import parse_qs, quote, urlsplit

from nicegui import Client
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.parts import Person

_LOG: Final = logging.getLogger(__name__)
_SOCKET: Final = "/_nicegui_ws/"
_OPEN: Final = ("/_nicegui/", "/assets/", "/favicon.ico")
"""Scripts, styles and pictures, the same for everybody."""

LOGIN: Final = "/login"

_HEADERS: Final = {
    b"x-frame-options": b"DENY",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"same-origin",
    b"content-security-policy": b"frame-ancestors 'none'; base-uri 'self'; object-src 'none'",
}


class Guard:
    """An ASGI middleware before all pages: it puts who is signed in into the scope's state, as `person`."""

    def __init__(self, app: ASGIApp, *, person_of: Callable[[Mapping[str, str]], Person | None]) -> None:
        self._app = app
        self._person_of = person_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request pass, send a stranger to the login, refuse a foreign socket."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        path = _path(scope)
        if path == LOGIN or path.startswith(_OPEN):
            await self._app(scope, receive, _with_headers(send))
            return
        connection = HTTPConnection(scope)
        person = await asyncio.to_thread(self._person_of, connection.cookies)
        scope.setdefault("state", {})["person"] = person
        if path.startswith(_SOCKET):
            if (reason := _refusal(connection, person)) is not None:
                _LOG.warning("refused a web socket of a page: %s", reason)
                await _refuse(scope, receive, send)
                return
        elif person is None:
            target = path + (f"?{query}" if (query := scope["query_string"].decode("latin-1")) else "")
            await RedirectResponse(login_address(target), status_code=303)(scope, receive, send)
            return
        await self._app(scope, receive, _with_headers(send))


def login_address(target: str) -> str:
    """Return the address of the login that leads on to `target`, an address of ours."""
    return LOGIN if target in {"", "/"} else f"{LOGIN}?next={quote(target, safe='/')}"


def same_origin(headers: Headers) -> bool:
    """Say whether a request comes from a page of this very host. A browser always sends `Origin` with a socket."""
    origin = urlsplit(headers.get("origin", ""))
    return bool(origin.netloc) and origin.netloc.lower() == headers.get("host", "").lower()


def _refusal(connection: HTTPConnection, person: Person | None) -> str | None:
    if person is None:
        return "nobody is signed in"
    if connection.scope["type"] == "websocket" and not same_origin(connection.headers):
        return f"its origin is {connection.headers.get('origin', 'not said')!r}"
    wanted = parse_qs(connection.scope["query_string"].decode("latin-1")).get("client_id", [""])[0]
    client = Client.instances.get(wanted)
    if client is None:
        return None  # NiceGUI itself refuses the handshake, and the browser loads the page anew
    owner = client.request.state.person
    return None if owner is not None and owner.name == person.name else "the page was made for somebody else"


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
