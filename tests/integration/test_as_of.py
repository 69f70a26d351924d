"""Read models as of a position: the rows that were there then, and what was in force by whose change."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, delete

from events import facts
from events.database import write_transaction
from events.errors import PositionGap, UnknownFact, VersionGap
from events.facts import REGISTRY, split_test_stream
from events.memory_store import MemoryEventStore
from events.override_facts import UnitForgotten
from events.registry import FactRegistry
from events.sql_store import SqlEventStore, events_table
from projections import changelog, config, current_settings
from projections import test_list as listing
from projections.as_of import InForce, in_force, overrides_in_force, read_models
from projections.models import ALL
from tests.support.histories import (
    KEY,
    any_history,
    created,
    forced,
    prepared,
    proposed,
    published,
    running,
    whole_life,
)
from tests.support.read_models import ReadModels, forget_everything, stored_rows


@contextmanager
def as_of(models: ReadModels, position: int, key: str | None = None) -> Iterator[Connection]:
    streams = None if key is None else [split_test_stream(key)]
    with read_models(models.store, REGISTRY, position=position, streams=streams) as connection:
        yield connection


def rows_then(models: ReadModels, position: int) -> dict[str, list[tuple[Any, ...]]]:
    with as_of(models, position) as connection:
        return {name: rows for each in ALL for name, rows in stored_rows(connection, each).items()}


def then(models: ReadModels, position: int, key: str = KEY) -> InForce:
    found = in_force(models.store, REGISTRY, key=key, position=position)
    assert found is not None
    return found


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(any_history, st.data())
def test_the_rows_as_of_a_position_are_those_that_were_there_when_the_log_ended_there(
    sqlite_database: Engine, history: list[Any], data: st.DataObject
) -> None:
    position = data.draw(st.integers(min_value=0, max_value=len(history)))
    forget_everything(sqlite_database)
    models = ReadModels(sqlite_database)
    models.given(*history[:position])
    were_there = models.stored()
    models.given(*history[position:])
    assert rows_then(models, position) == were_there
    assert rows_then(models, len(history)) == models.stored()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(any_history, st.sampled_from(["a", "b.c", "D-1"]), st.data())
def test_the_stream_of_a_test_alone_gives_the_same_answers_about_it(
    sqlite_database: Engine, history: list[Any], key: str, data: st.DataObject
) -> None:
    position = data.draw(st.integers(min_value=0, max_value=len(history)))
    models = ReadModels(sqlite_database)
    models.append(history)
    with as_of(models, position) as whole, as_of(models, position, key) as stream:
        for query in (listing.get, current_settings.get, config.get, changelog.entries):
            assert query(whole, key) == query(stream, key)
    in_force(models.store, REGISTRY, key=key, position=position)


@pytest.fixture
def models(sqlite_database: Engine) -> ReadModels:
    return ReadModels(sqlite_database)


def test_what_was_in_force_is_told_with_the_changes_that_made_it_so_and_their_makers(models: ReadModels) -> None:
    models.append(published(), actor="anna")
    models.append([facts.SplitTestStarted(key=KEY), proposed(settings_group=2)], actor="ivan")
    models.append([prepared(settings_group=2)], actor="preparer")
    before, after = then(models, 6), then(models, 7)
    assert (before.settings.settings_group, after.settings.settings_group) == (1, 2)
    assert (before.status_by.position, before.status_by.actor) == (5, "ivan")
    assert before.proposed_by
    assert (before.proposed_by.position, before.proposed_by.actor) == (2, "anna")
    assert before.settings.pending_group == 2
    assert after.proposed_by
    assert after.prepared_by
    assert (after.proposed_by.actor, after.prepared_by.actor) == ("ivan", "preparer")
    assert after.prepared_by.sentence.startswith("Settings group 2 is prepared")
    assert after.document
    assert '"settings_group":2' in after.document.document


def test_before_any_settings_nobody_asked_for_them(models: ReadModels) -> None:
    models.append([created()])
    found = then(models, 1)
    assert (found.listed.status, found.proposed_by, found.prepared_by, found.document) == ("draft", None, None, None)


def test_there_is_nothing_before_a_test_was_created_nor_after_it_was_discarded(models: ReadModels) -> None:
    models.append([created("other"), created(), facts.DraftDiscarded(key=KEY), *running()])
    for position in (0, 1, 3):
        assert in_force(models.store, REGISTRY, key=KEY, position=position) is None
    assert then(models, 2).listed.status == "draft"


def test_settings_of_an_earlier_life_of_the_key_are_not_taken_for_those_of_this_one(models: ReadModels) -> None:
    models.append([created(), proposed(), prepared(), facts.DraftDiscarded(key=KEY)], actor="anna")
    models.append([created(), proposed(), prepared()], actor="olga")
    found = then(models, 7)
    assert found.proposed_by
    assert (found.proposed_by.actor, found.proposed_by.position) == ("olga", 6)
    assert found.status_by.actor == "olga"


def test_any_model_answers_about_all_tests(models: ReadModels) -> None:
    models.append([*whole_life("first"), *running("second")])
    with as_of(models, len(whole_life()) + 1) as connection:
        assert {(row.key, row.status) for row in listing.rows(connection)} == {
            ("first", "finished"),
            ("second", "draft"),
        }


def test_a_log_that_this_program_cannot_read_is_an_error_and_not_an_answer(models: ReadModels) -> None:
    models.append([created()])
    knows_nothing = FactRegistry()
    for streams in ([split_test_stream(KEY)], None):
        with (
            pytest.raises(UnknownFact, match="run a release that knows it"),
            read_models(models.store, knows_nothing, position=1, streams=streams),
        ):
            pass


@pytest.mark.parametrize("streams", [[split_test_stream(KEY)], None], ids=["of a stream", "of the log"])
def test_a_hole_is_an_error_and_not_an_answer(sqlite_database: Engine, streams: list[str] | None) -> None:
    store = SqlEventStore(sqlite_database, REGISTRY)
    ReadModels(sqlite_database, store=store).append(whole_life())
    with write_transaction(sqlite_database) as connection:
        connection.execute(delete(events_table).where(events_table.c.position == 3))
    with (
        pytest.raises(VersionGap if streams else PositionGap, match="the log has a hole"),
        read_models(store, REGISTRY, position=7, streams=streams),
    ):
        pass


def test_a_position_beyond_the_end_of_the_log_is_its_end() -> None:
    with read_models(MemoryEventStore(REGISTRY), REGISTRY, position=7) as connection:
        assert listing.rows(connection) == []


def test_overrides_of_then_are_found_in_the_streams_of_the_test_and_the_unit_alone(models: ReadModels) -> None:
    models.append([*running(), forced("red"), forced("control", unit="user:7"), forced(None)])
    forgotten = UnitForgotten(unit="user:42", environment="devel")
    models.append([forgotten])

    def told(position: int) -> dict[str, Any] | None:
        document = overrides_in_force(models.store, REGISTRY, key=KEY, units=["user:42"], position=position)
        return None if document is None else dict(json.loads(document.document)["environments"]["devel"]["forced"])

    first = len(running()) + 1
    assert [told(position) for position in (first - 1, first, first + 1, first + 2, first + 3)] == [
        None,
        {"user:42": {KEY: "red"}},
        {"user:42": {KEY: "red"}},
        {"user:42": {KEY: None}},
        {},
    ]
