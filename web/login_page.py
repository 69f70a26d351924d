"""The page for strangers: plain HTML, without a web socket, for there is nobody yet whom a socket could belong to."""

from collections.abc import Callable
from urllib.parse import urlsplit

from fastapi import FastAPI, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from web.guard import LOGIN
from web.rendering import rendered


def add_login(app: FastAPI, *, style: str, environment: str, company: Callable[[], str]) -> None:
    """Serve the login on `app`.

    Args:
        app: where the pages are.
        style: the address of the style sheet.
        environment: a word that is shown with the title, may be empty.
        company: gives the address of the sign-in with an identity provider, empty if there is none.
    """

    @app.get(LOGIN, include_in_schema=False)
    def login(request: Request) -> Response:
        target = own_address(request.query_params.get("next", "/"))
        page = rendered("login.html", style=style, environment=environment, next=target, company=company())
        return HTMLResponse(page, headers={"Cache-Control": "no-store"})

    @app.get("/logout", include_in_schema=False)
    def logout() -> Response:
        return RedirectResponse(LOGIN, status_code=303)


def own_address(target: str) -> str:
    """Return an address of this site, the first page where `target` leads to another one."""
    parts = urlsplit(target)
    is_own = not parts.scheme and not parts.netloc and target.startswith("/") and not target.startswith(("//", "/\\"))
    return target if is_own and target.isprintable() else "/"
