"""Following the log: every live projection is brought to its end, rows and position in one transaction.

Any number of projectors may run at once, in any number of processes: whoever moves a position first writes the rows,
and the others read again.
"""

import threading
from collections.abc import Callable, Sequence
from logging import getLogger

from sqlalchemy import Connection, Engine

from events.database import tells_of_damage, write_transaction
from events.registry import FactRegistry
from events.store import EventStore, RecordedFact
from projections import registry as generations
from projections.errors import OUTAGES, ProjectionOutdated
from projections.log_batches import LogBatch, read_batch
from projections.projection import Projection
from projections.registry import Generation

_log = getLogger(__name__)


def _ignore_position(position: int) -> None:
    del position


class Projector:
    """Brings projections up to the log. Safe to share between threads, and to run in many processes."""

    def __init__(
        self,
        *,
        engine: Engine,
        store: EventStore,
        registry: FactRegistry,
        projections: Sequence[Projection],
        batch_size: int = 1000,
    ) -> None:
        self._engine = engine
        self._store = store
        self._registry = registry
        # One order for everybody: two projectors that lock the same rows never wait for each other in a circle.
        self._projections = sorted(projections, key=lambda projection: projection.name)
        self._batch_size = batch_size
        self._said: set[object] = set()

    def catch_up(
        self,
        until: int | None = None,
        *,
        progress: Callable[[int], None] = _ignore_position,
        stop: threading.Event | None = None,
    ) -> int:
        """Apply what the log holds and return the position that every projection followed has reached.

        A projection that cannot go on is paused with its reason, loudly, and the others go on. Paused projections, and
        those that were stored by another version of the code, are not followed and not waited for; the answer is 0 if
        none is left.

        Args:
            until: return as soon as this position is reached, as after a command that appended it; otherwise go on to
                the end of the log.
            progress: called with the position after each batch.
            stop: once set, the batch at work is the last one.

        Raises:
            DatabaseUnavailable: the log or PostgreSQL did not answer; nothing was paused for it.
            sqlalchemy.exc.OperationalError: the same, said of the read models.
        """
        while followed := self._followed():
            reached = min(generation.position for _, generation in followed)
            if (until is not None and reached >= until) or (stop is not None and stop.is_set()):
                return reached
            batch = read_batch(self._store, self._registry, after=reached, limit=self._batch_size, skip_unknown=True)
            if batch.is_empty:
                return reached
            self._warn_of_unknown(batch)
            hindmost = [each for each in followed if each[1].position == reached]
            with write_transaction(self._engine) as connection:
                for projection, generation in hindmost:
                    self._advance(connection, projection, generation, batch)
            progress(batch.reached)
        return 0

    def _followed(self) -> list[tuple[Projection, Generation]]:
        with self._engine.connect() as connection:
            serving = {each.name: each for each in generations.generations(connection) if each.serves}
        followed = []
        for projection in self._projections:
            generation = serving.get(projection.name) or self._create_first(projection)
            if generation.version != projection.version:
                self._say_once((generation.name, generation.generation), _outdated(projection, generation))
            elif generation.state == "live":
                followed.append((projection, generation))
        return followed

    def _create_first(self, projection: Projection) -> Generation:
        with write_transaction(self._engine) as connection:
            generations.lock(connection)
            known = generations.generations(connection, projection.name)
            serving = next((each for each in known if each.serves), None)
            if serving is not None:
                return serving
            number = max((each.generation for each in known), default=0) + 1
            return generations.create(connection, projection, number=number, state="live")

    def _advance(self, connection: Connection, projection: Projection, generation: Generation, batch: LogBatch) -> None:
        try:
            if not _apply(connection, projection, generation, batch.facts, reached=batch.reached):
                return
        except Exception as error:  # whatever apply raises is found again, at its fact, and pauses it
            if _is_outage(error):
                raise
            self._advance_one_by_one(connection, projection, generation, batch.facts)
            return
        if batch.obstacle is not None:
            reason = f"behind position {batch.reached}: {type(batch.obstacle).__name__}: {batch.obstacle}"
            _pause(connection, generation.at(batch.reached), reason)

    def _advance_one_by_one(
        self,
        connection: Connection,
        projection: Projection,
        generation: Generation,
        facts: Sequence[RecordedFact],
    ) -> None:
        """Go as far as the facts before the one that fails, so that the pause is at its very place."""
        for recorded in facts:
            try:
                if not _apply(connection, projection, generation, (recorded,), reached=recorded.position):
                    return
            except Exception as error:  # rule 6: whatever it is, the projection pauses at this fact
                if _is_outage(error):
                    raise
                _log.exception("%s could not apply position %d", projection.name, recorded.position)
                fact = type(recorded.fact).__name__
                reason = f"{type(error).__name__} in applying {fact} at position {recorded.position}: {error}"
                _pause(connection, generation, reason)
                return
            generation = generation.at(recorded.position)

    def _warn_of_unknown(self, batch: LogBatch) -> None:
        for error in batch.unknown:
            self._say_once((error.name, error.version), f"{error}; skipped, rebuild when you run it")

    def _say_once(self, subject: object, sentence: object) -> None:
        if subject not in self._said:
            self._said.add(subject)
            _log.error("%s", sentence)


def _apply(
    connection: Connection,
    projection: Projection,
    generation: Generation,
    facts: Sequence[RecordedFact],
    *,
    reached: int,
) -> bool:
    """Apply `facts` and move the position, both or neither; False if another projector was faster."""
    with connection.begin_nested():
        if not generations.move(connection, generation, to=reached):
            return False
        if facts:
            projection.apply(connection, projection.tables(generation.generation), facts)
    return True


def _is_outage(error: Exception) -> bool:
    """Answer whether the database is in trouble, not the projection: the transaction is lost, and can be tried again.

    A row of a read model that is damaged is no outage: it would be asked for again for ever. A rebuild mends it.
    """
    return isinstance(error, OUTAGES) and not tells_of_damage(error)


def _pause(connection: Connection, generation: Generation, reason: str) -> None:
    if generations.pause_where_it_stands(connection, generation, reason=reason):
        _log.error("the projection %s is paused: %s", generation.name, reason)


def _outdated(projection: Projection, generation: Generation) -> ProjectionOutdated:
    return ProjectionOutdated(projection.name, stored=generation.version, code=projection.version)
