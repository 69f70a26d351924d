"""The page for strangers: plain HTML, without a web socket, for there is nobody yet whom a socket could belong to."""

from dataclasses import dataclass

from fastapi import FastAPI, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from accounts.origin import own_address
from web.guard import LOGIN
from web.rendering import rendered


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginPage:
    """The sign-in page.

    Attributes:
        style: the address of the style sheet.
        environment: a word that is shown with the title, may be empty.
        company: the address of the sign-in with the company's identity provider, empty if there is none.
        company_label: how that account is called: "Sign in with …".
    """

    style: str
    environment: str = ""
    company: str = ""
    company_label: str = ""

    def shown(self, target: str = "/", *, status: int = 200, said: str = "") -> Response:
        """Return the page; `target` is where a person goes on to, `said` why the last try did not work."""
        page = rendered(
            "login.html",
            style=self.style,
            environment=self.environment,
            next=target,
            said=said,
            company=self.company,
            company_label=self.company_label,
        )
        return HTMLResponse(page, status_code=status, headers={"Cache-Control": "no-store"})

    def refused(self, status: int, sentence: str) -> Response:
        """Return the page for somebody whom the identity provider's word did not let in."""
        return self.shown(status=status, said=f"{sentence[:1].upper()}{sentence[1:]}.")

    def add_to(self, app: FastAPI) -> None:
        """Serve the page on `app`, where the pages are."""

        @app.get(LOGIN, include_in_schema=False)
        def login(request: Request) -> Response:
            return self.shown(own_address(request.query_params.get("next", "/")))

        @app.get("/logout", include_in_schema=False)
        def logout() -> Response:
            return RedirectResponse(LOGIN, status_code=303)
