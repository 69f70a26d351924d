"""Rebuilds that meet a projector, another rebuild, or readers at the worst moment."""

import logging
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from time import monotonic

import pytest
from sqlalchemy import Connection, Engine

from events.database import open_database
from events.facts import REGISTRY
from events.sql_store import SqlEventStore
from events.store import RecordedFact
from projections import changelog, registry
from projections import rebuild as rebuilding
from projections.errors import RebuildSuperseded
from projections.progress import Progress
from projections.projection import Tables
from projections.rebuild import rebuild
from tests.support.histories import created, whole_life
from tests.support.read_models import ReadModels

MODEL = changelog.PROJECTION


def models_of(engine: Engine) -> ReadModels:
    return ReadModels(engine, store=SqlEventStore(engine, REGISTRY), projections=[MODEL])


@pytest.fixture
def on_postgres(migrated_postgres_url: str) -> Iterator[ReadModels]:
    """On SQLite none of these meet: a write transaction is alone, and tables are dropped beside those who read them."""
    engine = open_database(migrated_postgres_url)
    yield models_of(engine)
    engine.dispose()


def rebuilt(models: ReadModels) -> None:
    rebuild(engine=models.engine, store=models.store, registry=REGISTRY, projection=MODEL)


def known(models: ReadModels) -> list[tuple[int, str]]:
    with models.engine.connect() as connection:
        return [(each.generation, each.state) for each in registry.generations(connection, MODEL.name)]


def failing(connection: Connection, tables: Tables, facts: Sequence[RecordedFact]) -> None:
    del connection, tables, facts
    raise ZeroDivisionError("a defect")


def test_a_projector_does_not_pause_what_a_rebuild_has_replaced_meanwhile(on_postgres: ReadModels) -> None:
    models = on_postgres
    models.given(*whole_life())
    models.append(whole_life("other"))
    models.projections = [replace(MODEL, apply=failing)]
    logger = logging.getLogger("projections.projector")

    class Meanwhile(logging.Handler):
        """Rebuilds when the fact has failed and nobody has noted it yet; a reader keeps the old tables."""

        def emit(self, record: logging.LogRecord) -> None:
            del record
            logger.removeHandler(self)
            with models.engine.connect() as reader:
                registry.live_tables(reader, MODEL)
                rebuilt(models)

    handler = Meanwhile(logging.ERROR)
    logger.addHandler(handler)
    models.new_projector().catch_up()
    assert handler not in logger.handlers
    assert known(models) == [(1, "retired"), (2, "live")]
    models.projections = [MODEL]
    assert len(models.stored()["changelog"]) == models.store.head()


def test_a_rebuild_that_is_taken_over_while_it_makes_indexes_says_so(database: Engine) -> None:
    models = models_of(database)
    models.given(*whole_life())

    def start_another(progress: Progress) -> None:
        if progress.stage == "switching":
            rebuilt(models)

    with pytest.raises(RebuildSuperseded):
        rebuild(engine=database, store=models.store, registry=REGISTRY, projection=MODEL, progress=start_another)
    assert known(models) == [(3, "live")]


def test_nobody_moves_the_old_rows_on_while_the_new_ones_are_brought_to_where_they_stand(
    on_postgres: ReadModels,
) -> None:
    models = on_postgres
    models.given(*whole_life())
    waited: list[bool] = []

    with ThreadPoolExecutor(1) as threads:

        class Followed(SqlEventStore):
            """When the switch reads what is left, a projector wants to go on."""

            is_switching = False

            @property
            def engine(self) -> Engine:
                if self.is_switching and not waited:
                    models.append([created("latest")])
                    catching_up = threads.submit(models.projector.catch_up)
                    waited.append(waits_for_a_lock(models.engine, catching_up))
                return super().engine

        store = Followed(models.engine, REGISTRY)

        def overtake(progress: Progress) -> None:
            if progress.stage == "switching":
                models.given(created("late"))
                store.is_switching = True

        rebuild(engine=models.engine, store=store, registry=REGISTRY, projection=MODEL, progress=overtake)
    assert waited == [True]
    models.projector.catch_up()
    assert len(models.stored()["changelog"]) == models.store.head()


def waits_for_a_lock(engine: Engine, work: Future[int]) -> bool:
    """Wait until `work` waits for a lock, or is done; say which."""
    deadline = monotonic() + 60
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while not work.done():
            assert monotonic() < deadline
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'projections'::regclass"
            if connection.exec_driver_sql(waiting).scalar_one():
                return True
    return False


def test_readers_do_not_queue_behind_a_rebuild_that_waits_for_one_of_them(
    on_postgres: ReadModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "_WAIT_FOR_READERS_SECONDS", 120.0)
    models = on_postgres
    models.given(*whole_life())
    switched = threading.Event()

    def build() -> None:
        rebuild(
            engine=models.engine,
            store=models.store,
            registry=REGISTRY,
            projection=MODEL,
            progress=lambda progress: switched.set() if progress.stage == "dropping" else None,
        )

    with models.engine.connect() as slow, ThreadPoolExecutor(2) as threads:
        registry.live_tables(slow, MODEL)
        building = threads.submit(build)
        assert switched.wait(60)
        try:
            for _ in range(5):
                assert threads.submit(models.stored).result(timeout=30)["changelog"]
            assert not building.done(), "it waits for the slow one"
        finally:
            slow.rollback()
        building.result(timeout=60)
    assert known(models) == [(2, "live")]
