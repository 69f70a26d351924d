"""What operators look at and do: projections, and what servers have laid out."""

import logging
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from threading import Lock, Thread
from types import MappingProxyType
from typing import Final

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from api.audit import note_change
from api.identify import Operator, Reader
from api.parts import Here, Parts
from api.refusals import NoSuchThing, RebuildAtWork
from api.sight import onlooker
from api.texts import StorableText
from events.database import write_transaction
from events.facts import REGISTRY
from projections import laid_out, models, registry, test_list
from projections.errors import ProjectionsError
from projections.overview import Standing, overview
from projections.projection import Projection
from projections.rebuild import rebuild

router = APIRouter(prefix="/api/v1", tags=["operating"])

_PROJECTIONS: Final[Mapping[str, Projection]] = MappingProxyType({each.name: each for each in models.ALL})

_log = logging.getLogger(__name__)


class GenerationDocument(BaseModel):
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
    return [GenerationDocument(**asdict(each)) for each in found]


@router.post("/projections/{name}/pause", summary="Keep a projection where it stands", status_code=204)
def pause(request: Request, parts: Here, _: Operator, name: StorableText, wanted: Pause) -> None:
    """Readers go on to be given its last rows."""
    projection = _projection(name)
    with write_transaction(parts.engine) as connection:
        registry.pause(connection, projection.name, reason=wanted.reason)
    note_change(request, f"projection {name} paused: {wanted.reason}")


@router.post("/projections/{name}/resume", summary="Let a paused projection go on", status_code=204)
def resume(request: Request, parts: Here, _: Operator, name: StorableText) -> None:
    """It pauses again at the same fact if the cause is still there."""
    projection = _projection(name)
    with write_transaction(parts.engine) as connection:
        registry.resume(connection, projection.name)
    note_change(request, f"projection {name} resumed")


@router.post("/projections/{name}/rebuild", summary="Build a projection anew", status_code=202)
def start_rebuild(request: Request, parts: Here, _: Operator, name: StorableText) -> None:
    """Build it from the facts beside the one that serves, and switch; `GET /projections` tells how far it is."""
    rebuilds: Rebuilds = request.app.state.rebuilds
    rebuilds.start(parts, _projection(name))
    note_change(request, f"rebuild of projection {name} started")


@router.get("/servers", summary="The servers that have reported, and what they miss")
def list_servers(parts: Here, identity: Reader) -> list[ServerDocument]:
    """Return all servers, silent ones too, each with those tests that you may see and it misses."""
    with parts.reading() as connection:
        servers = laid_out.servers(connection)
        visible = test_list.visible_keys(connection, onlooker(identity))
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


def _projection(name: str) -> Projection:
    projection = _PROJECTIONS.get(name)
    if projection is None:
        raise NoSuchThing("projection", name)
    return projection
