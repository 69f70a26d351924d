"""The HTTP application: one FastAPI app over the commands and the read models of one database."""

import time
from collections.abc import Callable
from typing import Final, TypeAlias

from fastapi import FastAPI

from accounts.desk import Desk
from accounts.openid import OpenIdDesk
from api import (
    checks,
    configs,
    filters,
    health,
    history,
    lifecycle,
    openid,
    operating,
    people,
    settings,
    signing_in,
    split_tests,
)
from api.checkers import Checkers
from api.clock import Now
from api.errors import add_error_handlers
from api.identify import DESCRIBED_SECURITY
from api.limits import Limits
from api.live_configs import LiveConfigs
from api.measured import Measured, Observe, observe_nothing
from api.missing_servers import MissingServersMemory
from api.openid import plain_refusal
from api.parts import Parts

OPENAPI_URL: Final = "/api/openapi.json"

RenderMetrics: TypeAlias = Callable[[], tuple[str, bytes]]
"""Gives the metrics of the process: their content type, and their bytes."""

_DESCRIPTION: Final = """\
Everything the managers' pages can do, and what services ask.

Sign in with an API token (`Authorization: Bearer usersplit_…`), or with a session's cookie. Errors are RFC 9457
problem documents; `error` names the rule. A change takes `If-Match` (the `ETag` of what was seen; 412 if somebody was
faster) and `Idempotency-Key` (the same key again gets the first answer).
"""


_NEEDING_AN_ACCOUNT: Final = (
    signing_in,
    openid,
    split_tests,
    settings,
    lifecycle,
    history,
    checks,
    configs,
    filters,
    operating,
    people,
)


def _no_metrics() -> tuple[str, bytes]:
    return "text/plain", b""


def create_app(  # noqa: PLR0913 - the ports of a process, wired by name
    parts: Parts,
    desk: Desk,
    *,
    now: Now,
    live: LiveConfigs,
    environment_name: str = "production",
    public_url: str = "",
    monotonic: Callable[[], float] = time.monotonic,
    observe: Observe = observe_nothing,
    render_metrics: RenderMetrics = _no_metrics,
    identity_provider: OpenIdDesk | None = None,
) -> FastAPI:
    """Return the application; nothing is connected or started by it.

    Args:
        parts: the write side and the read models.
        desk: says who somebody is.
        now: the clock.
        live: the config documents in memory.
        environment_name: of which environment QA overrides count for clients.
        public_url: under which address browsers see the application, where a proxy stands before it.
        monotonic: the clock that never jumps.
        observe: told of every request.
        render_metrics: gives the metrics of the process.
        identity_provider: the desk for people whom the company's identity provider knows, None without one.
    """
    app = FastAPI(
        title="UserSplit", version="1", description=_DESCRIPTION, docs_url=None, redoc_url=None, openapi_url=OPENAPI_URL
    )
    app.state.parts = parts
    app.state.desk = desk
    app.state.now = now
    app.state.live = live
    app.state.checkers = Checkers(live)
    app.state.missing_servers = MissingServersMemory(monotonic)
    app.state.environment_name = environment_name
    app.state.rebuilds = operating.Rebuilds()
    app.state.public_url = public_url
    app.state.render_metrics = render_metrics
    app.state.openid = identity_provider
    app.state.sign_in_refused = plain_refusal
    add_error_handlers(app)
    app.include_router(health.router)
    for module in _NEEDING_AN_ACCOUNT:
        app.include_router(module.router, dependencies=DESCRIBED_SECURITY)
    app.add_middleware(Limits)
    app.add_middleware(Measured, observe=observe)
    return app
