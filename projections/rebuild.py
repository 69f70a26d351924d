"""Building a projection anew beside the one that serves, and switching in one transaction.

Readers see the old rows until the switch and the new ones after it, never an empty table. A rebuild that is killed
leaves a half-built generation that nobody reads; the next rebuild removes it.
"""

import time
from collections.abc import Callable
from logging import getLogger

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import InterfaceError, OperationalError

from events.database import write_transaction
from events.registry import FactRegistry
from events.store import EventStore
from projections import registry as generations
from projections.errors import RebuildFailed, RebuildSuperseded
from projections.log_batches import LogBatch, read_batch
from projections.progress import Progress, ReportProgress, Stage, report_nothing
from projections.projection import Projection
from projections.registry import Generation

_log = getLogger(__name__)

_WAIT_FOR_READERS_MILLISECONDS = 2000


def rebuild(
    *,
    engine: Engine,
    store: EventStore,
    registry: FactRegistry,
    projection: Projection,
    progress: ReportProgress = report_nothing,
    batch_size: int = 5000,
    monotonic: Callable[[], float] = time.monotonic,
) -> Generation:
    """Build `projection` from position 0 in new tables, let them serve, and drop the old ones.

    The new generation is live whatever the old one was: paused, or of another version of the code. Facts may be
    appended meanwhile, and projectors may go on; none is lost. It never serves from a position before the old one's.

    Returns:
        the generation that serves now.

    Raises:
        RebuildFailed: a fact could not be decoded or applied, or its name is unknown; nothing changed for readers.
        RebuildSuperseded: another rebuild of this projection was started meanwhile, and goes on.
    """
    return _Rebuild(engine, store, registry, projection, progress, batch_size, monotonic).run()


def drop_retired(engine: Engine, projection: Projection) -> list[Generation]:
    """Drop generations that serve nobody any more; return those that are left because a reader is still in them."""
    with engine.connect() as connection:
        retired = [each for each in generations.generations(connection, projection.name) if each.state == "retired"]
    left = []
    for generation in retired:
        try:
            with write_transaction(engine) as connection:
                generations.wait_for_readers(connection, projection.name, milliseconds=_WAIT_FOR_READERS_MILLISECONDS)
                generations.drop(connection, projection, generation)
        except OperationalError as error:
            # Readers come first: the rows are harmless, and the next rebuild tries again.
            _log.warning(
                "generation %d of %s is still being read, its tables stay until the next rebuild: %s",
                generation.generation,
                projection.name,
                error.orig,
            )
            left.append(generation)
    return left


class _Rebuild:
    def __init__(
        self,
        engine: Engine,
        store: EventStore,
        registry: FactRegistry,
        projection: Projection,
        progress: ReportProgress,
        batch_size: int,
        monotonic: Callable[[], float],
    ) -> None:
        self._engine = engine
        self._store = store
        self._registry = registry
        self._projection = projection
        self._progress = progress
        self._batch_size = batch_size
        self._monotonic = monotonic
        self._began = monotonic()

    def run(self) -> Generation:
        self._say("starting", 0)
        building = self._begin()
        drop_retired(self._engine, self._projection)
        try:
            building = self._build(building)
            self._say("switching", building.position)
            built = self._switch(building)
        except RebuildFailed:
            self._give_up(building)
            raise
        self._say("dropping", built.position)
        drop_retired(self._engine, self._projection)
        self._say("done", built.position)
        return built

    def _begin(self) -> Generation:
        with write_transaction(self._engine) as connection:
            generations.lock(connection)
            known = generations.generations(connection, self._projection.name)
            for generation in known:
                if generation.state == "building":
                    generations.set_state(connection, generation, "retired", reason="its rebuild did not end")
            number = max((each.generation for each in known), default=0) + 1
            return generations.create(connection, self._projection, number=number, state="building")

    def _build(self, building: Generation) -> Generation:
        while not (batch := self._read(building.position)).is_empty:
            with write_transaction(self._engine) as connection:
                building = self._apply(connection, building, batch)
            self._say("building", building.position)
            if batch.reached - batch.after < self._batch_size:
                break  # near enough: going for the very end, it would run after busy writers for ever
        return building

    def _switch(self, building: Generation) -> Generation:
        with write_transaction(self._engine) as connection:
            # From here on no projector moves, so what the old generation is ahead by is little, and stays.
            generations.lock(connection)
            old = generations.serving(connection, self._projection.name)
            while old is not None and building.position < old.position:
                batch = self._read(building.position)
                if batch.is_empty:
                    break  # the old one stands beyond the end of the log: an older log was restored, and it counts
                building = self._apply(connection, building, batch)
            if not generations.move(connection, building, to=building.position):
                raise RebuildSuperseded(building.name, building.generation)
            if old is not None:
                generations.set_state(connection, old, "retired", reason="a rebuild took its place")
            generations.set_state(connection, building, "live")
            served = generations.serving(connection, self._projection.name)
        if served is None:  # pragma: no cover - set in the lines above
            raise RebuildSuperseded(building.name, building.generation)
        return served

    def _read(self, after: int) -> LogBatch:
        batch = read_batch(self._store, self._registry, after=after, limit=self._batch_size, skip_unknown=False)
        if batch.obstacle is not None:
            reason = f"behind position {batch.reached}: {type(batch.obstacle).__name__}: {batch.obstacle}"
            raise RebuildFailed(self._projection.name, reason) from batch.obstacle
        return batch

    def _apply(self, connection: Connection, building: Generation, batch: LogBatch) -> Generation:
        if not generations.move(connection, building, to=batch.reached):
            raise RebuildSuperseded(building.name, building.generation)
        try:
            self._projection.apply(connection, self._projection.tables(building.generation), batch.facts)
        except (OperationalError, InterfaceError):
            # The database is in trouble: what is built so far is left for the next rebuild to remove.
            raise
        except Exception as error:
            reason = f"in positions {batch.after + 1} to {batch.reached}: {type(error).__name__}: {error}"
            raise RebuildFailed(self._projection.name, reason) from error
        return building.at(batch.reached)

    def _give_up(self, building: Generation) -> None:
        with write_transaction(self._engine) as connection:
            generations.set_state(connection, building, "retired", reason="its rebuild failed")
        drop_retired(self._engine, self._projection)

    def _say(self, stage: Stage, done: int) -> None:
        self._progress(
            Progress(
                name=self._projection.name,
                stage=stage,
                done=done,
                total=max(self._store.head(), done),
                elapsed_seconds=self._monotonic() - self._began,
            )
        )
