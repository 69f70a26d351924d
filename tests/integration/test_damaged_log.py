"""A log that was damaged: a payload, a row, a hole, an end that is missing. What it does to those who follow it."""

import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import Engine, delete, insert, update

from commands.aggregates import SPLIT_TESTS
from commands.execution import Execution
from events.database import write_transaction
from events.errors import DamagedRow, VersionGap
from events.facts import REGISTRY, PropertiesEdited, split_test_stream
from events.sql_store import SqlEventStore, events_table
from projections import changelog, config, registry
from projections.errors import RebuildFailed
from projections.log_batches import read_batch
from projections.models import ALL
from projections.projection import Projection
from projections.rebuild import rebuild
from projections.registry import Generation
from tests.support.histories import KEY, created, running, whole_life
from tests.support.read_models import BEGINNING, ReadModels


def serving(engine: Engine, projection: Projection) -> Generation:
    with engine.connect() as connection:
        found = registry.serving(connection, projection.name)
    assert found is not None
    return found


def assert_nobody_reads(engine: Engine) -> None:
    """Fail if a connection still looks at the file as it was: SQLite cannot shorten its log of writes then."""
    with closing(sqlite3.connect(str(engine.url.database), isolation_level=None)) as connection:
        is_hindered, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert not is_hindered


@pytest.fixture
def models(database: Engine) -> ReadModels:
    return ReadModels(database, store=SqlEventStore(database, REGISTRY))


def test_a_corrupt_payload_pauses_every_projection_behind_the_last_good_fact(models: ReadModels) -> None:
    models.append(whole_life())
    with write_transaction(models.engine) as connection:
        connection.execute(update(events_table).where(events_table.c.position == 6).values(payload='{"key": 1}'))
    models.projector.catch_up()
    for projection in ALL:
        found = serving(models.engine, projection)
        assert (found.state, found.position) == ("paused", 5)
        assert found.reason.startswith("behind position 5: CorruptPayload: ")


def test_a_hole_in_the_log_pauses_every_projection_before_it(models: ReadModels) -> None:
    models.append(whole_life())
    with write_transaction(models.engine) as connection:
        connection.execute(delete(events_table).where(events_table.c.position == 6))
    models.projector.catch_up()
    for projection in ALL:
        found = serving(models.engine, projection)
        assert (found.state, found.position) == ("paused", 5)
        assert found.reason == "behind position 5: PositionGap: expected position 6, found 7: the log has a hole"


def test_facts_that_are_gone_from_the_end_of_the_log_pause_every_projection_there(models: ReadModels) -> None:
    models.given(*whole_life())
    models.append([created("late"), created("later")])
    end = models.store.head() - 2
    lost = delete(events_table).where(events_table.c.position > end).returning(events_table)
    with write_transaction(models.engine) as connection:
        rows = [dict(row._mapping) for row in connection.execute(lost)]
    models.projector.catch_up()
    for projection in ALL:
        found = serving(models.engine, projection)
        assert (found.state, found.position) == ("paused", end)
        assert f"LogCutShort: the log ends at position {end} and event_counter stands at {end + 2}" in found.reason
    with write_transaction(models.engine) as connection:
        connection.execute(insert(events_table), rows)
        for projection in ALL:
            registry.resume(connection, projection.name)
    assert models.projector.catch_up() == end + 2


def test_a_fact_that_arrives_while_the_end_is_looked_at_is_no_loss(models: ReadModels) -> None:
    models.given(created())

    class Arriving(SqlEventStore):
        """Is appended to between a look at the log and one at its counter."""

        def head(self) -> int:
            if super().head() == 1:
                models.append([created("late")])
            return super().head()

    store = Arriving(models.engine, REGISTRY)
    batch = read_batch(store, REGISTRY, after=1, limit=10, skip_unknown=True)
    assert batch.is_empty
    assert store.head() == 2


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("payload = CAST(x'7b22ff227d' AS TEXT)", "Could not decode to UTF-8 column 'payload'"),
        ("actor = CAST(x'ff' AS TEXT)", "Could not decode to UTF-8 column 'actor'"),
        ("payload = CAST(payload AS BLOB)", "position 6 holds values of other types"),
        ("fact_version = 'one'", "position 6 holds values of other types"),
        ("recorded_at = '2026-05-0!'", "position 6: Invalid isoformat string"),
        ("recorded_at = 20260501", "position 6: unsupported operand"),
    ],
)
def test_a_damaged_row_of_sqlite_is_no_outage_and_pauses_every_projection_before_it(
    sqlite_database: Engine, damage: str, said: str
) -> None:
    models = ReadModels(sqlite_database, store=SqlEventStore(sqlite_database, REGISTRY))
    models.append(whole_life())
    with write_transaction(sqlite_database) as connection:
        connection.exec_driver_sql(f"UPDATE events SET {damage} WHERE position = 6")  # noqa: S608 - of this test
    models.projector.catch_up()
    for projection in ALL:
        found = serving(sqlite_database, projection)
        assert (found.state, found.position) == ("paused", 5)
        assert found.reason.startswith("behind position 5: DamagedRow: ")
        assert said in found.reason
    with pytest.raises(RebuildFailed, match="DamagedRow") as kept:
        rebuild(engine=sqlite_database, store=models.store, registry=REGISTRY, projection=changelog.PROJECTION)
    assert_nobody_reads(sqlite_database)
    del kept


def test_a_damaged_row_of_a_read_model_pauses_it_and_a_rebuild_mends_it(sqlite_database: Engine) -> None:
    model = config.PROJECTION
    models = ReadModels(sqlite_database, store=SqlEventStore(sqlite_database, REGISTRY), projections=[model])
    models.given(*running())
    expected = models.stored()
    with write_transaction(sqlite_database) as connection:
        connection.exec_driver_sql("UPDATE config_g1 SET status = CAST(x'ff' AS TEXT)")
    models.append([PropertiesEdited(key=KEY, changes=())])
    models.projector.catch_up()
    paused = serving(sqlite_database, model)
    assert paused.state == "paused"
    assert "Could not decode to UTF-8 column 'status'" in paused.reason
    assert_nobody_reads(sqlite_database)
    rebuild(engine=sqlite_database, store=models.store, registry=REGISTRY, projection=model)
    assert models.stored() == expected


def test_nothing_is_decided_on_a_history_with_a_hole(models: ReadModels) -> None:
    models.append(whole_life())
    with write_transaction(models.engine) as connection:
        connection.execute(delete(events_table).where(events_table.c.position == 3))
    commands = Execution(SPLIT_TESTS, store=models.store, registry=REGISTRY, now=lambda: BEGINNING)
    with pytest.raises(VersionGap, match="should go on with version 3 and goes on with 4"):
        commands.load(KEY)


def test_a_damaged_row_is_named_to_whoever_reads_the_log(sqlite_database: Engine) -> None:
    models = ReadModels(sqlite_database, store=SqlEventStore(sqlite_database, REGISTRY))
    models.append([created()])
    with write_transaction(sqlite_database) as connection:
        connection.exec_driver_sql("UPDATE events SET payload = CAST(x'ff' AS TEXT)")
    with pytest.raises(DamagedRow):
        models.store.read(after=0, limit=1)
    with pytest.raises(DamagedRow):
        models.store.read_stream(split_test_stream(KEY))


def test_a_log_that_ends_before_the_projection_pauses_it(sqlite_database: Engine) -> None:
    ReadModels(sqlite_database).given(*whole_life())
    restored = ReadModels(sqlite_database)
    restored.given(created())
    assert serving(sqlite_database, changelog.PROJECTION).state == "paused"
    assert "was an older log restored?" in serving(sqlite_database, changelog.PROJECTION).reason
