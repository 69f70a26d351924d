"""What every page shares: its address, who looks at it, the bar above it, light and dark, and what a person is told."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias, TypeVar
from zlib import crc32

from fastapi import Request
from nicegui import app as nicegui_app
from nicegui import ui
from sqlalchemy import Connection
from starlette.responses import RedirectResponse, Response

from accounts.errors import NotAllowed, NotSignedIn
from accounts.identity import Identity, Permission
from domain.errors import SplitTestNotFound
from domain.people import Actor
from events.errors import EventsError
from projections.errors import ProjectionsError
from web.guard import login_address
from web.parts import Parts
from web.presence import watch_presence
from web.refusals import refused, sentence
from web.rendering import html

_LOG: Final = logging.getLogger(__name__)
_STATIC: Final = Path(__file__).with_name("static")
FAVICON: Final = _STATIC / "favicon.svg"
THEME_COOKIE: Final = "usersplit_theme"
_PATIENCE_SECONDS: Final = 30.0

Answered = TypeVar("Answered")

_PLACES: Final = (
    ("/", "Tests"),
    ("/timeline", "Timeline"),
    ("/groups", "User groups"),
    ("/qa", "QA"),
    ("/operations", "Operations"),
)
_OF_SUPERUSERS: Final = (("/accounts", "Accounts"),)
_BELOW: Final = {"/tests": "/", "/new": "/", "/new-group": "/groups", "/new-account": "/accounts"}
"""To which place of the bar addresses belong that are called otherwise."""


@dataclass(slots=True, kw_only=True)
class Visit:
    """One page for one person.

    Attributes:
        parts: the rest of UserSplit.
        person: who looks, by what the session and the account said when they were asked last: see `present`.
        request: that asked for the page.
    """

    parts: Parts
    person: Identity
    request: Request

    def present(self) -> Identity:
        """Return who looks, by what the session and the account say at this very moment. It asks the database.

        Raises:
            NotSignedIn: the session ended while the page stayed open.
        """
        person = self.parts.person_of(self.request.cookies)
        if person is None:
            raise NotSignedIn("your session has ended")
        self.person = person
        return person

    def permitted(self, permission: Permission) -> Identity:
        """Return who acts.

        Raises:
            NotSignedIn: see `present`.
            NotAllowed: the role of the account does not include it (any more).
        """
        person = self.present()
        person.require(permission)
        return person

    def acting(self, permission: Permission) -> Actor:
        """Return as whom a command is given. Raises as `permitted`."""
        return self.permitted(permission).actor

    @property
    def came_from(self) -> str:
        """The network address of who looks, for the audit log."""
        client = self.request.client
        return client.host if client else "unknown"

    @property
    def address(self) -> str:
        """The page's address on this site."""
        url = self.request.url
        return f"{url.path}?{url.query}" if url.query else url.path

    @property
    def key(self) -> str:
        """The key in the page's address."""
        return self.named("key")

    def named(self, name: str) -> str:
        """Return a part of the page's address."""
        return str(self.request.path_params[name])

    def said(self, name: str) -> str:
        """Return what the address says of `name` behind its question mark, an empty text if it does not."""
        return self.request.query_params.get(name, "")

    async def counting(self, ask: Callable[[], Answered]) -> Answered:
        """Return what `ask`, which may take seconds, answers in a thread of the pool for counting."""
        return await asyncio.get_running_loop().run_in_executor(self.parts.counting, ask)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection to the read models, for `person` as of now. For threads: it may wait.

        Raises:
            NotSignedIn: see `present`.
        """
        self.present()
        with self.parts.reading() as connection:
            yield connection


Build: TypeAlias = Callable[[Visit], Awaitable[Response | None]]


class NotFound(Exception):
    """There is nothing at this address, or nothing that this person may know of."""


def add_page(parts: Parts, path: str, build: Build) -> None:
    """Serve a page at `path`. The guard has let in only people who are signed in."""

    async def shown(request: Request) -> Response | None:
        visit = Visit(parts=parts, person=request.state.person, request=request)
        try:
            if (answer := await build(visit)) is not None:
                return answer
        except NotSignedIn:
            return RedirectResponse(login_address(visit.address), status_code=303)
        except NotAllowed as error:
            _instead(visit, 403, "Not for you", refused(error, by=visit.person.name))
        except (NotFound, SplitTestNotFound) as error:
            _instead(visit, 404, "Nothing here", sentence(error))
        except (ProjectionsError, EventsError) as error:
            _LOG.exception("a page could not be made")
            _instead(visit, 503, "Not now", sentence(error))
        watch_presence(visit.present, visit.person.role, visit.address)
        return None

    ui.page(path, response_timeout=_PATIENCE_SECONDS, dark=None)(shown)


def add_static_files() -> tuple[str, str]:
    """Serve our style sheet and our script, and return their addresses."""
    nicegui_app.add_static_files("/assets", _STATIC, max_cache_age=31536000)
    nicegui_app.add_static_file(local_file=FAVICON, url_path="/favicon.ico")
    style, script = (f"/assets/{name}?v={crc32((_STATIC / name).read_bytes()):x}" for name in ("pages.css", "pages.js"))
    return style, script


@contextmanager
def frame(visit: Visit, title: str) -> Iterator[None]:
    """Put the bar above, and what the block makes into the page's main part."""
    ui.page_title(f"{title} – UserSplit")
    ui.dark_mode(value={"dark": True, "light": False}.get(visit.request.cookies.get(THEME_COOKIE, "")))
    html(
        "top.html",
        places=(*_PLACES, *(_OF_SUPERUSERS if visit.person.may("administer") else ())),
        here=_place(visit.request.url.path),
        person=visit.person,
        environment=visit.parts.environment,
    )
    with ui.element("main").props("id=main tabindex=-1"):
        yield


def head(title: str, *, sub: str = "") -> ui.element:
    """Show the title of a page, and return the row for its buttons."""
    row = ui.element("div").classes("us-head")
    with row:
        html("title.html", title=title, sub=sub).classes("grow")
    return row


def card(title: str = "") -> ui.element:
    """Return a surface with a title."""
    section = ui.element("section").classes("us-card us-stack")
    if title:
        with section:
            html("h2.html", title=title)
    return section


def empty(title: str, advice: str) -> None:
    """Say that there is nothing yet, and what to do."""
    html("empty.html", title=title, advice=advice).classes("us-empty")


def note(text: str, color: str = "") -> ui.label:
    """Show a sentence that stands out. A person with a screen reader hears it."""
    return ui.label(text).classes(f"us-note {color}").props("role=status")


def _place(path: str) -> str:
    """Return the place of the bar to which an address belongs; addresses of no place are their own."""
    first = f"/{path.split('/')[1]}"
    return _BELOW.get(first, first)


def _instead(visit: Visit, status: int, title: str, advice: str) -> None:
    client = ui.context.client
    client.status_code = status
    client.content.clear()
    with client.content, frame(visit, title), card():
        empty(title, advice)
