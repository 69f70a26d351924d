"""`serve`: the HTTP API and the managers' pages, wired, and run by uvicorn until it is time to stop."""

import asyncio
import contextlib
import gc
import logging
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from socket import socket
from threading import Event
from typing import Final

import uvicorn
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from accounts.desk import Desk
from accounts.openid import OpenIdDesk
from accounts.openid_people import PeopleRules
from accounts.openid_provider import OpenIdProvider
from api.app import create_app
from api.evaluations import live_configs, ofrep_server
from api.front import Front
from api.measured import Observe
from api.openid import CALLBACK
from api.proxies import Proxies
from entrypoints.backbone import Backbone
from entrypoints.clock import now
from entrypoints.consumer_standings import ConsumerStandings, StoredOffsets
from entrypoints.metrics import Metrics
from entrypoints.pages import mount_pages
from entrypoints.settings import OpenIdSettings, ServeSettings
from entrypoints.threads import Crew
from streams.groups import ConsumerGroups
from warehouse.traffic import HitTraffic

_ASK_SECONDS: Final = 0.5
_GRACE_SECONDS: Final = 10
_SWITCH_SECONDS: Final = 0.001

_log = logging.getLogger(__name__)


class NowhereToListen(Exception):
    """The port cannot be had."""

    def __init__(self, address: str, port: int) -> None:
        super().__init__(
            f"nothing can be served on {address}:{port}: somebody listens there, or the address is not of this "
            "machine; set USERSPLIT_HTTP_ADDRESS and USERSPLIT_HTTP_PORT"
        )


class NoPasswordForFirst(Exception):
    """The first superuser needs a password."""

    def __init__(self) -> None:
        super().__init__(
            "USERSPLIT_FIRST_SUPERUSER needs USERSPLIT_FIRST_SUPERUSER_PASSWORD; or leave both out and run: "
            "python -m entrypoints create-account NAME --role superuser"
        )


def serve(  # noqa: PLR0913 - what a process hands in, by name
    backbone: Backbone,
    settings: ServeSettings,
    stop: Event,
    metrics: Metrics,
    *,
    traffic: HitTraffic | None = None,
    groups: ConsumerGroups | None = None,
    stored: StoredOffsets | None = None,
    environment: str = "",
    is_alone: bool = False,
    listening: socket | None = None,
) -> None:
    """Serve until `stop` is set; requests under way are given time to end.

    Args:
        backbone: the write side and the read models.
        settings: where, and for whom.
        stop: ends it.
        metrics: of the process.
        traffic: counts hits for the pages' charts, None where no warehouse is connected.
        groups: tells operators how Kafka's consumer groups stand, None where Kafka is not known.
        stored: tells them how far the warehouse has got, None where none is connected.
        environment: a word that is shown on pages.
        is_alone: whether the process does nothing else.
        listening: the socket to serve on, if somebody listens already; by default one as the settings say.

    Raises:
        NowhereToListen: the port is taken.
        NoPasswordForFirst: a first superuser without a password.
    """
    desk = open_desk(backbone, settings)
    openid = open_openid(desk, settings)
    make_first_superuser(desk, settings)
    # Read models that were never built would answer 503 until a projector came; one reading builds them.
    backbone.projector.catch_up()
    live = live_configs(backbone)
    live.refresh()
    observe = observer(metrics)
    consumers = ConsumerStandings(backbone, groups, now=now, stored=stored)
    app = create_app(
        backbone,
        desk,
        now=now,
        live=live,
        environment_name=settings.environment_name,
        public_url=settings.public_url,
        observe=observe,
        render_metrics=lambda: (CONTENT_TYPE_LATEST, generate_latest(metrics.registry)),
        identity_provider=openid,
        traffic=traffic,
        consumers=consumers.read,
    )
    mount_pages(
        app,
        backbone,
        desk,
        consumers,
        traffic=traffic,
        public_url=settings.public_url,
        environment=environment,
        openid=openid,
    )
    proxies = Proxies(settings.trusted_proxies)
    ofrep = ofrep_server(
        live,
        desk,
        proxies,
        environment_name=settings.environment_name,
        split_groups=settings.ofrep_split_groups,
        observe=observe,
        now_ns=time.time_ns,
    )
    config = uvicorn.Config(
        Front(app, ofrep, proxies),
        host=settings.http_address,
        port=settings.http_port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    # An event of its own: who asks `stop` says that the event loop turns, and this thread cannot know that.
    crew = Crew()
    crew.start("configs", live.follow)
    crew.start("token-uses", desk.token_uses.follow)
    if backbone.audience is not None:
        crew.start("live-numbers", backbone.audience.run)
    if is_alone:
        _settle()
    try:
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(_serve(_Server(config), settings, stop, listening))
    finally:
        crew.stop()
        # What stays frozen is never let go of, and DuckDB's client fills the terminal with what has leaked.
        gc.unfreeze()


def _settle() -> None:
    """Let the event loop be held up by little.

    What was made until now is not looked at by the collector again, and a thread that computes hands over after a
    millisecond instead of five.
    """
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(_SWITCH_SECONDS)


def open_desk(backbone: Backbone, settings: ServeSettings) -> Desk:
    """Return the desk that says who people are."""
    return Desk(
        backbone.engine,
        now=now,
        monotonic=time.monotonic,
        session_secrets=settings.session_secrets(),
        session_seconds=settings.session_hours * 3600,
        over_https=settings.public_url.startswith("https:"),
    )


def open_openid(desk: Desk, settings: OpenIdSettings) -> OpenIdDesk | None:
    """Return the desk for people whom the company's identity provider knows, None if none is set up."""
    if not settings.openid_issuer:
        return None
    provider = OpenIdProvider(
        issuer=settings.openid_issuer,
        client_id=settings.openid_client_id,
        client_secret=settings.openid_client_secret.get_secret_value(),
        scopes=settings.openid_scopes.split(),
        now=now,
        monotonic=time.monotonic,
    )
    return OpenIdDesk(
        desk,
        provider,
        PeopleRules(
            name_claim=settings.openid_name_claim,
            role_claim=settings.openid_role_claim,
            roles=settings.openid_roles,
            default_role=settings.openid_default_role or None,
            makes_accounts=settings.openid_new_accounts,
        ),
        public_url=settings.public_url,
        callback=CALLBACK,
        label=settings.openid_label,
        signs_out=settings.openid_sign_out,
    )


def make_first_superuser(desk: Desk, settings: ServeSettings) -> None:
    """Make the account of the settings where there is none at all; say how to make one where there is none.

    Raises:
        NoPasswordForFirst: it has no password.
        accounts.errors.AccountsError: its name or password cannot be one.
    """
    if not desk.directory.is_empty():
        return
    if not settings.first_superuser:
        _log.warning("nobody can sign in yet; run: python -m entrypoints create-account NAME --role superuser")
        return
    password = settings.first_superuser_password.get_secret_value()
    if not password:
        raise NoPasswordForFirst
    account = desk.directory.create(settings.first_superuser, "superuser", password=password)
    _log.info("the first superuser is %s", account.name)


def observer(metrics: Metrics) -> Observe:
    """Return what takes the times of requests into a histogram."""
    seconds = metrics.seconds("usersplit_http_seconds", "method", "route", "status")
    of: dict[tuple[str, str, int], Callable[[float], None]] = {}

    def observe(method: str, route: str, status: int, took: float) -> None:
        # Finding a series by its labels costs more than counting in it.
        count = of.get((method, route, status))
        if count is None:
            count = of[method, route, status] = seconds.labels(method, route, str(status)).observe
        count(took)

    return observe


class _Server(uvicorn.Server):
    """Leaves signals to `entrypoints.liveness`, which every process of ours listens with."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


async def _serve(server: _Server, settings: ServeSettings, stop: Event, listening: socket | None) -> None:
    async with _stopping(server, stop):
        try:
            await server.serve(sockets=None if listening is None else [listening])
        except SystemExit as ended:  # what uvicorn does where it cannot listen
            raise NowhereToListen(settings.http_address, settings.http_port) from ended


@contextlib.asynccontextmanager
async def _stopping(server: _Server, stop: Event) -> AsyncIterator[None]:
    """Let the server end once `stop` is set. Each question is a sign that the event loop turns."""

    async def ask() -> None:
        while not stop.is_set():  # noqa: ASYNC110 - a thread's event; and each question is the sign of life
            await asyncio.sleep(_ASK_SECONDS)
        server.should_exit = True

    asking = asyncio.create_task(ask())
    try:
        yield
    finally:
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking
