"""Rule 1: position order is commit order, so that a reader that saw position n has seen everything below it."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from threading import Event
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from events import postgres_append, postgres_statements, sql_store
from events.database import open_database, write_transaction
from events.errors import CommandIdReused, VersionConflict
from events.facts import REGISTRY, SplitTestRejected
from events.postgres_statements import statement_for, statement_for_all
from events.sql_append import Batch
from events.sql_store import SqlEventStore
from events.store import Appended, Command, StoredEvent
from tests.support.event_stores import BY_ANNA, positions, some_facts
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


# --- Many at once -----------------------------------------------------------------------------------------------------


WRITERS = 16
APPENDS_EACH = 9


def refuse_rejections(engine: Engine) -> None:
    """Have the database fail every transaction that holds a rejection, late: PostgreSQL does so at the commit."""
    with write_transaction(engine) as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql(
                "CREATE TRIGGER refuse AFTER INSERT ON events WHEN NEW.name = 'SplitTestRejected'"
                " BEGIN SELECT RAISE(ABORT, 'refused by the test'); END"
            )
            return
        connection.exec_driver_sql(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql"
            " AS $$ BEGIN RAISE EXCEPTION 'refused by the test'; END $$"
        )
        connection.exec_driver_sql(
            "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW WHEN (NEW.name = 'SplitTestRejected') EXECUTE FUNCTION refuse()"
        )


def test_a_tail_beside_many_writers_and_rollbacks_sees_what_was_committed_in_order(database_url: str) -> None:
    writing, reading = open_database(database_url), open_database(database_url)
    refuse_rejections(writing)
    store = SqlEventStore(writing, REGISTRY)
    written = Event()

    def write(writer: int) -> list[int]:
        stream, version, taken = f"writer-{writer}", 0, list[int]()
        for number in range(APPENDS_EACH):
            facts = some_facts(1 + number % 3)
            if number % 3 == 0:
                with pytest.raises(DBAPIError, match="refused by the test"):
                    store.append(
                        stream, [*facts, SplitTestRejected(key="a")], expected_version=version, provenance=BY_ANNA
                    )
                continue
            answer = store.append(stream, facts, expected_version=version, provenance=BY_ANNA)
            taken += range(answer.position - len(facts) + 1, answer.position + 1)
            version = answer.version
        return taken

    def follow() -> list[StoredEvent]:
        tail, seen = SqlEventStore(reading, REGISTRY), list[StoredEvent]()
        while True:
            last_look = written.is_set()
            batch = tail.read(after=len(seen), limit=7)
            seen += batch
            if last_look and not batch:
                return seen

    with ThreadPoolExecutor(WRITERS + 1) as pool:
        following = pool.submit(follow)
        committed = sorted(position for taken in pool.map(write, range(WRITERS)) for position in taken)
        written.set()
        seen = following.result(60)
    writing.dispose()
    reading.dispose()

    assert positions(seen) == list(range(1, len(seen) + 1))
    assert positions(seen) == committed
    for writer in range(WRITERS):
        of_one = [each.version for each in seen if each.stream == f"writer-{writer}"]
        assert of_one == list(range(1, len(of_one) + 1))


STORMING = 8
WINS_EACH = 6


def test_a_storm_of_conflicts_loses_nothing(database_url: str) -> None:
    """Many writers, one stream: who is refused reads again and decides again, until it got through."""
    engine = open_database(database_url)
    store = SqlEventStore(engine, REGISTRY)

    def write(writer: int) -> tuple[list[Appended], list[tuple[int, int]]]:
        won, refused = list[Appended](), list[tuple[int, int]]()
        for number in count():
            if len(won) == WINS_EACH:
                return won, refused
            version = len(store.read_stream("contended"))
            command = Command(command_id=f"{writer}-{number}", fingerprint="")
            try:
                won.append(
                    store.append(
                        "contended", some_facts(2), expected_version=version, provenance=BY_ANNA, command=command
                    )
                )
            except VersionConflict as conflict:
                refused.append((version, conflict.actual))
        raise AssertionError("count() has no end")

    with ThreadPoolExecutor(STORMING) as pool:
        outcomes = list(pool.map(write, range(STORMING)))
    everything = store.read(after=0, limit=1000)
    engine.dispose()

    successes = [answer for won, _ in outcomes for answer in won]
    assert sorted(answer.version for answer in successes) == list(range(2, 2 * STORMING * WINS_EACH + 1, 2))
    assert positions(everything) == list(range(1, 2 * STORMING * WINS_EACH + 1))
    assert [each.version for each in everything] == positions(everything)
    conflicts = [conflict for _, refused in outcomes for conflict in refused]
    assert conflicts
    assert all(actual > expected for expected, actual in conflicts)
