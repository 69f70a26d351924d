"""Read models as they were at a position of the log: the same facts through the same code, into a throw-away database.

There is no second implementation that could disagree with the first: `apply` fills tables in memory, and every query
function of a model works on the connection that is handed out. A question about one split test reads that test's
stream alone; one about all of them reads the log from its beginning.
"""

from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias, get_args

from sqlalchemy import Connection

from events.database import open_database, write_transaction
from events.facts import SettingsGroupPrepared, SettingsGroupProposed, split_test_stream
from events.override_facts import OverrideEnvironment, override_stream
from events.registry import FactRegistry
from events.store import EventStore, RecordedFact, StoredEvent, recorded, require_whole
from projections import changelog, config, current_settings, models, overrides, registry, test_list
from projections.changelog import ChangelogEntry
from projections.config import ConfigDocument
from projections.current_settings import CurrentSettings
from projections.log_batches import read_batch
from projections.projection import Projection
from projections.split_test_facts import STATUS_AFTER
from projections.test_list import ListedSplitTest

_BATCH_SIZE = 5000
_OfSettings: TypeAlias = type[SettingsGroupProposed] | type[SettingsGroupPrepared]


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """What was in force for a split test, and by which changes.

    Attributes:
        listed: its line of the list: status, people, properties.
        settings: its settings, the current ones and those that waited.
        document: what servers were told of it, None if it was never published.
        status_by: the change that gave it its status.
        proposed_by: the change that asked for the current settings group, None while there is none.
        prepared_by: the change that made it the current one.
    """

    listed: ListedSplitTest
    settings: CurrentSettings
    document: ConfigDocument | None
    status_by: ChangelogEntry
    proposed_by: ChangelogEntry | None
    prepared_by: ChangelogEntry | None


@contextmanager
def read_models(
    store: EventStore,
    fact_registry: FactRegistry,
    *,
    position: int,
    streams: Sequence[str] | None = None,
    projections: Sequence[Projection] = models.ALL,
) -> Iterator[Connection]:
    """Yield a connection on which the query functions of `projections` answer as of `position`, that one included.

    Args:
        store: the log.
        fact_registry: of its facts.
        position: the last position that counts.
        streams: those of the only things that will be asked about; without them, the whole log is read.
        projections: those that will be asked.

    Raises:
        UnknownFact: the log holds a fact of a newer program.
        CorruptPayload: the log holds a fact that does not decode.
        PositionGap: the log has a hole.
        VersionGap: a stream has one.
        LogCutShort, DamagedRow: see `events.errors`.
    """
    engine = open_database("sqlite://")
    try:
        with write_transaction(engine) as connection:
            registry.metadata.create_all(connection)
            generations = [registry.create(connection, each, number=1, state="live") for each in projections]
            for facts in _facts(store, fact_registry, position, streams):
                for projection, generation in zip(projections, generations, strict=True):
                    projection.apply(connection, projection.tables(generation.generation), facts)
            yield connection
    finally:
        engine.dispose()


def in_force(
    store: EventStore,
    fact_registry: FactRegistry,
    *,
    key: str,
    position: int,
    visible: Container[str] | None = None,
) -> InForce | None:
    """Return what was in force for the split test `key` at `position`, None if there was no such test.

    `visible` are the keys of other tests that its changes may name, None: all; see `changelog.entries`.

    Raises:
        UnknownFact: see `read_models`.
        CorruptPayload: see `read_models`.
    """
    streams = [split_test_stream(key)]
    facts = _facts_of(store, fact_registry, position, streams)
    with read_models(store, fact_registry, position=position, streams=streams) as connection:
        listed = test_list.get(connection, key)
        settings = current_settings.get(connection, key)
        document = config.get(connection, key)
        told = changelog.entries(connection, key, limit=max(len(facts), 1), visible=visible)
    entries = {each.position: each for each in told}
    if listed is None or settings is None:
        return None
    status = max(each.position for each in facts if type(each.fact) in STATUS_AFTER)
    prepared = _last(facts, SettingsGroupPrepared, settings.settings_group, before=position + 1)
    proposed = _last(facts, SettingsGroupProposed, settings.settings_group, before=prepared)
    return InForce(
        listed=listed,
        settings=settings,
        document=document,
        status_by=entries[status],
        proposed_by=entries.get(proposed),
        prepared_by=entries.get(prepared),
    )


def overrides_in_force(
    store: EventStore, fact_registry: FactRegistry, *, key: str, units: Sequence[str], position: int
) -> ConfigDocument | None:
    """Return what servers were told at `position` of the overrides of `units` (`type:id`) in the split test `key`.

    Raises:
        UnknownFact: see `read_models`.
        CorruptPayload: see `read_models`.
    """
    streams = [
        split_test_stream(key),
        *(override_stream(environment, unit) for environment in get_args(OverrideEnvironment) for unit in units),
    ]
    with read_models(
        store, fact_registry, position=position, streams=streams, projections=[overrides.PROJECTION]
    ) as connection:
        return overrides.document(connection)


def _facts(
    store: EventStore, fact_registry: FactRegistry, position: int, streams: Sequence[str] | None
) -> Iterator[Sequence[RecordedFact]]:
    if streams is not None:
        yield _facts_of(store, fact_registry, position, streams)
        return
    reached = 0
    while reached < position:
        limit = min(_BATCH_SIZE, position - reached)
        batch = read_batch(store, fact_registry, after=reached, limit=limit, skip_unknown=False)
        if batch.obstacle is not None:
            raise batch.obstacle
        if batch.is_empty:
            return
        yield batch.facts
        reached = batch.reached


def _facts_of(
    store: EventStore, fact_registry: FactRegistry, position: int, streams: Sequence[str]
) -> list[RecordedFact]:
    events: list[StoredEvent] = []
    for stream in streams:
        found = store.read_stream(stream)
        require_whole(found)
        events += [event for event in found if event.position <= position]
    return [recorded(event, fact_registry) for event in sorted(events, key=lambda event: event.position)]


def _last(facts: Sequence[RecordedFact], kind: _OfSettings, settings_group: int, *, before: int) -> int:
    """Return the position of the last fact of this kind about the settings group, 0 if there is none."""
    return max(
        (
            each.position
            for each in facts
            if each.position < before and isinstance(each.fact, kind) and each.fact.settings_group == settings_group
        ),
        default=0,
    )
