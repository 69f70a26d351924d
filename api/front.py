"""What uvicorn serves: evaluations go to their own app at once, everything else through the framework."""

from starlette.types import ASGIApp, Receive, Scope, Send

from api.ofrep.server import PREFIX


class Front:
    """ASGI app: passes each request to one of two."""

    def __init__(self, app: ASGIApp, ofrep: ASGIApp) -> None:
        self._app = app
        self._ofrep = ofrep

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            await self._ofrep(scope, receive, send)
        else:
            await self._app(scope, receive, send)
