"""Incremental = rebuilt, byte for byte, for any history and wherever it is cut into batches."""

from collections.abc import Sequence
from datetime import UTC
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, func, insert, update

from events.database import open_database, write_transaction
from events.facts import REGISTRY, SplitTestFact, UserGroupEstimateFact, UserGroupFact
from events.sql_store import SqlEventStore, event_counter_table, events_table
from events.store import EventStore
from projections import test_list
from projections.log_batches import read_batch
from projections.models import ALL
from projections.rebuild import rebuild_many
from tests.support.histories import (
    KEY,
    any_history,
    created,
    cuts,
    running,
    whole_life,
    whole_life_of_user_group,
    whole_story_of_overrides,
)
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
    rebuild_many(engine=engine, store=models.store, registry=REGISTRY, projections=ALL, batch_size=sizes[-1])
    assert models.stored() == incremental
    # Once more from a log in the same database, which is read as bare rows.
    log = copy_of_the_log(engine, models.store)
    rebuild_many(engine=engine, store=log, registry=REGISTRY, projections=ALL, batch_size=sizes[0])
    assert models.stored() == incremental
    assert len(incremental["changelog"]) == sum(isinstance(fact, SplitTestFact) for fact in history)
    of_groups = sum(isinstance(fact, UserGroupFact | UserGroupEstimateFact) for fact in history)
    assert len(incremental["user_groups__changes"]) == of_groups


def copy_of_the_log(engine: Engine, store: EventStore) -> SqlEventStore:
    rows = [
        {
            "position": event.position,
            "stream": event.stream,
            "version": event.version,
            "name": event.encoded.name,
            "fact_version": event.encoded.version,
            "payload": event.encoded.payload.decode(),
            "actor": event.actor,
            "recorded_at": event.recorded_at,
            "command_id": event.command_id,
        }
        for event in store.read(after=0, limit=10_000)
    ]
    with write_transaction(engine) as connection:
        connection.execute(delete(events_table))
        if rows:
            connection.execute(insert(events_table), rows)
        connection.execute(update(event_counter_table).values(position=len(rows)))
    return SqlEventStore(engine, REGISTRY)


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
        history = [*whole_life(), *running("a"), *whole_story_of_overrides("a"), *whole_life_of_user_group("a")]
        on_sqlite = follow_in_pieces(sqlite_database, history, [3]).stored()
        on_postgres = follow_in_pieces(postgres, history, [100]).stored()
        assert on_sqlite == on_postgres
    finally:
        postgres.dispose()


def test_a_nul_that_came_into_the_log_past_the_rules_pauses_nothing_and_is_shown_as_unreadable(
    database: Engine,
) -> None:
    models = ReadModels(database)
    models.given(created(description="here: ?, and \\\\u0000 as somebody typed it"))
    log = copy_of_the_log(database, models.store)
    with write_transaction(database) as connection:
        smuggled = func.replace(events_table.c.payload, "?", "\\u0000")
        connection.execute(update(events_table).values(payload=smuggled))
    forget_everything(database)
    models = ReadModels(database, store=log)
    assert models.projector.catch_up() == 1
    with database.connect() as connection:
        line = test_list.get(connection, KEY)
    assert line
    assert line.description == "here: \N{REPLACEMENT CHARACTER}, and \\\\u0000 as somebody typed it"


def test_a_log_of_bare_rows_is_decoded_into_the_very_facts_of_the_store(database: Engine) -> None:
    models = ReadModels(database)
    models.append(whole_life())
    log = copy_of_the_log(database, models.store)
    in_bulk = read_batch(log, REGISTRY, after=3, limit=5, skip_unknown=False)
    assert in_bulk == read_batch(models.store, REGISTRY, after=3, limit=5, skip_unknown=False)
    assert [each.recorded_at.tzinfo for each in in_bulk.facts] == [UTC] * 5
