"""Guests and their cookie: the split group and the id of a visitor who is not logged in, for ASGI and WSGI.

    application = WsgiGuests(application, GuestCookie(secrets=["…"]))  # or AsgiGuests

    client.get_active_variant("green_button", guest_of(request.environ), environment)

The cookie belongs to the browser: it has nothing to do with the split group of a user who logs in there, which is kept
with the user's profile.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from usersplit._errors import UserSplitError
from usersplit._guest_cookie import GuestCookie, InvalidCookie
from usersplit._units import Guest

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["AsgiGuests", "GuestCookie", "InvalidCookie", "NoGuestMiddleware", "WsgiGuests", "guest_of"]

Scope: TypeAlias = MutableMapping[str, Any]
AsgiMessage: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[AsgiMessage]]
Send: TypeAlias = Callable[[AsgiMessage], Awaitable[None]]
AsgiApplication: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Header: TypeAlias = tuple[str, str]

_KEY: Final = "usersplit.guest"
_STARTS: Final = frozenset({"http.response.start", "websocket.accept"})

_logger = logging.getLogger("usersplit.guests")


class NoGuestMiddleware(UserSplitError, LookupError):
    """The request did not come through `AsgiGuests` or `WsgiGuests`: wrap the application in one of them."""


def guest_of(request: Mapping[str, Any], *, id: str | int = "", device_id: str = "") -> Guest:  # noqa: A002 - as in Guest
    """Return the guest who sent the request. One without a cookie is drawn now, and the response sets the cookie.

    A request whose guest nobody asks for gets no cookie. Ask before the response begins.

    Args:
        request: what the framework calls `environ` (WSGI; Flask's `request.environ`, Django's `request.META`), or
            `scope` (ASGI; Starlette's, FastAPI's and Django's `request.scope`).
        id: the guest's id, where the service has one of its own; else it is the one in the cookie.
        device_id: the device, where it is known.

    Raises:
        NoGuestMiddleware: there is no middleware around the application.
    """
    visit = request.get(_KEY)
    if not isinstance(visit, _Visit):
        raise NoGuestMiddleware("Wrap the application in usersplit.guests.WsgiGuests or AsgiGuests.")
    guest = visit.guest()
    return replace(guest, id=id or guest.id, device_id=device_id) if id or device_id else guest


class WsgiGuests:
    """WSGI middleware: reads the guest's cookie, and sets it with the response where one was drawn.

    Responses that depend on the guest get `Vary: Cookie`; those that set the cookie `Cache-Control: private`, unless
    they have that header, for a shared cache would hand one guest's group to everybody.

    Args:
        application: what it is wrapped around.
        cookie: None takes the cookie's defaults: plain, SameSite=Lax, 400 days, Secure over https.
    """

    def __init__(self, application: "WSGIApplication", cookie: GuestCookie | None = None) -> None:
        self._application = application
        self._cookie = cookie or GuestCookie()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request."""
        is_https = environ.get("wsgi.url_scheme") == "https"
        visit = _Visit(self._cookie, environ.get("HTTP_COOKIE", ""), is_https=is_https)
        environ[_KEY] = visit

        def start(status: str, headers: list[Header], exc_info: Any = None, /) -> Callable[[bytes], object]:
            return start_response(status, [*headers, *visit.headers(headers)], exc_info)

        return self._application(environ, start)


class AsgiGuests:
    """ASGI middleware, for HTTP and websockets: as `WsgiGuests`.

    Args:
        application: what it is wrapped around.
        cookie: None takes the cookie's defaults.
    """

    def __init__(self, application: AsgiApplication, cookie: GuestCookie | None = None) -> None:
        self._application = application
        self._cookie = cookie or GuestCookie()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or one websocket's handshake."""
        if scope["type"] not in ("http", "websocket"):
            await self._application(scope, receive, send)
            return
        # HTTP/2 may split the header into several.
        header = "; ".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"cookie")
        visit = _Visit(self._cookie, header, is_https=scope.get("scheme") in ("https", "wss"))

        async def send_with_cookie(message: AsgiMessage) -> None:
            if message["type"] in _STARTS:
                headers = list(message.get("headers") or ())
                known = [(bytes(name).decode("latin-1"), bytes(value).decode("latin-1")) for name, value in headers]
                more = [(name.lower().encode(), value.encode()) for name, value in visit.headers(known)]
                message = {**message, "headers": [*headers, *more]}
            await send(message)

        await self._application({**scope, _KEY: visit}, receive, send_with_cookie)


class _Visit:
    """One request: the guest who sent it, once asked for."""

    def __init__(self, cookie: GuestCookie, header: str, *, is_https: bool) -> None:
        self._cookie = cookie
        self._header = header
        self._is_https = is_https
        self._guest: Guest | None = None
        self._is_new = False
        self._has_begun = False

    def guest(self) -> Guest:
        if self._guest is None:
            self._guest = self._cookie.read(self._header)
            if self._guest is None:
                self._guest = self._cookie.draw(self._header)
                self._is_new = True
                if self._has_begun:
                    _logger.warning(
                        "A guest was asked for after the response began: no cookie can be set, and the same visitor "
                        "will be another guest next time. Ask before the first byte."
                    )
        return self._guest

    def headers(self, present: Sequence[Header]) -> list[Header]:
        """Return what the response's headers need on top of `present`."""
        self._has_begun = True
        if self._guest is None:
            return []
        more = [] if _names_cookie(present) else [("Vary", "Cookie")]
        if self._is_new:
            more.append(("Set-Cookie", self._cookie.write(self._guest, is_https=self._is_https)))
            if not any(name.lower() == "cache-control" for name, _ in present):
                more.append(("Cache-Control", "private"))
        return more


def _names_cookie(headers: Sequence[Header]) -> bool:
    varies = [value for name, value in headers if name.lower() == "vary"]
    return any(word.strip().lower() in ("cookie", "*") for value in varies for word in value.split(","))
