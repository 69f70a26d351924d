"""The end of the API: an address under it that is nothing gets a problem document, and no page of the managers'."""

from itertools import takewhile
from typing import Final

from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Router
from starlette.types import Receive, Scope, Send

_METHODS: Final = ("DELETE", "GET", "PATCH", "POST", "PUT")
_PREFIXES: Final = ("/api/", "/health", "/ready", "/metrics")


class Nowhere(BaseRoute):
    """The route behind all others of the API, to be put before the pages, which take every address.

    Args:
        router: holds the others.
    """

    def __init__(self, router: Router) -> None:
        self._router = router

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Take everything that begins as the API's addresses do."""
        is_ours = scope["type"] == "http" and scope["path"].startswith(_PREFIXES)
        return (Match.FULL if is_ours else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Say that there is nothing, or which methods there are."""
        del receive, send
        allowed = [method for method in _METHODS if self._is_answered({**scope, "method": method})]
        if allowed:
            raise HTTPException(405, headers={"Allow": ", ".join(allowed)})
        raise HTTPException(404, f"there is nothing at {scope['path']!r:.200}; see /api/openapi.json")

    def _is_answered(self, scope: Scope) -> bool:
        before = takewhile(lambda route: route is not self, self._router.routes)
        return any(route.matches(scope)[0] is Match.FULL for route in before)
