"""Requests to an ASGI application in this process, without a server."""

import asyncio
from typing import Any

import httpx


class AsgiClient:
    """Asks an application, one request after the other."""

    def __init__(self, application: Any) -> None:
        self._application = application

    def get(self, path: str) -> httpx.Response:
        """GET."""
        return self.request("GET", path)

    def post(self, path: str, **body: Any) -> httpx.Response:
        """POST; `json` or `content` is the body."""
        return self.request("POST", path, **body)

    def request(self, method: str, path: str, **body: Any) -> httpx.Response:
        """Any other method."""

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._application)
            async with httpx.AsyncClient(transport=transport, base_url="http://application") as client:
                return await client.request(method, path, **body)

        return asyncio.run(ask())
