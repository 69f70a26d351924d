"""What uvicorn serves: evaluations go to their own app at once, everything else through the framework."""

from starlette.types import ASGIApp, Receive, Scope, Send

from api.ofrep.server import PREFIX
from api.proxies import Proxies


class Front:
    """ASGI app: passes each request to one of two.

    Args:
        app: the framework's.
        ofrep: evaluations, which correct the address by themselves where they need it.
        proxies: tell the address of a request.
    """

    def __init__(self, app: ASGIApp, ofrep: ASGIApp, proxies: Proxies) -> None:
        self._app = app
        self._ofrep = ofrep
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            await self._ofrep(scope, receive, send)
        else:
            if scope["type"] != "lifespan":
                await self._proxies.correct(scope)
            await self._app(scope, receive, send)
