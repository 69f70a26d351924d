"""What operators look at and do: projections, and what servers have laid out."""

import logging
from collections.abc import Mapping
from datetime import datetime
from threading import Lock, Thread
from types import MappingProxyType
from typing import Final

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from api.changes import etag
from api.first_answers import Deed
from api.identify import Reader
from api.once import Done, Operating
from api.parts import Here, Parts
from api.refusals import NoSuchThing, RebuildAtWork
from api.rendering import rendered
from api.sight import onlooker
from api.texts import StorableText
from events.facts import REGISTRY
from projections import laid_out, list_pages, models, registry
from projections.errors import ProjectionsError
from projections.overview import GenerationOverview, Standing, overview
from projections.projection import Projection
from projections.rebuild import rebuild

router = APIRouter(prefix="/api/v1", tags=["operating"])

_PROJECTIONS: Final[Mapping[str, Projection]] = MappingProxyType({each.name: each for each in models.ALL})

_log = logging.getLogger(__name__)


class GenerationDocument(TypedDict):
    """One generation of a projection; `serves` says whether readers are given it, `advice` how to go on."""

    name: str
    generation: int
    version: int
    position: int
    lag: int
    state: Standing
    reason: str
    serves: bool
    advice: str


class ProjectionDocument(TypedDict):
    """A projection by its generations. `version` is what a change of its state may expect; the ETag as well."""

    name: str
    generations: list[GenerationDocument]
    version: int


class Pause(BaseModel):
    """Why a projection is paused."""

    model_config = ConfigDict(extra="forbid")

    reason: StorableText = Field(default="an operator paused it", max_length=500)


class ServerDocument(BaseModel):
    """A server that has reported, and the tests that it misses."""

    environment: str
    host: str
    is_live: bool
    silent_seconds: float
    position: int
    reported_at: datetime
    misses: list[str]


class Rebuilds:
    """Rebuilds that this process runs, one a projection, each in a thread of its own."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._at_work: dict[str, Thread] = {}

    def start(self, parts: Parts, projection: Projection) -> None:
        """Start one, and return.

        Raises:
            RebuildAtWork: one is running here.
        """
        with self._lock:
            if projection.name in self._at_work:
                raise RebuildAtWork(projection.name)
            thread = Thread(target=self._run, args=(parts, projection), name=f"rebuild {projection.name}", daemon=True)
            self._at_work[projection.name] = thread
            thread.start()

    def wait(self) -> None:
        """Return once none is at work."""
        with self._lock:
            threads = list(self._at_work.values())
        for thread in threads:
            thread.join()

    def _run(self, parts: Parts, projection: Projection) -> None:
        try:
            rebuild(engine=parts.engine, store=parts.store, registry=REGISTRY, projection=projection)
        except Exception:  # noqa: BLE001 - the end of a thread: whatever it is, an operator reads it in the log
            _log.exception("the rebuild of %s failed and changed nothing for readers", projection.name)
        finally:
            with self._lock:
                self._at_work.pop(projection.name, None)


@router.get("/projections", summary="Where every projection stands")
def list_projections(parts: Here, _: Reader) -> list[GenerationDocument]:
    """Return every generation; while one is rebuilt, its position tells how far it is."""
    with parts.engine.connect() as connection:
        found = overview(connection, models.ALL, head=parts.store.head())
    return [_generation(each) for each in found]


@router.get("/projections/{name}", summary="Where one projection stands", response_model=ProjectionDocument)
def get_projection(parts: Here, _: Reader, name: StorableText) -> Response:
    """Return its generations. The ETag changes with its state, and not while it follows the log."""
    projection = _projection(name)
    with parts.engine.connect() as connection:
        found = overview(connection, [projection], head=parts.store.head())
        version = registry.state_version(connection, name)
    generations = [_generation(each) for each in found]
    return rendered(
        ProjectionDocument(name=name, generations=generations, version=version), headers={"ETag": etag(version)}
    )


@router.post(
    "/projections/{name}/pause", summary="Keep a projection where it stands", status_code=204, response_class=Response
)
def pause(order: Operating, name: StorableText, wanted: Pause) -> Response:
    """Readers go on to be given its last rows."""
    projection = _projection(name)

    def keep_it(deed: Deed) -> Done:
        with deed.writing() as connection:
            registry.require_state(connection, name, order.expected_version)
            registry.pause(connection, projection.name, reason=wanted.reason)
            version = registry.state_version(connection, name)
        return Done(status=204, noted=f"projection {name} paused: {wanted.reason}", version=version)

    return order.once("pause projection", name, wanted.model_dump(), keep_it)


@router.post(
    "/projections/{name}/resume", summary="Let a paused projection go on", status_code=204, response_class=Response
)
def resume(order: Operating, name: StorableText) -> Response:
    """It pauses again at the same fact if the cause is still there."""
    projection = _projection(name)

    def let_it_go_on(deed: Deed) -> Done:
        with deed.writing() as connection:
            registry.require_state(connection, name, order.expected_version)
            registry.resume(connection, projection.name)
            version = registry.state_version(connection, name)
        return Done(status=204, noted=f"projection {name} resumed", version=version)

    return order.once("resume projection", name, {}, let_it_go_on)


@router.post("/projections/{name}/rebuild", summary="Build a projection anew", status_code=202, response_class=Response)
def start_rebuild(request: Request, parts: Here, order: Operating, name: StorableText) -> Response:
    """Build it from the facts beside the one that serves, and switch; `GET /projections` tells how far it is."""
    rebuilds: Rebuilds = request.app.state.rebuilds
    projection = _projection(name)

    def start(deed: Deed) -> Done:
        with deed.writing() as connection:
            registry.require_state(connection, name, order.expected_version)
        # Before the commit, behind which it waits: an answer that says it was started is kept only if it was.
        rebuilds.start(parts, projection)
        return Done(status=202, noted=f"rebuild of projection {name} started")

    return order.once("rebuild projection", name, {}, start)


@router.get("/servers", summary="The servers that have reported, and what they miss")
def list_servers(parts: Here, identity: Reader) -> list[ServerDocument]:
    """Return all servers, silent ones too, each with those tests that you may see and it misses."""
    with parts.reading() as connection:
        servers = laid_out.servers(connection)
        visible = list_pages.visible_keys(connection, onlooker(identity))
        try:
            missing = laid_out.not_laid_out(connection)
        except ProjectionsError:
            missing = {}
    return [
        ServerDocument(
            environment=server.environment,
            host=server.host,
            is_live=server.is_live,
            silent_seconds=server.silent_seconds,
            position=server.position,
            reported_at=server.reported_at,
            misses=[key for key, names in missing.items() if server.name in names and key in visible],
        )
        for server in servers
    ]


def _generation(standing: GenerationOverview) -> GenerationDocument:
    return GenerationDocument(
        name=standing.name,
        generation=standing.generation,
        version=standing.version,
        position=standing.position,
        lag=standing.lag,
        state=standing.state,
        reason=standing.reason,
        serves=standing.serves,
        advice=standing.advice,
    )


def _projection(name: str) -> Projection:
    projection = _PROJECTIONS.get(name)
    if projection is None:
        raise NoSuchThing("projection", name)
    return projection
