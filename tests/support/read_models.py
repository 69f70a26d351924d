"""Read models over a log of given facts, and all that is stored of them."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, select

from events.database import write_transaction
from events.facts import REGISTRY, Fact, split_test_stream
from events.memory_store import MemoryEventStore
from events.override_facts import OverrideFact, override_stream
from events.store import EventStore, Provenance
from events.user_group_estimate_facts import UserGroupEstimateFact, user_group_estimate_stream
from events.user_group_facts import UserGroupFact, user_group_stream
from projections import registry
from projections.models import ALL
from projections.projection import Projection
from projections.projector import Projector

BEGINNING = datetime(2026, 5, 1, 9, tzinfo=UTC)


def stream_of(fact: Fact) -> str:
    """Return the stream that a fact belongs to."""
    if isinstance(fact, OverrideFact):
        return override_stream(fact.environment, fact.unit)
    if isinstance(fact, UserGroupEstimateFact):
        return user_group_estimate_stream(fact.key)
    return user_group_stream(fact.key) if isinstance(fact, UserGroupFact) else split_test_stream(fact.key)


class ReadModels:
    """A database of read models, with a log to feed them from; in memory unless one is given."""

    def __init__(
        self, engine: Engine, *, store: EventStore | None = None, projections: Sequence[Projection] = ALL
    ) -> None:
        self.engine = engine
        self.store = store or MemoryEventStore(REGISTRY)
        self.projections = projections
        self.projector = self.new_projector()

    def new_projector(self, *, batch_size: int = 1000) -> Projector:
        return Projector(
            engine=self.engine,
            store=self.store,
            registry=REGISTRY,
            projections=self.projections,
            batch_size=batch_size,
        )

    def append(self, facts: Iterable[Any], *, actor: str = "anna") -> None:
        """Append each fact alone; the one at position n is recorded n minutes after `BEGINNING`."""
        for fact in facts:
            stream = stream_of(fact)
            self.store.append(
                stream,
                [fact],
                expected_version=len(self.store.read_stream(stream)),
                provenance=Provenance(actor=actor, recorded_at=BEGINNING + timedelta(minutes=self.store.head() + 1)),
            )

    def given(self, *facts: Any, actor: str = "anna") -> None:
        """Append the facts and project them."""
        self.append(facts, actor=actor)
        self.projector.catch_up()

    def stored(self, *names: str) -> dict[str, list[tuple[Any, ...]]]:
        """Return all rows of the serving generations, by the names of their templates."""
        with self.engine.connect() as connection:
            return {
                template: rows
                for projection in self.projections
                if not names or projection.name in names
                for template, rows in stored_rows(connection, projection).items()
            }


def stored_rows(connection: Connection, projection: Projection) -> dict[str, list[tuple[Any, ...]]]:
    """Return every column of every row of the projection's serving generation."""
    tables = registry.live_tables(connection, projection)
    return {
        template: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
        for template, table in tables.items()
    }


def forget_everything(engine: Engine, projections: Sequence[Projection] = ALL) -> None:
    """Drop every generation, as before the first projector ran."""
    with write_transaction(engine) as connection:
        for projection in projections:
            for generation in registry.generations(connection, projection.name):
                registry.drop(connection, projection, generation)
