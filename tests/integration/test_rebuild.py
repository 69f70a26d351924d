"""A rebuild beside the rows that serve: what readers see, what is switched, what a failure leaves."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Connection,
    Delete,
    Engine,
    Integer,
    MetaData,
    Table,
    Text,
    Update,
    delete,
    inspect,
    select,
    update,
)

from events import facts
from events.database import write_transaction
from events.errors import CorruptPayload, DatabaseUnavailable, PositionGap, UnknownFact
from events.facts import REGISTRY
from events.sql_store import SqlEventStore, events_table
from events.store import RecordedFact
from projections import changelog, current_settings, registry
from projections.errors import RebuildFailed, RebuildSuperseded
from projections.models import ALL
from projections.progress import Progress, Stage, report_nothing
from projections.projection import Projection, Tables
from projections.rebuild import rebuild, rebuild_many
from projections.registry import Generation
from tests.support.histories import KEY, created, whole_life
from tests.support.read_models import ReadModels

MODEL = changelog.PROJECTION


@pytest.fixture
def models(database: Engine) -> ReadModels:
    models = ReadModels(database, store=SqlEventStore(database, REGISTRY), projections=[MODEL])
    models.given(*whole_life())
    return models


def rebuilt(
    models: ReadModels, projection: Projection = MODEL, progress: Callable[[Progress], None] = report_nothing
) -> Generation:
    return rebuild(
        engine=models.engine,
        store=models.store,
        registry=REGISTRY,
        projection=projection,
        progress=progress,
        batch_size=5,
    )


def known(models: ReadModels) -> list[tuple[int, str]]:
    with models.engine.connect() as connection:
        return [(each.generation, each.state) for each in registry.generations(connection, MODEL.name)]


def tables_of(models: ReadModels) -> set[str]:
    return {name for name in inspect(models.engine).get_table_names() if name.startswith(MODEL.name)}


def test_a_rebuild_serves_the_same_rows_from_new_tables_and_drops_the_old_ones(models: ReadModels) -> None:
    before = models.stored()
    generation = rebuilt(models)
    assert (generation.generation, generation.state, generation.position) == (2, "live", models.store.head())
    assert known(models) == [(2, "live")]
    assert tables_of(models) == {"changelog_g2"}
    assert models.stored() == before


def test_a_projection_that_never_ran_can_be_built_by_a_rebuild(database: Engine) -> None:
    models = ReadModels(database, store=SqlEventStore(database, REGISTRY), projections=[MODEL])
    models.append(whole_life())
    assert rebuilt(models).position == models.store.head()
    assert len(models.stored()["changelog"]) == models.store.head()


def test_progress_is_reported_in_figures(models: ReadModels) -> None:
    reports: list[Progress] = []
    clock = iter(range(100))
    rebuild(
        engine=models.engine,
        store=models.store,
        registry=REGISTRY,
        projection=MODEL,
        progress=reports.append,
        batch_size=5,
        monotonic=lambda: next(clock),
    )
    head = models.store.head()
    stages: list[tuple[Stage, int]] = [(report.stage, report.done) for report in reports]
    assert stages == [
        ("starting", 0),
        ("building", 5),
        ("building", 10),
        ("building", 15),
        ("building", head),
        ("switching", head),
        ("dropping", head),
        ("done", head),
    ]
    third = reports[2]
    assert (third.total, third.elapsed_seconds) == (head, 3)
    assert third.events_per_second == pytest.approx(10 / 3)
    assert third.remaining_seconds == pytest.approx((head - 10) * 3 / 10)
    assert (reports[0].events_per_second, reports[0].remaining_seconds) == (0.0, None)


def test_readers_see_the_old_rows_until_the_switch_and_the_same_ones_after_it(models: ReadModels) -> None:
    seen = []

    def read(progress: Progress) -> None:
        del progress
        with models.engine.connect() as connection:
            seen.append(changelog.entries(connection, KEY))

    rebuilt(models, progress=read)
    assert len(seen) == 8
    assert all(entries == seen[0] for entries in seen)
    assert len(seen[0]) == len(whole_life()) - 2


def test_facts_that_arrive_at_any_stage_are_not_lost(models: ReadModels) -> None:
    arrived = 0

    def write(progress: Progress) -> None:
        del progress
        nonlocal arrived
        arrived += 1
        models.append([created(f"arrived-{arrived}")])
        models.projector.catch_up()

    generation = rebuilt(models, progress=write)
    assert arrived >= 8
    models.projector.catch_up()
    assert len(models.stored()["changelog"]) == models.store.head() == len(whole_life()) + arrived
    assert generation.position >= len(whole_life())


def test_what_the_old_rows_are_ahead_by_is_applied_in_the_switch(models: ReadModels) -> None:
    def overtake(progress: Progress) -> None:
        if progress.stage == "switching":
            models.given(*(created(f"late-{number}") for number in range(7)))

    assert rebuilt(models, progress=overtake).position == models.store.head()


def test_a_rebuild_clears_a_pause(models: ReadModels) -> None:
    with write_transaction(models.engine) as connection:
        registry.set_state(connection, registry.generations(connection, MODEL.name)[0], "paused", reason="defect")
    generation = rebuilt(models)
    assert (generation.state, generation.reason) == ("live", "")
    models.given(created("after"))
    assert len(models.stored()["changelog"]) == models.store.head()


def test_another_version_takes_over_with_other_columns_and_nothing_of_the_old_tables_stays(models: ReadModels) -> None:
    template = Table(
        MODEL.name,
        MetaData(),
        Column("position", Integer, primary_key=True, autoincrement=False),
        Column("kind", Text, nullable=False),
    )

    def apply(connection: Connection, tables: Tables, recorded: Sequence[RecordedFact]) -> None:
        rows = [{"position": each.position, "kind": type(each.fact).__name__} for each in recorded]
        connection.execute(tables[MODEL.name].insert(), rows)

    newer = Projection(name=MODEL.name, version=MODEL.version + 1, templates=(template,), apply=apply)
    assert rebuilt(models, newer).version == newer.version
    assert tables_of(models) == {"changelog_g2"}
    models.projections = [newer]
    assert len(models.stored()["changelog"]) == models.store.head()


def raising(connection: Connection, tables: Tables, recorded: Sequence[RecordedFact]) -> None:
    MODEL.apply(connection, tables, recorded)
    if recorded[-1].position > 10:
        raise ZeroDivisionError("a defect")


def check_failed_rebuild(models: ReadModels, projection: Projection = MODEL) -> RebuildFailed:
    before = models.stored()
    with pytest.raises(RebuildFailed, match="changed nothing for readers") as caught:
        rebuilt(models, projection)
    assert models.stored() == before
    assert known(models) == [(1, "live")]
    assert tables_of(models) == {"changelog_g1"}
    return caught.value


def test_a_defect_fails_the_rebuild_and_changes_nothing(models: ReadModels) -> None:
    defective = Projection(name=MODEL.name, version=MODEL.version, templates=MODEL.templates, apply=raising)
    error = check_failed_rebuild(models, defective)
    assert "in positions 11 to 15: ZeroDivisionError: a defect" in str(error)


@pytest.mark.parametrize(
    ("damage", "cause"),
    [
        (update(events_table).values(name="FactOfTheFuture"), UnknownFact),
        (update(events_table).values(payload="{}"), CorruptPayload),
        (delete(events_table), PositionGap),
    ],
    ids=["unknown fact", "corrupt payload", "hole"],
)
def test_a_log_that_cannot_be_read_fails_the_rebuild_and_changes_nothing(
    models: ReadModels, damage: Update | Delete, cause: type[Exception]
) -> None:
    with write_transaction(models.engine) as connection:
        connection.execute(damage.where(events_table.c.position == 7))
    error = check_failed_rebuild(models)
    assert isinstance(error.__cause__, cause)
    assert f"behind position 6: {cause.__name__}" in str(error)


def test_the_rebuild_started_last_goes_on_and_the_other_one_stops(models: ReadModels) -> None:
    inner: list[Generation] = []

    def start_another(progress: Progress) -> None:
        if progress.stage == "building" and progress.done == 10:
            inner.append(rebuilt(models))

    with pytest.raises(RebuildSuperseded, match="start one at a time"):
        rebuilt(models, progress=start_another)
    assert known(models) == [(3, "live")]
    assert tables_of(models) == {"changelog_g3"}
    assert inner[0].generation == 3


def test_a_reader_in_the_middle_of_a_transaction_keeps_its_tables(models: ReadModels) -> None:
    with models.engine.connect() as connection:
        table = registry.live_tables(connection, MODEL)["changelog"]
        rebuilt(models)
        assert len(connection.execute(select(table)).all()) == len(whole_life())
    expected = [(2, "live")] if models.engine.dialect.name == "sqlite" else [(1, "retired"), (2, "live")]
    assert known(models) == expected
    rebuilt(models)
    assert known(models) == [(3, "live")]


def test_a_log_that_was_restored_from_an_older_dump_is_what_counts(models: ReadModels) -> None:
    older = ReadModels(models.engine, projections=[MODEL])
    older.append([created(), facts.SplitTestPublished(key=KEY)])
    assert rebuilt(older).position == 2
    assert len(older.stored()["changelog"]) == 2


def rebuilt_together(models: ReadModels, *projections: Projection, **options: Any) -> list[Generation]:
    return rebuild_many(
        engine=models.engine,
        store=models.store,
        registry=REGISTRY,
        projections=projections,
        batch_size=5,
        **options,
    )


@pytest.fixture
def all_models(database: Engine) -> ReadModels:
    models = ReadModels(database, store=SqlEventStore(database, REGISTRY))
    models.given(*whole_life())
    return models


def states(models: ReadModels) -> dict[str, list[tuple[int, str]]]:
    with models.engine.connect() as connection:
        return {
            projection.name: [
                (each.generation, each.state) for each in registry.generations(connection, projection.name)
            ]
            for projection in models.projections
        }


def test_several_projections_are_rebuilt_in_one_reading_of_the_log_and_switch_together(all_models: ReadModels) -> None:
    before = all_models.stored()
    reports: list[Progress] = []
    built = rebuilt_together(all_models, *ALL, progress=reports.append)
    assert [(each.name, each.generation, each.position) for each in built] == [
        (projection.name, 2, all_models.store.head()) for projection in ALL
    ]
    assert states(all_models) == {projection.name: [(2, "live")] for projection in ALL}
    assert all_models.stored() == before
    assert [report.done for report in reports if report.stage == "building"] == [5, 10, 15, all_models.store.head()]


def test_projections_that_stand_at_different_positions_are_all_brought_to_the_foremost(all_models: ReadModels) -> None:
    with write_transaction(all_models.engine) as connection:
        registry.pause(connection, MODEL.name, reason="a look at it")

    def overtake(progress: Progress) -> None:
        if progress.stage == "switching":
            all_models.given(*(created(f"late-{number}") for number in range(7)))

    built = rebuilt_together(all_models, *ALL, progress=overtake)
    assert {each.position for each in built} == {all_models.store.head()}
    assert len(all_models.stored()["changelog"]) == all_models.store.head()


def test_a_defect_in_one_of_them_changes_nothing_for_the_readers_of_any(all_models: ReadModels) -> None:
    before = all_models.stored()
    defective = Projection(name=MODEL.name, version=MODEL.version, templates=MODEL.templates, apply=raising)
    with pytest.raises(RebuildFailed, match="the rebuild of changelog failed"):
        rebuilt_together(all_models, current_settings.PROJECTION, defective)
    assert all_models.stored() == before
    assert states(all_models) == {projection.name: [(1, "live")] for projection in ALL}


def test_where_one_of_them_was_taken_over_by_another_rebuild_nothing_of_the_others_stays(
    all_models: ReadModels,
) -> None:
    def start_another(progress: Progress) -> None:
        if progress.stage == "building" and progress.done == 10:
            rebuilt(all_models)

    with pytest.raises(RebuildSuperseded, match="changelog"):
        rebuilt_together(all_models, *ALL, progress=start_another)
    expected = {projection.name: [(1, "live")] for projection in ALL} | {"changelog": [(3, "live")]}
    assert states(all_models) == expected


def test_a_rebuild_that_loses_the_database_can_be_run_again(models: ReadModels) -> None:
    def unreachable(connection: Connection, tables: Tables, recorded: Sequence[RecordedFact]) -> None:
        del connection, tables, recorded
        raise DatabaseUnavailable("the server closed the connection")

    before = models.stored()
    away = Projection(name=MODEL.name, version=MODEL.version, templates=MODEL.templates, apply=unreachable)
    with pytest.raises(DatabaseUnavailable):
        rebuilt(models, away)
    assert models.stored() == before
    assert rebuilt(models).generation == 3
    assert known(models) == [(3, "live")]
