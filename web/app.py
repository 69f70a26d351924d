"""The managers' pages, mounted on the application that serves the API: the only place where NiceGUI is set up."""

import logging

from fastapi import FastAPI
from nicegui import app as nicegui_app
from nicegui import ui

from web import (
    account_page,
    accounts_page,
    changelog_page,
    charts_page,
    group_page,
    groups_page,
    list_page,
    new_page,
    operations_page,
    own_page,
    qa_page,
    settings_page,
    test_page,
    timeline_page,
)
from web.frame import FAVICON, NotFound, Visit, add_page, add_static_files
from web.guard import Guard
from web.login_page import LoginPage
from web.parts import Parts
from web.presence import NobodyIsThere
from web.sockets import bind_sockets


async def _nothing(visit: Visit) -> None:
    raise NotFound(f"there is no page at {visit.request.url.path}; the bar above leads to those there are")


def mount(app: FastAPI, parts: Parts) -> LoginPage:
    """Serve the pages below every address that `app` itself does not answer. Once in a process.

    Returns the sign-in page, which says as well why the identity provider's word did not let somebody in.
    """
    ui.button.default_props("no-caps unelevated")
    nicegui_app.colors(primary="#2f56d0", positive="#17794a", negative="#b3212f", warning="#8a5a00")
    nicegui_app.add_middleware(Guard, person_of=parts.person_of, public_url=parts.public_url)
    log, nobody_is_there = logging.getLogger("nicegui"), NobodyIsThere()
    log.addFilter(nobody_is_there)
    # What a logger holds outlives the interpreter, for uvloop holds the loggers; so would all that the filter's module
    # imports, and DuckDB's client would fill the terminal with what has leaked.
    nicegui_app.on_shutdown(lambda: log.removeFilter(nobody_is_there))
    bind_sockets()
    style, script = add_static_files()
    ui.add_head_html(f'<link rel="stylesheet" href="{style}"><script src="{script}"></script>', shared=True)
    login = LoginPage(
        style=style, environment=parts.environment, company=parts.company, company_label=parts.company_label
    )
    login.add_to(nicegui_app)
    add_page(parts, "/", list_page.build)
    add_page(parts, "/new", new_page.build)
    add_page(parts, "/tests/{key}", test_page.build)
    add_page(parts, "/tests/{key}/settings", settings_page.build)
    add_page(parts, "/tests/{key}/changelog", changelog_page.build)
    add_page(parts, "/tests/{key}/charts", charts_page.build)
    add_page(parts, "/timeline", timeline_page.build)
    add_page(parts, "/groups", groups_page.build)
    add_page(parts, "/new-group", groups_page.build_new)
    add_page(parts, "/groups/{key}", group_page.build)
    add_page(parts, "/qa", qa_page.build)
    add_page(parts, "/operations", operations_page.build)
    add_page(parts, "/accounts", accounts_page.build)
    add_page(parts, "/accounts/{name}", account_page.build)
    add_page(parts, "/new-account", accounts_page.build_new)
    add_page(parts, "/me", own_page.build)
    add_page(parts, "/{path:path}", _nothing)
    ui.run_with(
        app,
        title="UserSplit",
        favicon=FAVICON,
        dark=None,
        language="en-US",
        tailwind=False,
        binding_refresh_interval=None,
        reconnect_timeout=30.0,
        show_welcome_message=False,
    )
    return login
