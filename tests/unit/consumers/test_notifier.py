"""The notifier on a real log: told once, never lost, and one that fails holds up nobody else."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, delete, insert

from consumers.notifier import NotifierFollower
from events.database import write_transaction
from events.errors import CheckpointMoved, PositionGap
from events.facts import (
    REGISTRY,
    CodeDeployed,
    DraftDiscarded,
    SplitTestCreated,
    SplitTestFact,
    SplitTestPublished,
    SplitTestUnpublished,
    split_test_stream,
)
from events.sql_store import SqlEventStore, events_table
from events.store import EventStore, Provenance
from notifications.memory_notifier import MemoryNotifier
from projections.models import ALL
from projections.projector import Projector

NOW = datetime(2026, 5, 3, 12, 0, tzinfo=UTC)


@pytest.fixture
def store(sqlite_database: Engine) -> EventStore:
    return SqlEventStore(sqlite_database, REGISTRY)


@pytest.fixture
def notifier() -> MemoryNotifier:
    return MemoryNotifier()


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def follower(engine: Engine, store: EventStore, notifier: MemoryNotifier, clock: Clock) -> NotifierFollower:
    return NotifierFollower(engine=engine, store=store, registry=REGISTRY, notifier=notifier, clock=clock)


def append(store: EventStore, key: str, *facts: SplitTestFact) -> None:
    stream = split_test_stream(key)
    store.append(
        stream,
        facts,
        expected_version=len(store.read_stream(stream)),
        provenance=Provenance(actor="ann", recorded_at=NOW),
    )


def deployed(store: EventStore, key: str) -> None:
    append(
        store,
        key,
        SplitTestCreated(key=key, name=key.title(), author="ann", managers=("ann", "bob"), chat_room="#coconuts"),
        SplitTestPublished(key=key),
        CodeDeployed(key=key, hit_id="id", occurred_at=NOW, app="shop", host="web-01"),
    )


def project(engine: Engine, store: EventStore) -> None:
    Projector(engine=engine, store=store, registry=REGISTRY, projections=ALL).catch_up()


def test_the_managers_are_told_once_that_the_code_is_deployed(
    sqlite_database: Engine, store: EventStore, notifier: MemoryNotifier, clock: Clock
) -> None:
    deployed(store, "green")
    project(sqlite_database, store)
    following = follower(sqlite_database, store, notifier, clock)
    assert [following.step() for _ in range(3)] == [1, 0, 0]
    assert follower(sqlite_database, store, notifier, clock).step() == 0
    (told,) = notifier.told
    assert (told.recipients, told.chat_room, told.key) == (("ann", "bob"), "#coconuts", "green")
    assert told.event_id == "split_test/green@3"
    assert told.text == "The code of green (Green) is deployed on web-01; it can be started."


def test_a_notification_that_fails_is_tried_again_ever_more_slowly_and_holds_up_no_other(
    sqlite_database: Engine, store: EventStore, notifier: MemoryNotifier, clock: Clock
) -> None:
    notifier.refusing.add("green")
    deployed(store, "green")
    deployed(store, "blue")
    project(sqlite_database, store)
    following = follower(sqlite_database, store, notifier, clock)
    assert following.step() == 1
    assert [told.key for told in notifier.told] == ["blue"]
    notifier.refusing.clear()
    assert following.step() == 0
    clock.seconds += 1.0
    assert following.step() == 1
    assert [told.key for told in notifier.told] == ["blue", "green"]


def test_after_a_restart_only_what_was_not_told_is_told(
    sqlite_database: Engine, store: EventStore, notifier: MemoryNotifier, clock: Clock
) -> None:
    notifier.refusing.add("green")
    for key in ("red", "green", "blue"):
        deployed(store, key)
    project(sqlite_database, store)
    follower(sqlite_database, store, notifier, clock).step()
    notifier.refusing.clear()
    follower(sqlite_database, store, notifier, clock).step()
    follower(sqlite_database, store, notifier, clock).step()
    assert [told.key for told in notifier.told] == ["red", "blue", "green"]


def test_the_read_model_is_waited_for(
    sqlite_database: Engine, store: EventStore, notifier: MemoryNotifier, clock: Clock
) -> None:
    deployed(store, "green")
    following = follower(sqlite_database, store, notifier, clock)
    assert following.step() == 0
    project(sqlite_database, store)
    clock.seconds += 1.0
    assert following.step() == 1


def test_only_a_list_that_is_still_behind_at_the_next_try_is_warned_of(
    sqlite_database: Engine,
    store: EventStore,
    notifier: MemoryNotifier,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", logger="consumers.notifier")
    deployed(store, "red")
    project(sqlite_database, store)
    deployed(store, "green")
    following = follower(sqlite_database, store, notifier, clock)
    assert following.step() == 1
    clock.seconds += 1.0
    assert following.step() == 0
    behind = [record.levelname for record in caplog.records if "has not caught up" in record.message]
    assert behind == ["INFO", "WARNING"]


def test_nobody_is_told_of_a_test_that_was_discarded_meanwhile(
    sqlite_database: Engine, store: EventStore, notifier: MemoryNotifier, clock: Clock
) -> None:
    deployed(store, "green")
    append(store, "green", SplitTestUnpublished(key="green"), DraftDiscarded(key="green"))
    project(sqlite_database, store)
    following = follower(sqlite_database, store, notifier, clock)
    assert following.step() == 0
    clock.seconds += 1000.0
    assert following.step() == 0
    assert notifier.told == []


def test_a_second_notifier_stops(
    sqlite_database: Engine, store: EventStore, notifier: MemoryNotifier, clock: Clock
) -> None:
    first, second = (follower(sqlite_database, store, notifier, clock) for _ in range(2))
    first.step()
    second.step()
    deployed(store, "green")
    project(sqlite_database, store)
    first.step()
    with pytest.raises(CheckpointMoved):
        second.step()


def test_a_hole_in_the_log_is_not_passed_over(
    sqlite_database: Engine, store: EventStore, notifier: MemoryNotifier, clock: Clock
) -> None:
    deployed(store, "green_button")
    deployed(store, "red_button")
    lost = delete(events_table).where(events_table.c.position == 2).returning(events_table)
    with write_transaction(sqlite_database) as connection:
        rows = [dict(row._mapping) for row in connection.execute(lost)]
    for _ in range(2):
        with pytest.raises(PositionGap):
            follower(sqlite_database, store, notifier, clock).step()
    with write_transaction(sqlite_database) as connection:
        connection.execute(insert(events_table), rows)
    project(sqlite_database, store)
    assert follower(sqlite_database, store, notifier, clock).step() == 2
