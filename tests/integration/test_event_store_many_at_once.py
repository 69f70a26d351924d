"""Many writers at once, rollbacks and conflicts among them, a reader beside them: nothing is lost or passed over."""

from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Event

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from events.database import open_database, write_transaction
from events.errors import VersionConflict
from events.facts import REGISTRY, SplitTestRejected
from events.sql_store import SqlEventStore
from events.store import Appended, Command, StoredEvent
from tests.support.event_stores import BY_ANNA, positions, some_facts

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
