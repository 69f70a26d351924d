"""Appends of several threads in one commit: each comes to what it would have come to alone."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Engine, text

from events.database import open_database
from events.errors import CommandIdReused, DatabaseUnavailable, VersionConflict
from events.facts import REGISTRY, SplitTestRejected
from events.memory_store import MemoryEventStore
from events.sql_store import SqlEventStore
from events.store import Appended, Command, EventStore, Provenance, StoredEvent
from tests.support.event_stores import BY_ANNA, NOW, ORDER, positions, some_facts
from tests.support.held_commits import HeldCommits
from tests.support.terminal import wait_until


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An append that a thread asks for."""

    stream: str
    facts: Sequence[object]
    expected_version: int = 0
    provenance: Provenance = BY_ANNA
    command: Command | None = None

    def give(self, store: EventStore) -> Appended:
        return store.append(
            self.stream,
            self.facts,
            expected_version=self.expected_version,
            provenance=self.provenance,
            command=self.command,
        )


@pytest.fixture
def store(database: Engine) -> SqlEventStore:
    return SqlEventStore(database, REGISTRY)


@contextmanager
def together(store: SqlEventStore, *orders: Order, are_refused: bool = False) -> Iterator[list[Callable[[], Appended]]]:
    """Have all `orders` go to one commit, behind one of the stream "first"; yield what gives their answers."""
    with HeldCommits(store._at_once) as held:
        first = Order(stream="first", facts=some_facts(1), expected_version=len(store.read_stream("first")))
        _, *answers = [held.start(each.give, store) for each in (first, *orders)]
        held.let_go()
        yield answers
    group = [order.stream for order in orders]
    assert held.groups == [["first"], group]
    assert held.refused == ([group] if are_refused else [])


ODD_TEXTS = [
    "",
    "zelený ☃ 💡",
    "two\nlines\ttab",
    "\"quotes\" 'and' \\back\\slashes\\n \\u0000",
    "{}",
    "%(count)s %",
    "\x01\x1f",
]
ODD_MOMENTS = [
    NOW,
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(2026, 5, 3, 14, 5, 6, 1, tzinfo=timezone(timedelta(hours=-9, minutes=-30))),
    datetime(1900, 1, 1, tzinfo=timezone(timedelta(hours=5, minutes=45))),
]
ODD_ORDERS = [
    Order(
        stream=f"{number} {odd}",
        facts=[SplitTestRejected(key=odd), *some_facts(number)],
        provenance=Provenance(actor=odd, recorded_at=ODD_MOMENTS[number % len(ODD_MOMENTS)]),
        command=Command(command_id=f"{odd}!", fingerprint=odd, answer=odd) if number % 2 else None,
    )
    for number, odd in enumerate(ODD_TEXTS)
]


def by_stream(store: EventStore) -> list[StoredEvent]:
    """Return all events as if each stream had begun the log."""
    events = [replace_position(event) for event in store.read(after=0, limit=1000)]
    return sorted(events, key=lambda event: (event.stream, event.version))


def replace_position(event: StoredEvent) -> StoredEvent:
    return StoredEvent(**{name: getattr(event, name) for name in event.__struct_fields__} | {"position": event.version})


def test_what_is_appended_together_is_what_each_would_have_appended_alone(store: SqlEventStore) -> None:
    alone = MemoryEventStore(REGISTRY)
    for order in [Order(stream="first", facts=some_facts(1)), *ODD_ORDERS]:
        order.give(alone)

    with together(store, *ODD_ORDERS) as appending:
        answers = [answer() for answer in appending]

    assert by_stream(store) == by_stream(alone)
    assert positions(store.read(after=0, limit=1000)) == list(range(1, alone.head() + 1))
    for order, answer in zip(ODD_ORDERS, answers, strict=True):
        events = store.read_stream(order.stream)
        assert (answer.stream, answer.version, answer.position) == (
            order.stream,
            len(order.facts),
            events[-1].position,
        )
        if order.command:
            first = store.answered(order.command.command_id, order.command.fingerprint)
            assert first == replace(answer, replayed=True)


def test_streams_that_exist_are_appended_to_together(store: SqlEventStore) -> None:
    Order(stream="a", facts=some_facts(2)).give(store)
    Order(stream="b", facts=some_facts(3)).give(store)

    with together(
        store,
        Order(stream="a", facts=some_facts(1), expected_version=2),
        Order(stream="b", facts=some_facts(2), expected_version=3),
        Order(stream="c", facts=some_facts(1)),
    ) as appending:
        answers = [answer() for answer in appending]

    assert answers == [
        Appended(stream="a", version=3, position=7),
        Appended(stream="b", version=5, position=9),
        Appended(stream="c", version=1, position=10),
    ]


@pytest.mark.parametrize("expected_version", [0, 1, 3])
def test_one_that_conflicts_does_not_take_the_others_with_it(store: SqlEventStore, expected_version: int) -> None:
    Order(stream="contended", facts=some_facts(2)).give(store)

    with together(
        store,
        Order(stream="good", facts=some_facts(2)),
        Order(stream="contended", facts=some_facts(2), expected_version=expected_version),
        Order(stream="also good", facts=some_facts(1), command=ORDER),
        are_refused=True,
    ) as (good, bad, also_good):
        with pytest.raises(VersionConflict) as conflict:
            bad()
        assert good().version == 2
        assert also_good().answer == "started"

    assert (conflict.value.expected, conflict.value.actual) == (expected_version, 2)
    assert positions(store.read(after=0, limit=100)) == [1, 2, 3, 4, 5, 6]
    assert len(store.read_stream("contended")) == 2


def test_a_replay_and_a_reused_id_among_others_are_answered_as_ever(store: SqlEventStore) -> None:
    first = Order(stream="known", facts=some_facts(2), command=ORDER).give(store)
    other = Command(command_id="other", fingerprint="stop")
    Order(stream="stopped", facts=some_facts(1), command=other).give(store)

    with together(
        store,
        Order(stream="known", facts=some_facts(2), command=ORDER),
        Order(stream="new", facts=some_facts(1), command=replace(other, fingerprint="start")),
        Order(stream="good", facts=some_facts(1)),
        are_refused=True,
    ) as (replayed, reused, good):
        assert replayed() == replace(first, replayed=True)
        with pytest.raises(CommandIdReused):
            reused()
        assert good().version == 1

    assert positions(store.read(after=0, limit=100)) == [1, 2, 3, 4, 5]


@pytest.mark.real_postgres
def test_a_lost_connection_leaves_all_that_it_carried_with_a_question_and_nothing_appended(
    migrated_postgres_url: str,
) -> None:
    engine, onlooker = open_database(migrated_postgres_url), open_database(migrated_postgres_url)
    store = SqlEventStore(engine, REGISTRY)
    cut_off = text(
        "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with onlooker.connect() as holding, onlooker.connect() as watching:
        watching.execution_options(isolation_level="AUTOCOMMIT")
        holding.execute(text("SELECT position FROM event_counter FOR UPDATE"))
        with together(store, *[Order(stream=stream, facts=some_facts(1)) for stream in "abc"]) as appending:
            with closing(holding):
                for _ in ("first", "the group"):
                    wait_until("it waits and is cut off", lambda: watching.execute(cut_off).scalar_one())
            for answer in appending:
                with pytest.raises(DatabaseUnavailable):
                    answer()

    assert store.head() == 0
    with together(store, Order(stream="later", facts=some_facts(1))) as (later,):
        assert later().position == 2
    engine.dispose()
    onlooker.dispose()
