"""Building projections anew beside those that serve, and switching in one transaction.

Readers see the old rows until the switch and the new ones after it, never an empty table. A rebuild that is killed
leaves half-built generations that nobody reads; the next rebuild removes them. Several projections are rebuilt in one
reading of the log, because reading and decoding it costs more than most of them do; they switch together or not at all.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from logging import getLogger

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from events.database import write_transaction
from events.errors import DatabaseUnavailable
from events.registry import FactRegistry
from events.store import EventStore
from projections import registry as generations
from projections.errors import OUTAGES, RebuildFailed, RebuildSuperseded
from projections.log_batches import LogBatch, collecting_seldom, read_batch
from projections.progress import Progress, ReportProgress, Stage, report_nothing
from projections.projection import Projection
from projections.registry import Generation

_log = getLogger(__name__)

_WAIT_FOR_READERS_SECONDS = 2.0
_QUEUED_MILLISECONDS = 100
"""How long at a time. While a drop waits for one slow reader, all who begin to read wait behind the drop."""
_LOCK_NOT_AVAILABLE = "55P03"
_BATCH_SIZE = 10_000


def rebuild(
    *,
    engine: Engine,
    store: EventStore,
    registry: FactRegistry,
    projection: Projection,
    progress: ReportProgress = report_nothing,
    batch_size: int = _BATCH_SIZE,
    monotonic: Callable[[], float] = time.monotonic,
) -> Generation:
    """Build `projection` anew, see `rebuild_many`; return the generation that serves now."""
    (built,) = rebuild_many(
        engine=engine,
        store=store,
        registry=registry,
        projections=[projection],
        progress=progress,
        batch_size=batch_size,
        monotonic=monotonic,
    )
    return built


def rebuild_many(
    *,
    engine: Engine,
    store: EventStore,
    registry: FactRegistry,
    projections: Sequence[Projection],
    progress: ReportProgress = report_nothing,
    batch_size: int = _BATCH_SIZE,
    monotonic: Callable[[], float] = time.monotonic,
) -> list[Generation]:
    """Build `projections` from position 0 in new tables, let them serve, and drop the old ones.

    The new generations are live whatever the old ones were: paused, or of another version of the code. Facts may be
    appended meanwhile, and projectors may go on; none is lost. They never serve from a position before the old ones'.

    Returns:
        the generations that serve now, in the order of `projections`.

    Raises:
        RebuildFailed: a fact could not be decoded or applied, or its name is unknown; nothing changed for readers.
        RebuildSuperseded: another rebuild of one of them was started meanwhile, and goes on; nothing else changed.
        DatabaseUnavailable: the log cannot be reached, or PostgreSQL was lost in writing; nothing changed for readers.
        sqlalchemy.exc.OperationalError: the same, said of the read models.
    """
    with collecting_seldom():
        return _Rebuild(engine, store, registry, projections, progress, batch_size, monotonic).run()


def drop_retired(engine: Engine, projection: Projection) -> list[Generation]:
    """Drop generations that serve nobody any more; return those that are left because they are still in use."""
    with engine.connect() as connection:
        retired = [each for each in generations.generations(connection, projection.name) if each.state == "retired"]
    left = []
    for generation in retired:
        try:
            _drop_between_readers(engine, projection, generation)
        except OperationalError as error:
            # They come first: the rows are harmless, and the next rebuild tries again.
            _log.warning(
                "generation %d of %s is still in use, by a reader or the database's own upkeep; its tables stay until"
                " the next rebuild: %s",
                generation.generation,
                projection.name,
                error.orig,
            )
            left.append(generation)
    return left


def _drop_between_readers(engine: Engine, projection: Projection, generation: Generation) -> None:
    deadline = time.monotonic() + _WAIT_FOR_READERS_SECONDS
    while True:
        try:
            with write_transaction(engine) as connection:
                generations.wait_for_readers(connection, projection.name, milliseconds=_QUEUED_MILLISECONDS)
                generations.drop(connection, projection, generation)
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE or time.monotonic() >= deadline:
                raise
        else:
            return


class _Rebuild:
    def __init__(
        self,
        engine: Engine,
        store: EventStore,
        registry: FactRegistry,
        projections: Sequence[Projection],
        progress: ReportProgress,
        batch_size: int,
        monotonic: Callable[[], float],
    ) -> None:
        self._engine = engine
        self._store = store
        self._registry = registry
        self._projections = projections
        self._name = ", ".join(projection.name for projection in projections)
        self._progress = progress
        self._batch_size = batch_size
        self._monotonic = monotonic
        self._began = monotonic()

    def run(self) -> list[Generation]:
        self._say("starting", 0)
        building = self._begin()
        self._drop_retired()
        try:
            position = self._build(building)
            self._say("switching", position)
            built_up = [each.at(position) for each in building]
            self._create_indexes(built_up)
            built = self._switch(built_up)
        except (RebuildFailed, RebuildSuperseded):
            self._give_up(building)
            raise
        reached = min(each.position for each in built)
        self._say("dropping", reached)
        self._drop_retired()
        self._say("done", reached)
        return built

    def _begin(self) -> list[Generation]:
        with write_transaction(self._engine) as connection:
            generations.lock(connection)
            return [self._begin_one(connection, projection) for projection in self._projections]

    @staticmethod
    def _begin_one(connection: Connection, projection: Projection) -> Generation:
        known = generations.generations(connection, projection.name)
        for generation in known:
            if generation.state == "building":
                generations.set_state(connection, generation, "retired", reason="its rebuild did not end")
        number = max((each.generation for each in known), default=0) + 1
        return generations.create(connection, projection, number=number, state="building")

    def _build(self, building: Sequence[Generation]) -> int:
        """Apply the log batch by batch; return the position reached.

        SQLite writes the rows in this process, where two threads that both want it get less done than one; so the next
        batch is read while one is committed, which waits for the disk. PostgreSQL has a process of its own for it, and
        the next batch is read while the rows of one are written.
        """
        position = 0
        reads_early = self._engine.dialect.name == "postgresql"
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="rebuild-reads") as reader:
            coming = reader.submit(self._read, position)
            while not (batch := coming.result()).is_empty:
                with write_transaction(self._engine) as connection:
                    if reads_early:
                        # What a power cut takes here, the next rebuild would have removed; and the switch, which waits
                        # for the disk as ever, waits for all that was committed before it.
                        connection.exec_driver_sql("SET LOCAL synchronous_commit TO off")
                        coming = reader.submit(self._read, batch.reached)
                    self._apply(connection, building, batch)
                    if not reads_early:
                        coming = reader.submit(self._read, batch.reached)
                position = batch.reached
                self._say("building", position)
                if batch.reached - batch.after < self._batch_size:
                    # Near enough: going for the very end, it would run after busy writers for ever. What is being read
                    # is read again where it counts.
                    with suppress(RebuildFailed, DatabaseUnavailable):
                        coming.result()
                    break
        return position

    def _create_indexes(self, building: Sequence[Generation]) -> None:
        """Give the rows their indexes, before the transaction in which projectors wait."""
        with write_transaction(self._engine) as connection:
            for projection, generation in zip(self._projections, building, strict=True):
                # Another rebuild may have dropped the tables; from here on it waits.
                self._move(connection, generation, to=generation.position)
                generations.create_indexes(connection, projection, generation)

    def _switch(self, building: Sequence[Generation]) -> list[Generation]:
        position = building[0].position
        with write_transaction(self._engine) as connection:
            # From here on no projector moves, so what the old generations are ahead by is little, and stays.
            generations.lock(connection)
            old = [served for each in building if (served := generations.serving(connection, each.name)) is not None]
            while any(position < served.position for served in old):
                batch = self._read(position)
                if batch.is_empty:
                    break  # an old one stands beyond the end of the log: an older log was restored, and it counts
                self._apply(connection, building, batch)
                position = batch.reached
            for each in building:
                self._move(connection, each.at(position), to=position)
            for served in old:
                generations.set_state(connection, served, "retired", reason="a rebuild took its place")
            for each in building:
                generations.set_state(connection, each, "live")
        return [replace(each, position=position, state="live") for each in building]

    def _read(self, after: int) -> LogBatch:
        batch = read_batch(self._store, self._registry, after=after, limit=self._batch_size, skip_unknown=False)
        if batch.obstacle is not None:
            reason = f"behind position {batch.reached}: {type(batch.obstacle).__name__}: {batch.obstacle}"
            raise RebuildFailed(self._name, reason) from batch.obstacle
        return batch

    def _apply(self, connection: Connection, building: Sequence[Generation], batch: LogBatch) -> None:
        for projection, generation in zip(self._projections, building, strict=True):
            self._move(connection, generation.at(batch.after), to=batch.reached)
            try:
                projection.apply(connection, projection.tables(generation.generation), batch.facts)
            except OUTAGES:
                # The database is in trouble: what is built so far is left for the next rebuild to remove.
                raise
            except Exception as error:
                reason = f"in positions {batch.after + 1} to {batch.reached}: {type(error).__name__}: {error}"
                raise RebuildFailed(projection.name, reason) from error

    @staticmethod
    def _move(connection: Connection, generation: Generation, *, to: int) -> None:
        if not generations.move(connection, generation, to=to):
            raise RebuildSuperseded(generation.name, generation.generation)

    def _give_up(self, building: Sequence[Generation]) -> None:
        with write_transaction(self._engine) as connection:
            for generation in building:
                generations.set_state(connection, generation, "retired", reason="its rebuild did not end")
        self._drop_retired()

    def _drop_retired(self) -> None:
        for projection in self._projections:
            drop_retired(self._engine, projection)

    def _say(self, stage: Stage, done: int) -> None:
        self._progress(
            Progress(
                name=self._name,
                stage=stage,
                done=done,
                total=max(self._store.head(), done),
                elapsed_seconds=self._monotonic() - self._began,
            )
        )
