"""Reading: a connection on which the read models show everything that was committed before it was asked for.

One round trip tells where the log ends, where every projection stands, and which tables serve; only where one lags
behind is anything applied, by one reader for all that wait. A read costs little more than its own queries.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

from sqlalchemy import Connection, Engine

from events.database import named_errors
from projections import registry
from projections.projection import Projection
from projections.projector import Projector
from projections.registry import Generation

_STANDING: Final = """
SELECT event_counter.position, projections.name, projections.generation, projections.version, projections.position,
       projections.state, projections.reason
FROM event_counter LEFT JOIN projections ON projections.state IN ('live', 'paused')
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where everything stood when a reading began.

    Attributes:
        head: the last position of the log; the read models show no less.
        serving: the generation of each projection that readers are given, by its name.
    """

    head: int
    serving: Mapping[str, Generation]


class Reading:
    """Opens connections for readers. Safe to share between threads.

    Args:
        engine: the database of the log and the read models.
        projector: brings the read models up to the log.
        projections: those that it follows.
    """

    def __init__(self, engine: Engine, projector: Projector, projections: Sequence[Projection]) -> None:
        self._engine = engine
        self._projector = projector
        self._projections = tuple(projections)
        self._catching_up = Lock()
        self._locks = registry.lock_for_readers(projections)
        self._last: tuple[Sequence[Any], Standing] = ((), Standing(head=0, serving={}))

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Yield a connection to the read models, which show everything that was committed before this call.

        All that is asked on it is answered by the generations that serve now, and their tables stay until its end.

        Raises:
            DatabaseUnavailable: the log did not answer.
            sqlalchemy.exc.OperationalError: the read models did not.
        """
        with self._opened() as connection:
            standing = self._begin(connection)
            if not self._lags(standing):
                yield connection
                return
        self.catch_up(standing.head)
        with self._opened() as connection:
            self._begin(connection)
            yield connection

    def catch_up(self, position: int) -> None:
        """Return once the read models show `position`. One caller works, the others find it done."""
        with self._catching_up:
            self._projector.catch_up(until=position)

    def _opened(self) -> Connection:
        with named_errors():
            return self._engine.connect()

    def _begin(self, connection: Connection) -> Standing:
        with named_errors():
            rows = self._rows(connection)
        known_rows, standing = self._last
        if rows != known_rows:
            standing = _standing(rows)
            self._last = rows, standing
        registry.remember_serving(connection, standing.serving)
        connection.execution_options(**{_STOOD: standing})
        return standing

    def _rows(self, connection: Connection) -> Sequence[Any]:
        if connection.dialect.name != "postgresql":
            return connection.exec_driver_sql(_STANDING).all()
        # Two statements in one round trip. The locks come first: what serves is looked up when it can no longer go.
        result = connection.exec_driver_sql(f"{self._locks};{_STANDING}", execution_options={"no_parameters": True})
        cursor: Any = result.cursor
        cursor.nextset()
        rows: Sequence[Any] = cursor.fetchall()
        result.close()
        return rows

    def _lags(self, standing: Standing) -> bool:
        for projection in self._projections:
            generation = standing.serving.get(projection.name)
            if generation is None:
                return True
            # One that is paused, or of another release, is not waited for: its readers are told, or given old rows.
            is_followed = generation.state == "live" and generation.version == projection.version
            if is_followed and generation.position < standing.head:
                return True
        return False


def _standing(rows: Sequence[Any]) -> Standing:
    serving = {
        name: Generation(
            name=name, generation=generation, version=version, position=position, state=state, reason=reason
        )
        for _, name, generation, version, position, state, reason in rows
        if name is not None
    }
    return Standing(head=rows[0][0], serving=serving)


_STOOD: Final = "usersplit_stood"


def standing_of(connection: Connection) -> Standing:
    """Return where everything stood when the reading on this connection began."""
    standing: Standing = connection.get_execution_options()[_STOOD]
    return standing
