"""A web socket drives the page that it was opened for, and no other; and what a person does there counts once.

The guard looks at a socket when it is opened. What comes through it later names a page in each message, and NiceGUI
believes it: whoever knew the id of somebody else's page, which nobody can guess, could press its buttons. So a message
counts only for the page whose room its socket has entered, and a socket enters the room of its own person's page only.

A page numbers its events and sends those again, over its next connection, for which it has no answer (`pages.js`).
"""

import logging
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

from nicegui import Client, core

_AUDIT: Final = logging.getLogger("usersplit.audit")
_OF_A_PAGE: Final = ("event", "javascript_response", "ack", "log")
"""What a page's script tells about its own page."""


def bind_sockets() -> None:
    """Let every message through a socket be of its own page. Once in a process, after NiceGUI has set its handlers."""
    handlers: dict[str, Callable[..., Any]] = core.sio.handlers["/"]
    handlers["event"] = _counting_once(handlers["event"])
    for name in _OF_A_PAGE:
        handlers[name] = _of_its_page(name, handlers[name])
    handlers["handshake"] = _of_its_person(handlers["handshake"])


def _of_its_page(name: str, handle: Callable[..., Any]) -> Callable[..., Any]:
    def handled(sid: str, message: dict[str, Any]) -> Any:
        if message.get("client_id") in core.sio.rooms(sid):
            return handle(sid, message)
        if message.get("client_id") in Client.instances:
            _refused(sid, name)
        # Nothing was done, so nothing is answered: a page says it again once its socket may speak for it.
        return core.sio.not_handled

    return handled


def _counting_once(handle: Callable[..., Any]) -> Callable[..., Any]:
    seen: WeakKeyDictionary[Client, int] = WeakKeyDictionary()

    def handled(sid: str, message: dict[str, Any]) -> Any:
        client, number = Client.instances.get(message["client_id"]), message.get("number")
        if client is not None and isinstance(number, int):
            if number <= seen.get(client, 0):
                return None
            seen[client] = number
        return handle(sid, message)

    return handled


def _of_its_person(handle: Callable[..., Any]) -> Callable[..., Any]:
    async def handled(sid: str, data: dict[str, Any]) -> bool:
        client = Client.instances.get(data.get("client_id", ""))
        if client is not None and client.request.state.person.name != _person_of(sid):
            _refused(sid, "handshake")
            return False
        return bool(await handle(sid, data))

    return handled


def _person_of(sid: str) -> str | None:
    environ = core.sio.get_environ(sid) or {}
    person = environ.get("asgi.scope", {}).get("state", {}).get("person")
    return None if person is None else str(person.name)


def _refused(sid: str, what: str) -> None:
    _AUDIT.warning("refused: a message %r to a page of somebody else, by %r", what, _person_of(sid))
