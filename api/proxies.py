"""Whose address a request comes from, where a trusted proxy stands before us and tells it in X-Forwarded-…."""

from typing import Any, Final

from starlette.types import Scope
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware


class Proxies:
    """Corrects scopes by what trusted proxies tell.

    uvicorn would do so for every request. For an evaluation that takes longer than to find its answer, and nothing of
    it is looked at unless it is refused.

    Args:
        trusted: addresses of proxies, separated by commas; `*` trusts everybody.
    """

    def __init__(self, trusted: str) -> None:
        self._middleware: Final[Any] = ProxyHeadersMiddleware(_nothing, trusted)

    async def correct(self, scope: Scope) -> None:
        """Let the scope's client and scheme be those that the proxy tells of."""
        await self._middleware(scope, _no_message, _nowhere)


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    del scope, receive, send


async def _no_message() -> Any:
    return {}


async def _nowhere(message: Any) -> None:
    del message
