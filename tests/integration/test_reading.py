"""Readers see everything that was committed before, share the work of catching up, and keep their tables."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, select, text, update

from events.database import open_database, write_transaction
from events.errors import DatabaseUnavailable, SchemaMissing
from events.facts import REGISTRY
from events.sql_store import SqlEventStore
from projections import changelog, registry, test_list
from projections import rebuild as rebuilding
from projections.errors import ProjectionOutdated
from projections.models import ALL
from projections.projector import Projector
from projections.reading import Reading, standing_of
from projections.rebuild import rebuild
from tests.support.histories import KEY, created, whole_life
from tests.support.read_models import ReadModels

LIFE = whole_life()[2:]


class CountedProjector(Projector):
    """Counts how often it was asked to work."""

    asked = 0

    def catch_up(self, until: int | None = None, **rest: object) -> int:
        self.asked += 1
        return super().catch_up(until, **rest)  # type: ignore[arg-type]


@pytest.fixture
def models(database: Engine) -> ReadModels:
    return ReadModels(database, store=SqlEventStore(database, REGISTRY))


def projector_of(models: ReadModels) -> CountedProjector:
    return CountedProjector(engine=models.engine, store=models.store, registry=REGISTRY, projections=ALL)


def reading_of(models: ReadModels, projector: Projector | None = None) -> Reading:
    return Reading(models.engine, projector or projector_of(models), ALL)


def test_a_reader_sees_what_was_committed_before_it_even_where_nothing_was_ever_built(models: ReadModels) -> None:
    reading = reading_of(models)
    with reading.connection() as connection:
        assert test_list.get(connection, KEY) is None
    for number, fact in enumerate(LIFE, start=1):
        models.append([fact])
        with reading.connection() as connection:
            assert len(changelog.entries(connection, KEY)) == number
            assert standing_of(connection).head == number


def test_a_reader_does_not_ask_the_projector_where_nothing_is_to_be_done(models: ReadModels) -> None:
    models.given(*LIFE)
    projector = projector_of(models)
    reading = reading_of(models, projector)
    for _ in range(3):
        with reading.connection() as connection:
            assert test_list.get(connection, KEY) is not None
    assert projector.asked == 0


def test_many_readers_at_once_all_see_the_newest_fact(models: ReadModels) -> None:
    reading = reading_of(models)
    head = 0

    def read(expected: int) -> bool:
        with reading.connection() as connection:
            return len(changelog.entries(connection, KEY)) >= expected

    with ThreadPoolExecutor(8) as pool:
        for fact in LIFE:
            models.append([fact])
            head += 1
            assert all(pool.map(read, [head] * 8))


def test_a_paused_projection_gives_its_old_rows_and_is_not_waited_for(models: ReadModels) -> None:
    models.given(*LIFE[:3])
    with write_transaction(models.engine) as connection:
        registry.pause(connection, changelog.PROJECTION.name, reason="for a test")
    models.append(LIFE[3:4])
    projector = projector_of(models)
    reading = reading_of(models, projector)
    for _ in range(2):
        with reading.connection() as connection:
            assert len(changelog.entries(connection, KEY)) == 3
            listed = test_list.get(connection, KEY)
            assert listed is not None
            assert listed.version == 4
    assert projector.asked == 1


def test_rows_of_another_release_are_refused_to_those_who_ask_for_them(models: ReadModels) -> None:
    models.given(*LIFE)
    table = registry.projections_table
    with write_transaction(models.engine) as connection:
        connection.execute(update(table).where(table.c.name == changelog.PROJECTION.name).values(version=0))
    with reading_of(models).connection() as connection:
        assert test_list.get(connection, KEY) is not None
        with pytest.raises(ProjectionOutdated):
            changelog.entries(connection, KEY)


def test_a_rebuild_waits_for_a_reader_before_it_drops_the_tables(
    models: ReadModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "_WAIT_FOR_READERS_SECONDS", 120.0)
    models.given(*LIFE)
    model = changelog.PROJECTION
    switched = threading.Event()

    def build() -> None:
        rebuild(engine=models.engine, store=models.store, registry=REGISTRY, projection=model)
        switched.set()

    with reading_of(models).connection() as connection, ThreadPoolExecutor(1) as pool:
        before = changelog.entries(connection, KEY)
        building = pool.submit(build)
        if models.engine.dialect.name == "postgresql":
            _wait_until(lambda: _serving(models) == 2)
            assert not switched.is_set()
            assert changelog.entries(connection, KEY) == before
        connection.rollback()
        building.result(60)
    with reading_of(models).connection() as connection:
        assert standing_of(connection).serving[model.name].generation == 2
        assert changelog.entries(connection, KEY) == before


def test_tables_stay_for_a_reader_that_has_begun_and_not_read_yet(models: ReadModels) -> None:
    models.given(*LIFE)
    model = changelog.PROJECTION
    with reading_of(models).connection() as connection:
        rebuild(engine=models.engine, store=models.store, registry=REGISTRY, projection=model)
        assert len(changelog.entries(connection, KEY)) == len(LIFE)


def test_who_asks_without_a_reading_finds_the_tables_all_the_same(models: ReadModels) -> None:
    models.given(created())
    with models.engine.connect() as connection:
        (table,) = registry.live_tables(connection, test_list.PROJECTION).values()
        assert [row.key for row in connection.execute(select(table))] == [KEY]


def test_what_is_remembered_for_a_reading_does_not_outlive_it(models: ReadModels) -> None:
    models.given(created())
    with reading_of(models).connection():
        pass
    rebuild(engine=models.engine, store=models.store, registry=REGISTRY, projection=test_list.PROJECTION)
    with models.engine.connect() as connection:
        assert test_list.get(connection, KEY) is not None


def test_an_outage_and_a_missing_schema_have_their_names(models: ReadModels) -> None:
    with write_transaction(models.engine) as connection:
        connection.execute(text("DROP TABLE event_counter"))
    with pytest.raises(SchemaMissing), reading_of(models).connection():
        pass
    nowhere = open_database("postgresql+psycopg://nobody@127.0.0.1:1/nothing?connect_timeout=2")
    with pytest.raises(DatabaseUnavailable), Reading(nowhere, projector_of(models), ALL).connection():
        pass


def _serving(models: ReadModels) -> int:
    with models.engine.connect() as connection:
        found = registry.serving(connection, changelog.PROJECTION.name)
    return found.generation if found else 0


def _wait_until(holds: Callable[[], bool]) -> None:
    deadline = datetime.now(UTC).timestamp() + 60
    while not holds():
        assert datetime.now(UTC).timestamp() < deadline
        threading.Event().wait(0.01)
