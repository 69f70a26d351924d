"""Two guards around the whole app: no body is longer than anything here can be, and browsers get safe headers."""

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.audit import note_refusal
from api.errors import problem

MOST_BODY_BYTES: Final = 2 * 1024 * 1024
"""Twice the longest conditions: a proposal is the longest document that anybody sends."""

_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
}


class Limits:
    """ASGI middleware: refuses over-long bodies, whether they say their length or not, and adds safe headers."""

    def __init__(self, app: ASGIApp, *, most_body_bytes: int = MOST_BODY_BYTES) -> None:
        self._app = app
        self._most = most_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on while its body is short enough."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(receive, self._most)
        answer = _Answer(send, body)
        declared = Request(scope).headers.get("content-length", "0")
        if not declared.isdecimal() or int(declared) <= self._most:
            try:
                await self._app(scope, body.receive, answer.send)
            except ClientDisconnect:
                if not body.is_too_long:
                    raise
            if not body.is_too_long or answer.is_started:
                return
        sentence = f"the body is longer than {self._most:,} bytes; send less"
        note_refusal(Request(scope), 413, "BodyTooLong", sentence)
        await problem(413, "BodyTooLong", sentence, headers={"Connection": "close"})(scope, receive, send)


class _Body:
    """Counts what arrives; beyond the limit, the app is told that there is nobody who sends."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive = receive
        self._left = most

    @property
    def is_too_long(self) -> bool:
        return self._left < 0

    async def receive(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        return {"type": "http.disconnect"} if self.is_too_long else message


class _Answer:
    """Adds headers, and keeps back whatever the app makes of half a body."""

    def __init__(self, send: Send, body: _Body) -> None:
        self._send = send
        self._body = body
        self.is_started = False

    async def send(self, message: Message) -> None:
        if self._body.is_too_long and not self.is_started:
            return
        if message["type"] == "http.response.start":
            self.is_started = True
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)
