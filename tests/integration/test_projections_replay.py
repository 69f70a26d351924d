"""Incremental = rebuilt, byte for byte, for any history and wherever it is cut into batches."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from events.database import open_database
from events.facts import REGISTRY
from projections.models import ALL
from projections.rebuild import rebuild
from tests.support.histories import any_history, cuts, whole_life
from tests.support.read_models import ReadModels, forget_everything

histories_with_cuts = any_history.flatmap(lambda history: st.tuples(st.just(history), cuts(len(history))))


def follow_in_pieces(engine: Engine, history: Sequence[Any], sizes: Sequence[int]) -> ReadModels:
    """Project the history in batches of `sizes`, again from the first of them when they are used up."""
    models = ReadModels(engine)
    begin = 0
    while begin < len(history):
        for size in sizes:
            models.append(history[begin : begin + size])
            models.new_projector(batch_size=size).catch_up()
            begin += size
    return models


def check_replay(engine: Engine, history: Sequence[Any], sizes: Sequence[int]) -> None:
    forget_everything(engine)
    models = follow_in_pieces(engine, history, sizes)
    models.projector.catch_up()
    incremental = models.stored()
    for projection in ALL:
        rebuild(engine=engine, store=models.store, registry=REGISTRY, projection=projection, batch_size=sizes[-1])
    assert models.stored() == incremental
    assert len(incremental["changelog"]) == len(history)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories_with_cuts)
def test_any_history_in_any_batches_gives_the_rows_of_a_rebuild(
    sqlite_database: Engine, history_with_cuts: tuple[list[Any], list[int]]
) -> None:
    check_replay(sqlite_database, *history_with_cuts)


@pytest.mark.real_postgres
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories_with_cuts)
def test_the_same_holds_on_postgresql(
    migrated_postgres_url: str, history_with_cuts: tuple[list[Any], list[int]]
) -> None:
    engine = open_database(migrated_postgres_url)
    try:
        check_replay(engine, *history_with_cuts)
    finally:
        engine.dispose()


def test_both_databases_store_the_same(sqlite_database: Engine, migrated_postgres_url: str) -> None:
    postgres = open_database(migrated_postgres_url)
    try:
        on_sqlite = follow_in_pieces(sqlite_database, whole_life(), [3]).stored()
        on_postgres = follow_in_pieces(postgres, whole_life(), [100]).stored()
        assert on_sqlite == on_postgres
    finally:
        postgres.dispose()
