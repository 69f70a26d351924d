"""The event stream that tells web clients to evaluate anew: they do not poll unless they are told to."""

import asyncio
import json
from collections.abc import Callable
from typing import Final

from starlette.types import Receive, Send

MOST_STREAMS: Final = 5_000
_BEAT_SECONDS: Final = 15.0


class TooManyStreams(Exception):
    """So many clients listen already that another one would take memory from those that evaluate."""


class EventStream:
    """Tells every listener when answers may have changed.

    Args:
        digest: gives what stands for the answers of this moment; a new one is worth an event.
    """

    def __init__(self, digest: Callable[[], str]) -> None:
        self._digest = digest
        self._listeners: set[asyncio.Event] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def changed(self) -> None:
        """Wake all listeners. From any thread."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._wake)

    async def serve(self, receive: Receive, send: Send, headers: list[tuple[bytes, bytes]]) -> None:
        """Serve one listener until it hangs up.

        Raises:
            TooManyStreams: nothing was sent.
        """
        if len(self._listeners) >= MOST_STREAMS:
            raise TooManyStreams
        self._loop = asyncio.get_running_loop()
        woken = asyncio.Event()
        self._listeners.add(woken)
        gone = asyncio.create_task(_hung_up(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS, *headers]})
            told = self._digest()
            await send(_chunk(b"retry: 3000\n: connected\n\n"))
            while not gone.done():
                woken.clear()
                await _first(gone, woken)
                digest = self._digest()
                if digest != told:
                    told = digest
                    event = {"type": "refetchEvaluation", "etag": digest}
                    await send(_chunk(b"data: %s\n\n" % json.dumps(event).encode()))
                else:
                    await send(_chunk(b": still here\n\n"))
        except OSError:
            return  # it hung up while it was told something
        finally:
            gone.cancel()
            self._listeners.discard(woken)

    def _wake(self) -> None:
        for each in self._listeners:
            each.set()


_HEADERS: Final = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]


async def _first(gone: "asyncio.Task[None]", woken: asyncio.Event) -> None:
    """Return when the listener hangs up, when it is woken, or when it is time for a sign of life."""
    waking = asyncio.create_task(woken.wait())
    try:
        await asyncio.wait([gone, waking], timeout=_BEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waking.cancel()


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _chunk(body: bytes) -> dict[str, object]:
    return {"type": "http.response.body", "body": body, "more_body": True}
