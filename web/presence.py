"""Whether the person a page was made for is still signed in, for as long as the page is open.

A command is refused at once when the session has ended, and so is whatever a page reads. The page itself leads to the
sign-in then, or a few seconds later where nobody touches it; with another role it is made anew.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from nicegui import ui

from accounts.errors import NotSignedIn
from accounts.identity import Identity, Role
from projections.errors import OUTAGES
from web.guard import login_address

LOOK_EVERY_SECONDS: Final = 10.0


def watch_presence(present: Callable[[], Identity], role: Role, address: str) -> None:
    """Lead away from the page being built once its session is over.

    Args:
        present: returns who looks, or raises NotSignedIn; it may wait for the database.
        role: for which the page is made.
        address: of the page, to which signing in leads back.
    """

    def leave(error: Exception) -> None:
        if isinstance(error, NotSignedIn):
            ui.navigate.to(login_address(address))

    async def look() -> None:
        try:
            person = await asyncio.to_thread(present)
        except NotSignedIn as error:
            leave(error)
        except OUTAGES:
            return  # a database that is away signs nobody out
        else:
            if person.role != role:
                ui.navigate.reload()

    ui.timer(LOOK_EVERY_SECONDS, look, immediate=False)
    ui.on_exception(leave)


class NobodyIsThere(logging.Filter):
    """Keeps the traceback of a page that went on asking after its session had ended out of the log: it is no fault."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is worth a line."""
        return not (record.exc_info and isinstance(record.exc_info[1], NotSignedIn))
