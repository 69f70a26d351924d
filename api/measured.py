"""Counts and times every request by its route; the numbers go to whoever is told."""

import time
from collections.abc import Callable
from typing import TypeAlias

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Observe: TypeAlias = Callable[[str, str, int, float], None]
"""Told of a request's method, route (its template, such as `/api/v1/tests/{key}`), status, and seconds."""

UNMATCHED = "unmatched"
"""The route of requests for what is not there: their paths are a stranger's, and without end."""


def observe_nothing(method: str, route: str, status: int, seconds: float) -> None:
    """Let the numbers go."""
    del method, route, status, seconds


class Measured:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, *, observe: Observe) -> None:
        self._app = app
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and tell of it once it is answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, began = 500, time.perf_counter()

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            route = getattr(scope.get("route"), "path", UNMATCHED)
            self._observe(_method(scope["method"]), route, status, time.perf_counter() - began)


def _method(method: str) -> str:
    # A method is a stranger's text as well.
    return method if method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} else "OTHER"
