"""The HTTP application: one FastAPI app over the commands and the read models of one database."""

import time
from collections.abc import Callable
from typing import Final, TypeAlias

from fastapi import FastAPI

from accounts.desk import Desk
from accounts.openid import OpenIdDesk
from api import (
    audience,
    checks,
    configs,
    filters,
    health,
    history,
    lifecycle,
    openid,
    operating,
    overrides,
    people,
    settings,
    signing_in,
    split_tests,
    tokens,
    user_group_estimates,
    user_groups,
)
from api import consumers as consumer_standings
from api import traffic as hits
from api.checkers import Checkers
from api.clock import Now
from api.consumers import ReadConsumers, nobody_knows
from api.described import describe
from api.errors import add_error_handlers
from api.limits import Limits
from api.live_configs import LiveConfigs
from api.measured import Measured, Observe, observe_nothing
from api.missing_servers import MissingServersMemory
from api.openid import plain_refusal
from api.parts import Parts
from api.schema_registry import schema_registry
from warehouse.traffic import HitTraffic

OPENAPI_URL: Final = "/api/openapi.json"
REGISTRY: Final = "/registry"
"""Where the schemas of the topics are: public, as they are in the source, and asked for by Kafka's own clients."""

RenderMetrics: TypeAlias = Callable[[], tuple[str, bytes]]
"""Gives the metrics of the process: their content type, and their bytes."""

_DESCRIPTION: Final = """\
Everything the managers' pages can do, and what services ask.

Sign in with an API token (`Authorization: Bearer usersplit_…`), or with a session's cookie. Errors are RFC 9457
problem documents; `error` names the rule. A change takes `If-Match` (the `ETag` of what was seen; 412 if somebody was
faster) and `Idempotency-Key` (the same key again gets the first answer), where the operation lists these headers.
"""


_NEEDING_AN_ACCOUNT: Final = (
    # In the order of how often they are asked: each route is looked at until one fits.
    split_tests,
    settings,
    checks,
    history,
    overrides,
    lifecycle,
    configs,
    user_groups,
    user_group_estimates,
    audience,
    hits,
    signing_in,
    openid,
    filters,
    operating,
    consumer_standings,
    people,
    tokens,
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
    traffic: HitTraffic | None = None,
    consumers: ReadConsumers = nobody_knows,
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
        consumers: tells how far consumers are.
        traffic: counts hits, None where no warehouse is connected.
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
    app.state.previews = audience.Places(audience.MOST_PREVIEWS)
    app.state.counts = audience.Places(audience.MOST_COUNTS)
    app.state.traffic = traffic
    app.state.consumers = consumers
    describe(app)
    add_error_handlers(app)
    app.include_router(health.router)
    for module in _NEEDING_AN_ACCOUNT:
        app.include_router(module.router)
    app.mount(REGISTRY, schema_registry())
    app.add_middleware(Limits)
    app.add_middleware(Measured, observe=observe)
    return app
