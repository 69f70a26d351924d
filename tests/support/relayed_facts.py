"""Facts of split tests straight into a log, and a relay over it: for tests of the relay and of the agent."""

from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import Engine

from consumers.relay import Relay
from events.facts import (
    REGISTRY,
    DraftDiscarded,
    PreparedVariant,
    ProposedVariant,
    SettingsGroupPrepared,
    SettingsGroupProposed,
    SplitTestCreated,
    SplitTestPaused,
    SplitTestPublished,
    SplitTestResumed,
    SplitTestStarted,
    SplitTestUnpublished,
    split_test_stream,
)
from events.sql_store import SqlEventStore
from events.store import EventStore, Provenance
from projections import models
from projections.projector import Projector
from streams.ports import Broker

MOMENT = datetime(2026, 5, 1, tzinfo=UTC)


def append(store: EventStore, key: str, *facts: object) -> int:
    """Append `facts` to the stream of the test `key`, and return the position of the last one."""
    stream = split_test_stream(key)
    version = len(store.read_stream(stream))
    provenance = Provenance(actor="anna", recorded_at=MOMENT)
    return store.append(stream, facts, expected_version=version, provenance=provenance).position


def create(store: EventStore, key: str) -> int:
    """A new test with prepared settings: 3 facts, no document yet."""
    return append(
        store,
        key,
        SplitTestCreated(key=key, name=key, author="anna", managers=("anna",)),
        SettingsGroupProposed(
            key=key,
            settings_group=1,
            starts_at=MOMENT,
            ends_at=datetime(2026, 6, 1, tzinfo=UTC),
            conditions="[]",
            filters=(),
            variants=(
                ProposedVariant(name="control", groups=1, is_control=True),
                ProposedVariant(name="red", groups=1),
            ),
        ),
        SettingsGroupPrepared(
            key=key,
            settings_group=1,
            seed=1,
            as_of_position=0,
            variants=(
                PreparedVariant(name="control", split_groups=(1,)),
                PreparedVariant(name="red", split_groups=(2,)),
            ),
        ),
    )


def publish(store: EventStore, key: str) -> int:
    """Draft → In Dev."""
    return append(store, key, SplitTestPublished(key=key))


def unpublish(store: EventStore, key: str) -> int:
    """In Dev → Draft."""
    return append(store, key, SplitTestUnpublished(key=key))


def discard(store: EventStore, key: str) -> int:
    """The Draft is gone."""
    return append(store, key, DraftDiscarded(key=key))


def start(store: EventStore, key: str) -> int:
    """In Dev → Running."""
    return append(store, key, SplitTestStarted(key=key))


def pause(store: EventStore, key: str) -> int:
    """Running → Paused."""
    return append(store, key, SplitTestPaused(key=key))


def resume(store: EventStore, key: str) -> int:
    """Paused → Running."""
    return append(store, key, SplitTestResumed(key=key))


def store_of(engine: Engine) -> SqlEventStore:
    """Return the log in `engine`."""
    return SqlEventStore(engine, REGISTRY)


def relay_of(engine: Engine, broker: Broker, *, batch_size: int = 500, now: Callable[[], datetime]) -> Relay:
    """Return a relay with a projector of its own."""
    store = store_of(engine)
    projector = Projector(engine=engine, store=store, registry=REGISTRY, projections=models.ALL)
    return Relay(engine=engine, store=store, broker=broker, catch_up=projector.catch_up, now=now, batch_size=batch_size)
