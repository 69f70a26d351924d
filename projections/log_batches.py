"""Batches of decoded facts from the log, cut before the first event that nobody may step over."""

import gc
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from sqlalchemy import Engine

from events.database import named_errors
from events.errors import CorruptPayload, DamagedRow, LogCutShort, PositionGap, UnknownFact
from events.registry import FactRegistry
from events.sql_store import SqlEventStore
from events.store import EventStore, RecordedFact
from projections.errors import LogBehindProjection
from projections.rows import moment_of_text

Obstacle: TypeAlias = PositionGap | LogCutShort | DamagedRow | CorruptPayload | UnknownFact | LogBehindProjection

_Row: TypeAlias = tuple[int, str, int, str, int, str, str, datetime]
"""Position, stream, version, name, version of the fact, payload, actor, time."""

_NEW_OBJECTS_BEFORE_COLLECTING = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LogBatch:
    """A stretch of the log.

    Attributes:
        after: the position before it.
        reached: the position of its last event, decoded or skipped; `after` if it is empty.
        facts: the decoded facts in it.
        unknown: the unknown facts that were skipped.
        obstacle: what the log holds right behind it, if that can be neither decoded nor skipped.
    """

    after: int
    reached: int
    facts: tuple[RecordedFact, ...]
    unknown: tuple[UnknownFact, ...] = ()
    obstacle: Obstacle | None = None

    @property
    def is_empty(self) -> bool:
        """Say whether the log held nothing behind `after`: no event, and no obstacle either."""
        return self.reached == self.after and self.obstacle is None


def read_batch(store: EventStore, registry: FactRegistry, *, after: int, limit: int, skip_unknown: bool) -> LogBatch:
    """Read at most `limit` events behind `after`.

    Whoever follows the log skips unknown facts, because a newer program may already write them; a rebuild does not,
    because its rows would stay wrong (rule 6 of the pipeline).

    Raises:
        DatabaseUnavailable: the log cannot be reached.
    """
    facts: list[RecordedFact] = []
    unknown: list[UnknownFact] = []
    obstacle: Obstacle | None = None
    reached = after
    decode, keep = registry.decode_payload, facts.append
    try:
        for position, stream, version, name, fact_version, payload, actor, recorded_at in _rows(store, after, limit):
            if position != reached + 1:
                raise PositionGap(reached + 1, position)  # noqa: TRY301 - one way out for all obstacles
            try:
                fact = decode(name, fact_version, _without_nul(payload))
            except UnknownFact as error:
                if not skip_unknown:
                    raise
                unknown.append(error)
            else:
                keep(
                    RecordedFact(
                        position=position,
                        stream=stream,
                        version=version,
                        fact=fact,
                        actor=actor,
                        recorded_at=recorded_at,
                    )
                )
            reached = position
    except (PositionGap, DamagedRow, CorruptPayload, UnknownFact) as error:
        obstacle = error
    if reached == after and obstacle is None:
        obstacle = _end_of_the_log(store, after)
    return LogBatch(after=after, reached=reached, facts=tuple(facts), unknown=tuple(unknown), obstacle=obstacle)


def _end_of_the_log(store: EventStore, after: int) -> Obstacle | None:
    """Say what is wrong with a log that holds nothing behind `after`, None if that is where it ends."""
    head = store.head()
    if after > head:
        return LogBehindProjection(after, head)
    # Looked at once more: facts may have come since, and the counter never shows what the log does not hold yet.
    return LogCutShort(after, head) if after < head and not store.read(after=after, limit=1) else None


@contextmanager
def collecting_seldom() -> Iterator[None]:
    """Look for garbage in cycles only where much has piled up.

    Facts hold no cycles, and die with their batch; but every few hundred new ones Python would walk all that are alive,
    which took half of the time that decoding takes (*measured*).
    """
    before = gc.get_threshold()
    gc.set_threshold(_NEW_OBJECTS_BEFORE_COLLECTING, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _rows(store: EventStore, after: int, limit: int) -> Iterable[_Row]:
    if isinstance(store, SqlEventStore):
        return _rows_in_bulk(store.engine, after, limit)
    return (
        (
            event.position,
            event.stream,
            event.version,
            event.encoded.name,
            event.encoded.version,
            event.encoded.payload.decode(),
            event.actor,
            event.recorded_at,
        )
        for event in store.read(after=after, limit=limit)
    )


_SELECT_EVENTS = "SELECT position, stream, version, name, fact_version, payload, actor, recorded_at FROM events"
_SELECT = {
    "sqlite": _SELECT_EVENTS + " WHERE position > ? ORDER BY position LIMIT ?",
    "postgresql": _SELECT_EVENTS + " WHERE position > %s ORDER BY position LIMIT %s",
}


def _rows_in_bulk(engine: Engine, after: int, limit: int) -> Iterator[_Row]:
    """Read as `SqlEventStore.read` does, but as bare rows: the objects in between cost more than the database.

    Raises:
        DamagedRow: the next row is, on SQLite; those before it were yielded.
    """
    if engine.dialect.name == "sqlite":
        yield from map(_checked, _undamaged(engine, after, limit))
        return
    for *columns, recorded_at in _fetched(engine, after, limit):
        yield *columns, recorded_at.astimezone(UTC)


def _fetched(engine: Engine, after: int, limit: int) -> Sequence[Any]:
    with named_errors(), engine.connect() as connection:
        cursor: Any = connection.exec_driver_sql(_SELECT[engine.dialect.name], (after, limit)).cursor
        found: Sequence[Any] = cursor.fetchall()
    return found


def _undamaged(engine: Engine, after: int, limit: int) -> Iterator[Any]:
    """Yield the rows up to one that cannot be fetched, which fails its whole batch and is found by halving that."""
    try:
        found = _fetched(engine, after, limit)
    except DamagedRow:
        if limit == 1:
            raise
        for row in _undamaged(engine, after, limit // 2):
            after = row[0]
            yield row
        yield from _undamaged(engine, after, limit - limit // 2)
    else:
        yield from found


def _checked(row: Any) -> _Row:
    """Return a row of SQLite, which keeps any value in any column."""
    position, stream, version, name, fact_version, payload, actor, recorded_at = row
    if type(payload) is not str or type(fact_version) is not int:
        raise DamagedRow(f"position {position} holds values of other types")
    try:
        moment = moment_of_text(recorded_at)
    except (TypeError, ValueError) as error:
        raise DamagedRow(f"position {position}: {error}") from error
    return position, stream, version, name, fact_version, payload, actor, moment


_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


def _without_nul(payload: str) -> str:
    r"""Return the payload with the mark of an unreadable character in place of every NUL.

    PostgreSQL stores no NUL in a text, so one that came into the log past the domain's rules would pause every
    projection there, and none on SQLite. In JSON it is always written \u0000.
    """
    # Most payloads have no backslash at all, and one character is looked for in a tenth of the time.
    return _NUL.sub(r"\1\\ufffd", payload) if "\\" in payload and r"\u0000" in payload else payload
