"""Rule 1: position order is commit order, so that a reader that saw position n has seen everything below it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from threading import Event, Lock

import pytest
from sqlalchemy import Connection, Engine, event, update

from events import sql_store
from events.database import open_database, write_transaction
from events.facts import REGISTRY
from events.sql_store import SqlEventStore
from events.store import Command, StoredEvent
from tests.support.event_stores import BY_ANNA, positions, some_facts
from tests.support.held_transactions import HeldWriter, RolledBackByTest, somebody_waits_for_a_lock


@dataclass(frozen=True, slots=True, kw_only=True)
class WritePath:
    facts: int
    with_command: bool

    def command(self, command_id: str) -> Command | None:
        return Command(command_id=command_id, fingerprint=command_id) if self.with_command else None


WRITE_PATHS = [
    pytest.param(WritePath(facts=1, with_command=False), id="one fact"),
    pytest.param(WritePath(facts=3, with_command=True), id="facts with a command"),
    pytest.param(WritePath(facts=500, with_command=False), id="a big batch"),
]


def is_kept_waiting(second: HeldWriter, url: str) -> bool:
    """Tell whether `second`, just started beside a held writer, waits for it instead of reaching its own commit."""
    if url.startswith("postgresql"):
        return somebody_waits_for_a_lock(url) and not second.reaches_its_commit(within_seconds=0)
    # SQLite shows nobody who waits for BEGIN IMMEDIATE; that it is not through after a while has to do.
    return not second.reaches_its_commit(within_seconds=0.3)


@pytest.mark.parametrize("path", WRITE_PATHS)
def test_a_later_position_cannot_be_committed_before_an_earlier_one(database_url: str, path: WritePath) -> None:
    with HeldWriter(database_url) as first, HeldWriter(database_url) as second:
        engine = open_database(database_url)
        tail = SqlEventStore(engine, REGISTRY)
        first.start("first", facts=path.facts, command=path.command("first"))
        assert first.reaches_its_commit()
        second.start("second", facts=path.facts, command=path.command("second"))

        assert is_kept_waiting(second, database_url)
        assert (tail.head(), list(tail.read(after=0, limit=2000))) == (0, [])

        assert first.commit().position == path.facts
        assert second.reaches_its_commit()
        assert positions(tail.read(after=0, limit=2000)) == list(range(1, path.facts + 1))

        assert second.commit().position == 2 * path.facts
        everything = tail.read(after=0, limit=2000)
        assert positions(everything) == list(range(1, 2 * path.facts + 1))
        assert [each.stream for each in everything] == ["first"] * path.facts + ["second"] * path.facts
        engine.dispose()


@pytest.mark.parametrize("path", WRITE_PATHS)
def test_a_rolled_back_writer_leaves_its_positions_to_the_one_that_waited(database_url: str, path: WritePath) -> None:
    with HeldWriter(database_url) as first, HeldWriter(database_url) as second:
        engine = open_database(database_url)
        tail = SqlEventStore(engine, REGISTRY)
        first.start("first", facts=path.facts, command=path.command("first"))
        assert first.reaches_its_commit()
        second.start("second", facts=path.facts, command=path.command("second"))
        assert is_kept_waiting(second, database_url)

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
        assert is_kept_waiting(second, database_url)

        first.commit()

        # Its answer says where the log stood: behind the first writer, or read-your-writes would be a lie.
        assert second.commit().position == 2


def test_two_replays_of_one_command_at_once_append_once(database_url: str) -> None:
    command = Command(command_id="the same", fingerprint="the same")
    with HeldWriter(database_url) as first, HeldWriter(database_url) as second:
        first.start("stream", facts=2, command=command)
        assert first.reaches_its_commit()
        second.start("stream", facts=2, command=command)
        assert is_kept_waiting(second, database_url)

        answers = [first.commit(), second.commit()]

    assert [answer.replayed for answer in answers] == [False, True]
    assert [answer.position for answer in answers] == [2, 2]


def test_the_check_catches_a_store_whose_positions_are_a_bare_sequence(
    migrated_postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted violation: positions that are given out at once and not held to the commit."""
    sequence = open_database(migrated_postgres_url)

    def next_values(connection: Connection, wanted: int) -> int:
        del connection
        counter = sql_store.event_counter_table
        taken = update(counter).values(position=counter.c.position + wanted).returning(counter.c.position)
        with write_transaction(sequence) as at_once:
            return int(at_once.execute(taken).scalar_one())

    monkeypatch.setattr(sql_store, "_take_positions", next_values)
    with HeldWriter(migrated_postgres_url) as first, HeldWriter(migrated_postgres_url) as second:
        first.start("first", facts=1)
        assert first.reaches_its_commit()
        second.start("second", facts=1)

        assert second.reaches_its_commit()
        second.commit()

        assert positions(SqlEventStore(sequence, REGISTRY).read(after=0, limit=10)) == [2]
        first.commit()
    sequence.dispose()


WRITERS = 8
APPENDS_EACH = 12


def roll_back_every_third_commit(engine: Engine) -> None:
    commits, lock = count(1), Lock()

    def maybe_fail(connection: Connection) -> None:
        del connection
        with lock:
            number = next(commits)
        if number % 3 == 0:
            raise RolledBackByTest

    event.listen(engine, "commit", maybe_fail)


def test_a_tail_beside_many_writers_and_rollbacks_sees_what_was_committed_in_order(database_url: str) -> None:
    writing, reading = open_database(database_url), open_database(database_url)
    roll_back_every_third_commit(writing)
    store = SqlEventStore(writing, REGISTRY)
    written = Event()

    def write(writer: int) -> list[int]:
        stream, version, taken = f"writer-{writer}", 0, list[int]()
        for number in range(APPENDS_EACH):
            facts = some_facts(1 + number % 3)
            try:
                answer = store.append(stream, facts, expected_version=version, provenance=BY_ANNA)
            except RolledBackByTest:
                continue
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
