"""Rule 1: position order is commit order, so that a reader that saw position n has seen everything below it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Engine

from events import postgres_append, postgres_statements, sql_store
from events.database import open_database
from events.errors import CommandIdReused, VersionConflict
from events.facts import REGISTRY
from events.postgres_statements import statement_for, statement_for_all
from events.sql_append import Batch
from events.sql_store import SqlEventStore
from events.store import Appended, Command
from tests.support.event_stores import positions
from tests.support.held_transactions import HeldWriter


@dataclass(frozen=True, slots=True, kw_only=True)
class WritePath:
    facts: int
    with_command: bool = False
    step_by_step: bool = False
    among_others: bool = False

    def command(self, command_id: str) -> Command | None:
        return Command(command_id=command_id, fingerprint=command_id) if self.with_command else None


@pytest.fixture(
    params=[
        pytest.param(WritePath(facts=1), id="one fact"),
        pytest.param(WritePath(facts=3, with_command=True), id="facts with a command"),
        pytest.param(WritePath(facts=500), id="a big batch"),
        pytest.param(WritePath(facts=2, with_command=True, step_by_step=True), id="step by step"),
        pytest.param(WritePath(facts=2, with_command=True, among_others=True), id="as one of several"),
    ]
)
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> WritePath:
    """Every way in which facts come into the log; each takes its own way only."""
    chosen: WritePath = request.param
    if chosen.step_by_step:
        monkeypatch.setattr(sql_store, "_APPEND_AT_ONCE", dict.fromkeys(sql_store._APPEND_AT_ONCE, leave_it))
    else:
        monkeypatch.setattr(sql_store, "append_in_turn", never)
    if chosen.among_others:
        # SQLite has no way of its own for it: there each append of several is written as one alone is.
        monkeypatch.setattr(postgres_append, "statement_for", among_others)
    return chosen


def leave_it(engine: Engine, batches: Sequence[Batch]) -> None:
    del engine, batches


def among_others(batch: Batch) -> tuple[str, dict[str, Any]]:
    return statement_for_all([batch])


def never(engine: Engine, batch: Batch) -> Appended:
    raise AssertionError(f"{batch} did not take the short way on {engine}")


def test_a_later_position_cannot_be_committed_before_an_earlier_one(database_url: str, path: WritePath) -> None:
    with HeldWriter(database_url) as first, HeldWriter(database_url) as second:
        engine = open_database(database_url)
        tail = SqlEventStore(engine, REGISTRY)
        first.start("first", facts=path.facts, command=path.command("first"))
        assert first.reaches_its_commit()
        second.start("second", facts=path.facts, command=path.command("second"))

        assert second.is_kept_waiting()
        assert (tail.head(), list(tail.read(after=0, limit=2000))) == (0, [])

        assert first.commit().position == path.facts
        assert second.reaches_its_commit()
        assert positions(tail.read(after=0, limit=2000)) == list(range(1, path.facts + 1))

        assert second.commit().position == 2 * path.facts
        everything = tail.read(after=0, limit=2000)
        assert positions(everything) == list(range(1, 2 * path.facts + 1))
        assert [each.stream for each in everything] == ["first"] * path.facts + ["second"] * path.facts
        engine.dispose()


def test_a_rolled_back_writer_leaves_its_positions_to_the_one_that_waited(database_url: str, path: WritePath) -> None:
    with HeldWriter(database_url) as first, HeldWriter(database_url) as second:
        engine = open_database(database_url)
        tail = SqlEventStore(engine, REGISTRY)
        first.start("first", facts=path.facts, command=path.command("first"))
        assert first.reaches_its_commit()
        second.start("second", facts=path.facts, command=path.command("second"))
        assert second.is_kept_waiting()

        first.roll_back()
        assert second.commit().position == path.facts

        everything = tail.read(after=0, limit=2000)
        assert positions(everything) == list(range(1, path.facts + 1))
        assert {each.stream for each in everything} == {"second"}
        engine.dispose()


def test_a_command_without_facts_waits_its_turn_too(database_url: str) -> None:
    with HeldWriter(database_url) as first, HeldWriter(database_url) as second:
        first.start("first", facts=2)
        assert first.reaches_its_commit()
        second.start("second", facts=0, command=Command(command_id="second", fingerprint="second"))
        assert second.is_kept_waiting()

        first.commit()

        # Its answer says where the log stood: behind the first writer, or read-your-writes would be a lie.
        assert second.commit().position == 2


def test_two_replays_of_one_command_at_once_append_once(database_url: str) -> None:
    command = Command(command_id="the same", fingerprint="the same")
    with HeldWriter(database_url) as first, HeldWriter(database_url) as second:
        first.start("stream", facts=2, command=command)
        assert first.reaches_its_commit()
        second.start("stream", facts=2, command=command)
        assert second.is_kept_waiting()

        answers = [first.commit(), second.commit()]

    assert [answer.replayed for answer in answers] == [False, True]
    assert [answer.position for answer in answers] == [2, 2]


def test_a_command_id_that_another_body_takes_during_the_wait_is_refused(database_url: str) -> None:
    with HeldWriter(database_url) as first, HeldWriter(database_url) as second:
        first.start("stream", facts=2, command=Command(command_id="the same", fingerprint="start"))
        assert first.reaches_its_commit()
        second.start("another", facts=2, command=Command(command_id="the same", fingerprint="stop"))
        assert second.is_kept_waiting()

        first.commit()
        with pytest.raises(CommandIdReused):
            second.commit()


def test_a_command_whose_first_try_was_rolled_back_is_carried_out_by_the_second(database_url: str) -> None:
    command = Command(command_id="the same", fingerprint="the same")
    with HeldWriter(database_url) as first, HeldWriter(database_url) as second:
        first.start("stream", facts=2, command=command)
        assert first.reaches_its_commit()
        second.start("stream", facts=2, command=command)
        assert second.is_kept_waiting()

        first.roll_back()

        assert second.commit() == Appended(stream="stream", version=2, position=2)


# --- What a statement that waited must not believe: it sees the log as it was before its wait -------------------------


def test_a_stream_that_moved_on_during_the_wait_is_a_conflict(database_url: str) -> None:
    with HeldWriter(database_url) as first, HeldWriter(database_url) as second:
        first.start("stream", facts=2)
        assert first.reaches_its_commit()
        second.start("stream", facts=1)
        assert second.is_kept_waiting()

        first.commit()
        with pytest.raises(VersionConflict) as conflict:
            second.commit()

    assert (conflict.value.expected, conflict.value.actual) == (0, 2)


@pytest.mark.parametrize("facts", [0, 1])
def test_a_version_that_was_never_reached_is_a_conflict_during_the_wait_too(database_url: str, facts: int) -> None:
    command = Command(command_id="second", fingerprint="second")
    with HeldWriter(database_url) as first, HeldWriter(database_url) as second:
        first.start("stream", facts=2)
        assert first.reaches_its_commit()
        second.start("stream", facts=facts, expected_version=3, command=command)
        assert second.is_kept_waiting()

        first.commit()
        with pytest.raises(VersionConflict) as conflict:
            second.commit()

    assert (conflict.value.expected, conflict.value.actual) == (3, 2)


def test_a_version_reached_during_the_wait_is_one_to_build_on(database_url: str) -> None:
    with HeldWriter(database_url) as first, HeldWriter(database_url) as second:
        first.start("stream", facts=2)
        assert first.reaches_its_commit()
        second.start("stream", facts=1, expected_version=2)
        assert second.is_kept_waiting()

        first.commit()

        assert second.commit() == Appended(stream="stream", version=3, position=3)


def test_a_command_without_facts_conflicts_with_what_was_written_during_the_wait(database_url: str) -> None:
    with HeldWriter(database_url) as first, HeldWriter(database_url) as second:
        first.start("stream", facts=2)
        assert first.reaches_its_commit()
        second.start("stream", facts=0, command=Command(command_id="second", fingerprint="second"))
        assert second.is_kept_waiting()

        first.commit()
        with pytest.raises(VersionConflict):
            second.commit()


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_the_servers_own_isolation_level_changes_nothing(
    migrated_postgres_url: str, isolation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_store, "append_in_turn", never)
    administrator = open_database(migrated_postgres_url)
    with administrator.begin() as connection:
        name = connection.exec_driver_sql("SELECT current_database()").scalar_one()
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET default_transaction_isolation TO '{isolation}'")
    administrator.dispose()

    with HeldWriter(migrated_postgres_url) as first, HeldWriter(migrated_postgres_url) as second:
        first.start("first", facts=1)
        assert first.reaches_its_commit()
        second.start("second", facts=1)
        assert second.is_kept_waiting()

        assert (first.commit().position, second.commit().position) == (1, 2)


@pytest.mark.parametrize("statement_of", [statement_for, among_others])
def test_the_check_catches_a_store_whose_positions_are_a_bare_sequence(
    migrated_postgres_url: str, statement_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted violation: positions that are given out at once and not held to the commit."""
    engine = open_database(migrated_postgres_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE SEQUENCE planted")
    planted = "counter AS (SELECT nextval('planted') AS position)"

    def without_the_counter_row(batch: Batch) -> tuple[str, dict[str, Any]]:
        statement, values = statement_of(batch)
        return statement.replace(postgres_statements._COUNTER, planted, 1), values

    monkeypatch.setattr(postgres_append, "statement_for", without_the_counter_row)
    with HeldWriter(migrated_postgres_url) as first, HeldWriter(migrated_postgres_url) as second:
        first.start("first", facts=1)
        assert first.reaches_its_commit()
        second.start("second", facts=1)

        assert second.reaches_its_commit()
        second.commit()

        assert positions(SqlEventStore(engine, REGISTRY).read(after=0, limit=10)) == [2]
        first.commit()
    engine.dispose()
