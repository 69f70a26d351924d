"""The projector: following, pausing, several at once, and the process around it."""

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, Engine

from consumers.projector import follow
from events.database import open_database, write_transaction
from events.errors import DatabaseUnavailable
from events.facts import REGISTRY, split_test_stream
from events.registry import EncodedFact
from events.sql_store import SqlEventStore
from events.store import EventStore, Provenance, RecordedFact, StoredEvent
from projections import changelog, current_settings, registry
from projections import test_list as listing
from projections.errors import OUTAGES, ProjectionOutdated
from projections.models import ALL
from projections.projection import Projection, Tables
from projections.projector import Projector
from projections.registry import Generation
from projections.rows import insert_rows
from tests.support.histories import KEY, created, proposed, whole_life
from tests.support.read_models import ReadModels


class OutOfOrder(Exception):
    pass


def failing(model: Projection, at_position: int) -> Projection:
    """Return the model with a defect that shows at one position."""

    def apply(connection: Connection, tables: Tables, facts: Sequence[RecordedFact]) -> None:
        model.apply(connection, tables, facts)
        if any(recorded.position == at_position for recorded in facts):
            raise OutOfOrder("the defect")

    return Projection(name=model.name, version=model.version, templates=model.templates, apply=apply)


def serving(engine: Engine, projection: Projection) -> Generation:
    with engine.connect() as connection:
        found = registry.serving(connection, projection.name)
    assert found is not None
    return found


@pytest.fixture
def models(database: Engine) -> ReadModels:
    return ReadModels(database, store=SqlEventStore(database, REGISTRY))


def test_the_first_run_creates_generation_one_and_reaches_the_end_of_the_log(models: ReadModels) -> None:
    assert models.projector.catch_up() == 0
    models.append(whole_life())
    seen: list[int] = []
    head = models.store.head()
    assert models.new_projector(batch_size=5).catch_up(progress=seen.append) == head
    assert seen == [5, 10, 15, head]
    for projection in ALL:
        found = serving(models.engine, projection)
        assert (found.generation, found.state, found.position) == (1, "live", head)


def test_a_caller_waits_no_longer_than_for_the_position_it_wrote(models: ReadModels) -> None:
    models.append(whole_life())
    assert models.new_projector(batch_size=4).catch_up(until=5) == 8
    assert models.new_projector(batch_size=4).catch_up(until=5) == 8


def test_projectors_at_once_neither_fail_nor_apply_a_fact_twice(models: ReadModels) -> None:
    histories = [whole_life(f"test-{number}") for number in range(4)]
    together = threading.Barrier(4)
    models.append(fact for history in histories for fact in history)
    models.append([created("late")])

    def catch_up(batch_size: int) -> int:
        together.wait(timeout=60)
        return models.new_projector(batch_size=batch_size).catch_up()

    with ThreadPoolExecutor(max_workers=4) as threads:
        reached = list(threads.map(catch_up, [3, 3, 5, 7]))
    assert set(reached) == {models.store.head()}
    assert {serving(models.engine, projection).generation for projection in ALL} == {1}
    assert len(models.stored()["changelog"]) == models.store.head()


def test_a_defect_pauses_its_projection_right_before_the_fact_and_the_others_go_on(
    models: ReadModels, caplog: pytest.LogCaptureFixture
) -> None:
    models.append(whole_life())
    defective = failing(current_settings.PROJECTION, at_position=7)
    models.projections = [changelog.PROJECTION, defective, listing.PROJECTION]
    head = models.store.head()
    assert models.new_projector().catch_up() == head, "what is paused is not waited for"
    paused = serving(models.engine, defective)
    assert (paused.state, paused.position) == ("paused", 6)
    assert paused.reason == "OutOfOrder in applying SettingsGroupPreparationFailed at position 7: the defect"
    assert serving(models.engine, listing.PROJECTION).position == head
    assert "current_settings is paused: OutOfOrder in applying" in caplog.text
    with models.engine.connect() as connection:
        stale = current_settings.get(connection, KEY)
    assert stale is not None
    assert stale.position == 6, "readers still get the rows from before the defect, and none after it"


def test_a_paused_projection_goes_on_once_its_defect_is_mended_and_it_is_resumed(models: ReadModels) -> None:
    models.append(whole_life())
    models.projections = [failing(changelog.PROJECTION, at_position=7)]
    models.new_projector().catch_up()
    models.projections = [changelog.PROJECTION]
    mended = models.new_projector()
    assert mended.catch_up() == 0, "it waits for an operator"
    with write_transaction(models.engine) as connection:
        registry.resume(connection, changelog.PROJECTION.name)
    assert mended.catch_up() == models.store.head()
    assert len(models.stored()["changelog"]) == models.store.head()


class LogOfTheFuture:
    """A log in which a newer program has written facts that this one does not know."""

    def __init__(self, known: Sequence[StoredEvent]) -> None:
        self._known = known

    def read(self, *, after: int, limit: int) -> Sequence[StoredEvent]:
        return [event for event in self._known if event.position > after][:limit]

    def head(self) -> int:
        return len(self._known)


def unknown_event(position: int) -> StoredEvent:
    return StoredEvent(
        position=position,
        stream=split_test_stream(KEY),
        version=position,
        encoded=EncodedFact(name="FactOfTheFuture", version=1, payload=b"{}"),
        actor="anna",
        recorded_at=datetime(2026, 5, 1, tzinfo=UTC),
    )


def test_an_unknown_fact_is_skipped_and_said_once(database: Engine, caplog: pytest.LogCaptureFixture) -> None:
    store = SqlEventStore(database, REGISTRY)
    store.append(
        split_test_stream(KEY),
        [created()],
        expected_version=0,
        provenance=Provenance(actor="anna", recorded_at=datetime(2026, 5, 1, tzinfo=UTC)),
    )
    log = LogOfTheFuture([*store.read(after=0, limit=10), unknown_event(2), unknown_event(3)])
    projector = Projector(
        engine=database,
        store=log,  # type: ignore[arg-type]  # a projector only reads
        registry=REGISTRY,
        projections=ALL,
        batch_size=1,
    )
    assert projector.catch_up() == 3
    assert caplog.text.count("unknown fact FactOfTheFuture version 1") == 1


def test_rows_of_another_version_are_neither_followed_nor_read(
    models: ReadModels, caplog: pytest.LogCaptureFixture
) -> None:
    models.given(created())
    newer = Projection(
        name=changelog.PROJECTION.name,
        version=changelog.PROJECTION.version + 1,
        templates=changelog.PROJECTION.templates,
        apply=changelog.PROJECTION.apply,
    )
    models.append([created("other")])
    models.projections = [newer, listing.PROJECTION]
    projector = models.new_projector()
    projector.catch_up()
    projector.catch_up()
    assert serving(models.engine, newer).position == 1
    assert serving(models.engine, listing.PROJECTION).position == 2
    assert caplog.text.count("rebuild changelog with the newer program") == 1
    with models.engine.connect() as connection, pytest.raises(ProjectionOutdated):
        registry.live_tables(connection, newer)


def test_the_process_follows_the_log_until_it_is_stopped(models: ReadModels) -> None:
    stop = threading.Event()
    reached: list[int] = []
    arrived = threading.Event()

    def note(position: int) -> None:
        reached.append(position)
        arrived.set()

    process = threading.Thread(
        target=follow,
        args=(models.projector, stop),
        kwargs={"poll_interval_seconds": 0.02, "progress": note},
    )
    process.start()
    try:
        models.append([created()])
        assert arrived.wait(timeout=60)
    finally:
        stop.set()
        process.join(timeout=60)
    assert not process.is_alive()
    assert reached == [1]


def test_the_process_outlives_a_database_that_does_not_answer(
    sqlite_database: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    stop = threading.Event()
    models = ReadModels(sqlite_database, projections=[listing.PROJECTION])
    models.given(created())
    with write_transaction(sqlite_database) as connection:
        connection.exec_driver_sql("ALTER TABLE projections RENAME TO elsewhere")
    process = threading.Thread(target=follow, args=(models.projector, stop), kwargs={"poll_interval_seconds": 0.02})
    process.start()
    while "the database does not answer" not in caplog.text:
        assert process.is_alive()
        stop.wait(0.01)
    with write_transaction(sqlite_database) as connection:
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO projections")
    models.append([created("second")])
    while serving(sqlite_database, listing.PROJECTION).position < 2:
        assert process.is_alive()
        stop.wait(0.01)
    stop.set()
    process.join(timeout=60)


class LogThatIsAwayAtFirst:
    """A log whose database does not answer the first few times."""

    def __init__(self, log: EventStore, *, times: int) -> None:
        self._log = log
        self._times = times

    def read(self, *, after: int, limit: int) -> Sequence[StoredEvent]:
        if self._times > 0:
            self._times -= 1
            raise DatabaseUnavailable("connection refused")
        return self._log.read(after=after, limit=limit)

    def head(self) -> int:
        return self._log.head()


def test_the_process_outlives_a_log_that_does_not_answer(
    sqlite_database: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    models = ReadModels(sqlite_database, projections=[listing.PROJECTION])
    models.append([created()])
    stop = threading.Event()
    projector = Projector(
        engine=sqlite_database,
        store=LogThatIsAwayAtFirst(models.store, times=2),  # type: ignore[arg-type]  # a projector only reads
        registry=REGISTRY,
        projections=[listing.PROJECTION],
    )
    follow(projector, stop, poll_interval_seconds=0.01, progress=lambda _: stop.set())
    assert caplog.text.count("asking again") == 2
    assert serving(sqlite_database, listing.PROJECTION).position == 1


def test_a_database_that_goes_away_while_rows_are_written_pauses_nothing(models: ReadModels) -> None:
    away = True

    def apply(connection: Connection, tables: Tables, facts: Sequence[RecordedFact]) -> None:
        if away:
            raise DatabaseUnavailable("the server closed the connection")
        changelog.PROJECTION.apply(connection, tables, facts)

    models.projections = [replace(changelog.PROJECTION, apply=apply)]
    models.append([created()])
    projector = models.new_projector()
    with pytest.raises(DatabaseUnavailable):
        projector.catch_up()
    assert serving(models.engine, changelog.PROJECTION).state == "live"
    away = False
    assert projector.catch_up() == 1


@pytest.mark.real_postgres
def test_a_connection_that_dies_under_a_copy_is_a_database_that_does_not_answer(migrated_postgres_url: str) -> None:
    engine = open_database(migrated_postgres_url)
    models = ReadModels(engine, projections=[changelog.PROJECTION])
    models.given(created("first"))
    models.append([created("second")])

    def apply(connection: Connection, tables: Tables, facts: Sequence[RecordedFact]) -> None:
        del facts
        own = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        with engine.connect() as other:
            other.exec_driver_sql(f"SELECT pg_terminate_backend({own})")
        table = tables[changelog.PROJECTION.name]
        insert_rows(connection, table, [(9, KEY, datetime(2026, 5, 1, tzinfo=UTC), "anna", "", "")])
        pytest.fail("the connection is gone")

    models.projections = [replace(changelog.PROJECTION, apply=apply)]
    with pytest.raises(OUTAGES):
        models.new_projector().catch_up()
    assert serving(engine, changelog.PROJECTION).state == "live"
    models.projector.catch_up()
    assert len(models.stored()["changelog"]) == 2
    engine.dispose()


@pytest.mark.real_postgres
def test_a_number_too_large_for_its_column_pauses_and_is_never_cut(migrated_postgres_url: str) -> None:
    engine = open_database(migrated_postgres_url)
    models = ReadModels(engine, projections=[current_settings.PROJECTION])
    models.given(created(), proposed(settings_group=2**31 - 1))
    models.given(proposed(settings_group=2**31 + 7))
    held = serving(engine, current_settings.PROJECTION)
    assert (held.state, held.position) == ("paused", 2)
    assert str(2**31 + 7) in held.reason
    with engine.connect() as connection:
        settings = current_settings.get(connection, KEY)
    assert settings
    assert settings.pending_group == 2**31 - 1
    engine.dispose()
