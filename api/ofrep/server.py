"""The ASGI app of OFREP: POST /ofrep/v1/evaluate/flags, the same with a key behind it, and the event stream.

It stands beside the framework's routes, not behind them, for a route costs more than an evaluation. It takes API tokens
only, never a session's cookie, so that pages of other sites may ask it (CORS) without acting for whoever is signed in.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final, TypeAlias
from urllib.parse import parse_qs

from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from accounts.errors import AccountsError, NotAllowed
from api.audit import note_refusal
from api.measured import Observe
from api.ofrep.answers import Answers
from api.ofrep.entrance import Entrance, Guest
from api.ofrep.events import EventStream, TooManyStreams
from api.ofrep.requests import MOST_BODY_BYTES, OfrepError, read_context
from api.proxies import Proxies

PREFIX: Final = "/ofrep/"
EVENTS: Final = "/ofrep/v1/events"
_BULK: Final = "/ofrep/v1/evaluate/flags"
_SINGLE: Final = "/ofrep/v1/evaluate/flags/"
_ROUTE_OF_SINGLE: Final = "/ofrep/v1/evaluate/flags/{key}"
_UNMATCHED: Final = "unmatched"

_Headers: TypeAlias = list[tuple[bytes, bytes]]

_JSON: Final = (b"content-type", b"application/json")
_PREFLIGHT: Final = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"POST, GET, OPTIONS"),
    (b"access-control-allow-headers", b"Content-Type, Authorization, X-API-Key, If-None-Match"),
    (b"access-control-max-age", b"3600"),
]
_CORS: Final = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"ETag, Retry-After"),
]

_log = logging.getLogger(__name__)


class _Head:
    """What a request says before its body."""

    __slots__ = ("cors", "if_none_match", "key", "route", "token")

    def __init__(self, scope: Scope) -> None:
        self.token = self.if_none_match = b""
        self.cors: _Headers = []
        self.key: str | None = None
        self.route = _route(scope["method"], scope["path"])
        if self.route is _ROUTE_OF_SINGLE:
            self.key = scope["path"][len(_SINGLE) :]
        for name, value in scope["headers"]:
            if name == b"authorization" and value[:7].lower() == b"bearer ":
                self.token = value[7:]
            elif name == b"x-api-key":
                self.token = self.token or value
            elif name == b"if-none-match":
                self.if_none_match = value
            elif name == b"origin":
                self.cors = _CORS


class OfrepServer:
    """Answers evaluations.

    Args:
        answers: evaluates contexts.
        entrance: lets tokens in.
        events: tells listeners of changes.
        proxies: tell the address of a request that is refused.
        refresh: brings the configs up to date, where a client has heard of others than are in hand here. May block.
        observe: told of every request.
    """

    def __init__(
        self,
        answers: Answers,
        entrance: Entrance,
        events: EventStream,
        proxies: Proxies,
        *,
        refresh: Callable[[], object],
        observe: Observe,
    ) -> None:
        self._answers = answers
        self._entrance = entrance
        self._events = events
        self._proxies = proxies
        self._refresh = refresh
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        began, head, status = time.perf_counter(), _Head(scope), 500
        try:
            status = await self._handle(head, scope, receive, send)
        except OfrepError as error:
            status = await self._refuse(scope, send, error, head)
        except AccountsError as error:
            code = 403 if isinstance(error, NotAllowed) else 401
            status = await self._refuse(scope, send, OfrepError(code, "GENERAL", str(error)), head)
        except Exception:  # noqa: BLE001 - whatever it is, the client gets the protocol's error
            _log.exception("%s failed", scope["path"])
            wrong = OfrepError(500, "GENERAL", "something went wrong here; it was logged")
            status = await _answer(send, 500, wrong.body(head.key), [_JSON, *head.cors])
        finally:
            self._observe(scope["method"], head.route, status, time.perf_counter() - began)

    async def _handle(self, head: _Head, scope: Scope, receive: Receive, send: Send) -> int:
        route = head.route
        if route is _BULK:
            return await self._bulk(head, scope, receive, send)
        if route is _ROUTE_OF_SINGLE:
            await self._guest(head.token)
            answer = self._answers.single(head.key or "", read_context(await _body(receive)))
            return await _answer(send, 200, answer, [_JSON, *head.cors])
        if route is EVENTS:
            return await self._listen(scope, receive, send, head.cors)
        if scope["method"] == "OPTIONS":
            return await _answer(send, 204, b"", _PREFLIGHT)
        raise OfrepError(404, "GENERAL", f"there is nothing at {scope['path']!r:.200}; POST to {_BULK}")

    async def _refuse(self, scope: Scope, send: Send, error: OfrepError, head: _Head) -> int:
        await self._proxies.correct(scope)
        note_refusal(HTTPConnection({**scope, "state": {}}), error.status, error.code, error.detail)
        return await _answer(send, error.status, error.body(head.key), [_JSON, *head.cors])

    async def _bulk(self, head: _Head, scope: Scope, receive: Receive, send: Send) -> int:
        guest = await self._guest(head.token)
        context = read_context(await _body(receive))
        if scope["query_string"]:
            await self._catch_up(scope["query_string"])
        etag, body = self._answers.bulk(context)
        headers = [_JSON, (b"etag", b'"%s"' % etag), *head.cors]
        if head.if_none_match and etag in head.if_none_match:
            return await _answer(send, 304, None, headers)
        return await _answer(send, 200, body + guest.tail, headers)

    async def _guest(self, token: bytes) -> Guest:
        guest = self._entrance.known(token)
        return guest if guest is not None else await self._entrance.let_in(token)

    async def _catch_up(self, query: bytes) -> None:
        """Refresh for a client that was sent by an event, perhaps of another process that is ahead of this one."""
        heard = parse_qs(query.decode("latin-1")).get("flagConfigEtag", [""])[0]
        if heard and heard != self._answers.digest():
            await asyncio.to_thread(self._refresh)

    async def _listen(self, scope: Scope, receive: Receive, send: Send, cors: _Headers) -> int:
        ticket = parse_qs(scope["query_string"].decode("latin-1")).get("ticket", [""])[0]
        await self._entrance.let_listen(ticket)
        try:
            await self._events.serve(receive, send, cors)
        except TooManyStreams:
            raise OfrepError(503, "GENERAL", "too many clients listen already; poll instead") from None
        return 200


def _route(method: str, path: str) -> str:
    if method == "POST":
        if path == _BULK:
            return _BULK
        return _ROUTE_OF_SINGLE if path.startswith(_SINGLE) else _UNMATCHED
    return EVENTS if method == "GET" and path == EVENTS else _UNMATCHED


async def _body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body", False) and len(body) <= MOST_BODY_BYTES:
        message = await receive()
        body += message.get("body", b"")
    if len(body) > MOST_BODY_BYTES:
        raise OfrepError(413, "GENERAL", f"the body is longer than {MOST_BODY_BYTES:,} bytes")
    return body


async def _answer(send: Send, status: int, body: bytes | None, headers: _Headers) -> int:
    if body is not None:
        headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body or b""})
    return status
