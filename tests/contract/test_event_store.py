"""Every promise of `events.store`, held by every implementation of it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.database import open_database
from events.errors import (
    CommandIdReused,
    NaiveMoment,
    UnreadableFact,
    UnregisteredFact,
    UnstorableText,
    VersionConflict,
)
from events.facts import REGISTRY, CodeDeployed, ProposedVariant, SplitTestCreated
from events.memory_store import MemoryEventStore
from events.sql_store import SqlEventStore
from events.store import Appended, Command, EventStore, Provenance, recorded
from tests.support.event_stores import BY_ANNA, NOW, ORDER, positions, published, some_facts, versions


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> Iterator[EventStore]:
    if request.param == "memory":
        yield MemoryEventStore(REGISTRY)
        return
    fixture = "migrated_sqlite_url" if request.param == "sqlite" else "migrated_postgres_url"
    engine = open_database(str(request.getfixturevalue(fixture)))
    yield SqlEventStore(engine, REGISTRY)
    engine.dispose()


# --- Appending --------------------------------------------------------------------------------------------------------


def test_an_append_answers_where_the_stream_and_the_log_stand(store: EventStore) -> None:
    store.append("a", some_facts(2), expected_version=0, provenance=BY_ANNA)

    answer = store.append("b", some_facts(3), expected_version=0, provenance=BY_ANNA)

    assert answer == Appended(stream="b", version=3, position=5)


def test_what_was_appended_is_read_back_with_its_place_and_provenance(store: EventStore) -> None:
    fact = SplitTestCreated(
        key="green_button", name="Зелёная кнопка ✓ 'quoted' \\ \x00", author="анна", managers=("борис",)
    )
    store.append("a", [fact], expected_version=0, provenance=Provenance(actor="анна", recorded_at=NOW), command=ORDER)

    (event,) = store.read_stream("a")

    assert (event.position, event.stream, event.version) == (1, "a", 1)
    assert (event.actor, event.recorded_at, event.command_id) == ("анна", NOW, "order-1")
    assert (event.encoded.name, event.encoded.version) == ("SplitTestCreated", 1)
    assert event.event_id == "a@1"
    assert recorded(event, REGISTRY).fact == fact


def test_the_payload_is_kept_byte_for_byte(store: EventStore) -> None:
    fact = published()
    store.append("a", [fact], expected_version=0, provenance=BY_ANNA)

    assert store.read_stream("a")[0].encoded == REGISTRY.encode(fact)


@pytest.mark.parametrize("expected_version", [0, 1, 3, -1])
def test_a_stale_or_future_expected_version_appends_nothing(store: EventStore, expected_version: int) -> None:
    store.append("a", some_facts(2), expected_version=0, provenance=BY_ANNA)

    with pytest.raises(VersionConflict) as conflict:
        store.append("a", some_facts(2), expected_version=expected_version, provenance=BY_ANNA, command=ORDER)

    assert (conflict.value.stream, conflict.value.expected, conflict.value.actual) == ("a", expected_version, 2)
    assert versions(store.read_stream("a")) == [1, 2]
    assert store.head() == 2
    assert store.answered(ORDER.command_id, ORDER.fingerprint) is None


def test_a_stream_that_does_not_exist_is_at_version_zero(store: EventStore) -> None:
    with pytest.raises(VersionConflict) as conflict:
        store.append("a", [published()], expected_version=1, provenance=BY_ANNA)

    assert conflict.value.actual == 0


def test_positions_have_no_gap_after_refused_appends(store: EventStore) -> None:
    store.append("a", [published()], expected_version=0, provenance=BY_ANNA)
    for _ in range(3):
        with pytest.raises(VersionConflict):
            store.append("a", some_facts(5), expected_version=0, provenance=BY_ANNA)
    store.append("a", [published()], expected_version=1, provenance=BY_ANNA)

    assert positions(store.read(after=0, limit=10)) == [1, 2]


def test_an_unregistered_fact_appends_nothing_not_even_its_neighbours(store: EventStore) -> None:
    stranger = ProposedVariant(name="red", groups=240)

    with pytest.raises(UnregisteredFact):
        store.append("a", [published(), stranger], expected_version=0, provenance=BY_ANNA, command=ORDER)

    assert store.head() == 0
    assert store.answered(ORDER.command_id, ORDER.fingerprint) is None


def test_a_fact_that_could_never_be_read_again_appends_nothing(store: EventStore) -> None:
    without_a_zone = CodeDeployed(key="a", hit_id="1", occurred_at=datetime(2026, 5, 3))  # noqa: DTZ001 - the bad input

    with pytest.raises(UnreadableFact, match="occurred_at"):
        store.append("a", [published(), without_a_zone], expected_version=0, provenance=BY_ANNA)

    assert store.head() == 0


def test_a_moment_without_a_zone_is_refused_before_anything_is_written(store: EventStore) -> None:
    with pytest.raises(NaiveMoment):
        store.append(
            "a",
            [published()],
            expected_version=0,
            provenance=Provenance(actor="anna", recorded_at=datetime(2026, 5, 3)),  # noqa: DTZ001 - the bad input
        )

    assert store.head() == 0


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 5, 3, 14, 5, 6, 1, tzinfo=UTC),
        datetime(2026, 10, 25, 2, 30, 0, 999999, tzinfo=timezone(timedelta(hours=5, minutes=45))),
        datetime(1970, 1, 1, tzinfo=UTC),
    ],
)
def test_moments_keep_their_microseconds_and_come_back_as_utc(store: EventStore, moment: datetime) -> None:
    store.append("a", [published()], expected_version=0, provenance=replace(BY_ANNA, recorded_at=moment))

    (event,) = store.read_stream("a")

    assert event.recorded_at == moment
    assert event.recorded_at.utcoffset() == timedelta(0)


def test_a_big_batch_is_appended_as_one(store: EventStore) -> None:
    store.append("a", [published()], expected_version=0, provenance=BY_ANNA)

    answer = store.append("b", some_facts(3000), expected_version=0, provenance=BY_ANNA)

    assert (answer.version, answer.position, store.head()) == (3000, 3001, 3001)
    events = store.read(after=0, limit=5000)
    assert positions(events) == list(range(1, 3002))
    assert versions(events[1:]) == list(range(1, 3001))
    assert [recorded(event, REGISTRY).fact for event in events[1:]] == some_facts(3000)


def test_an_append_of_nothing_without_a_command_changes_nothing(store: EventStore) -> None:
    store.append("a", [published()], expected_version=0, provenance=BY_ANNA)

    assert store.append("a", [], expected_version=1, provenance=BY_ANNA) == Appended(stream="a", version=1, position=1)
    assert store.head() == 1


def test_a_name_that_no_database_keeps_is_refused_before_anything_is_written(store: EventStore) -> None:
    for stream in ("a\0b", "a\ud800b"):
        with pytest.raises(UnstorableText, match="stream"):
            store.append(stream, [published()], expected_version=0, provenance=BY_ANNA, command=ORDER)

    assert store.head() == 0
    assert store.answered(ORDER.command_id, ORDER.fingerprint) is None


@pytest.mark.parametrize("text", ["\0", "an\0na", "\ud800", "Зелёная\udfff"])
def test_provenance_and_commands_refuse_texts_that_no_database_keeps(text: str) -> None:
    with pytest.raises(UnstorableText, match="actor"):
        Provenance(actor=text, recorded_at=NOW)
    with pytest.raises(UnstorableText, match="command id"):
        Command(command_id=text, fingerprint="")
    with pytest.raises(UnstorableText, match="fingerprint"):
        Command(command_id="1", fingerprint=text)
    with pytest.raises(UnstorableText, match="answer"):
        Command(command_id="1", fingerprint="", answer=text)


def test_names_of_every_other_kind_are_kept(store: EventStore) -> None:
    odd = "a\nb\tc\\d'e\"f%s%(g)s{h}\x01\x1f\u2028😀"
    command = Command(command_id=odd, fingerprint=odd, answer=odd)
    provenance = Provenance(actor=odd, recorded_at=NOW)

    store.append(odd, some_facts(2), expected_version=0, provenance=provenance, command=command)

    assert [(each.stream, each.actor, each.command_id) for each in store.read_stream(odd)] == [(odd, odd, odd)] * 2
    assert store.answered(odd, odd) == Appended(stream=odd, version=2, position=2, answer=odd, replayed=True)


# --- Commands ---------------------------------------------------------------------------------------------------------


def test_a_replayed_command_gets_its_first_answer_and_appends_nothing(store: EventStore) -> None:
    first = store.append("a", some_facts(2), expected_version=0, provenance=BY_ANNA, command=ORDER)
    store.append("a", some_facts(3), expected_version=2, provenance=BY_ANNA)
    store.append("b", some_facts(1), expected_version=0, provenance=BY_ANNA)

    replay = store.append(
        "a", some_facts(2), expected_version=0, provenance=BY_ANNA, command=replace(ORDER, answer="another answer")
    )

    assert first == Appended(stream="a", version=2, position=2, answer="started")
    assert replay == replace(first, replayed=True)
    assert store.answered(ORDER.command_id, ORDER.fingerprint) == replay
    assert store.head() == 6


def test_a_store_works_on_after_a_replay(store: EventStore) -> None:
    for _ in range(2):
        store.append("a", some_facts(2), expected_version=0, provenance=BY_ANNA, command=ORDER)

    store.append("a", some_facts(1), expected_version=2, provenance=BY_ANNA)

    assert positions(store.read(after=0, limit=10)) == [1, 2, 3]


def test_a_command_id_with_another_body_is_refused(store: EventStore) -> None:
    store.append("a", some_facts(1), expected_version=0, provenance=BY_ANNA, command=ORDER)
    another = Command(command_id=ORDER.command_id, fingerprint="stop green_button")

    with pytest.raises(CommandIdReused):
        store.append("a", some_facts(1), expected_version=1, provenance=BY_ANNA, command=another)
    with pytest.raises(CommandIdReused):
        store.answered(another.command_id, another.fingerprint)

    assert store.head() == 1


def test_a_command_without_facts_is_remembered_with_its_answer(store: EventStore) -> None:
    store.append("a", some_facts(2), expected_version=0, provenance=BY_ANNA)
    nothing_to_do = Command(command_id="order-2", fingerprint="same name", answer="unchanged")

    answer = store.append("a", [], expected_version=2, provenance=BY_ANNA, command=nothing_to_do)

    assert answer == Appended(stream="a", version=2, position=2, answer="unchanged")
    assert store.answered("order-2", "same name") == replace(answer, replayed=True)
    assert store.head() == 2


def test_a_command_without_facts_conflicts_like_any_other(store: EventStore) -> None:
    with pytest.raises(VersionConflict):
        store.append("a", [], expected_version=1, provenance=BY_ANNA, command=ORDER)

    assert store.answered(ORDER.command_id, ORDER.fingerprint) is None


def test_a_command_nobody_gave_has_no_answer(store: EventStore) -> None:
    assert store.answered("never given", "") is None


def test_a_command_without_an_id_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="needs an id"):
        Command(command_id="", fingerprint="start")


# --- Reading ----------------------------------------------------------------------------------------------------------


def test_an_empty_log_has_nothing_to_read(store: EventStore) -> None:
    assert store.head() == 0
    assert list(store.read(after=0, limit=10)) == []
    assert list(store.read_stream("a")) == []


def test_a_stream_is_read_after_a_version_in_order_and_alone(store: EventStore) -> None:
    store.append("a", some_facts(2), expected_version=0, provenance=BY_ANNA)
    store.append("ab", some_facts(2), expected_version=0, provenance=BY_ANNA)
    store.append("a", some_facts(2), expected_version=2, provenance=BY_ANNA)

    assert [(event.version, event.position) for event in store.read_stream("a")] == [(1, 1), (2, 2), (3, 5), (4, 6)]
    assert versions(store.read_stream("a", after_version=3)) == [4]
    assert versions(store.read_stream("a", after_version=4)) == []
    assert versions(store.read_stream("a", after_version=99)) == []


def test_stream_names_are_told_apart_by_case(store: EventStore) -> None:
    store.append("Key", some_facts(1), expected_version=0, provenance=BY_ANNA)
    store.append("key", some_facts(1), expected_version=0, provenance=BY_ANNA)

    assert len(store.read_stream("key")) == 1


@pytest.mark.parametrize(
    ("after", "limit", "expected"),
    [(0, 3, [1, 2, 3]), (3, 3, [4, 5]), (4, 100, [5]), (5, 10, []), (99, 10, []), (0, 0, []), (-1, 2, [1, 2])],
)
def test_the_log_is_read_in_batches(store: EventStore, after: int, limit: int, expected: list[int]) -> None:
    for number in range(5):
        store.append(f"stream-{number % 2}", some_facts(1), expected_version=number // 2, provenance=BY_ANNA)

    assert positions(store.read(after=after, limit=limit)) == expected


# --- Reading by time --------------------------------------------------------------------------------------------------


def record_at(store: EventStore, minutes: Sequence[int]) -> None:
    """Append a fact for every one of `minutes` after NOW, in the order given, each of a stream of its own."""
    for number, minute in enumerate(minutes):
        moment = NOW + timedelta(minutes=minute)
        store.append(f"{number}", [published()], expected_version=0, provenance=replace(BY_ANNA, recorded_at=moment))


def best_cut(minutes: Sequence[int], minute: int) -> int:
    """Return the definition of `position_at`, word by word."""

    def on_the_wrong_side(cut: int) -> int:
        return sum(each > minute for each in minutes[:cut]) + sum(each <= minute for each in minutes[cut:])

    return min(range(len(minutes) + 1), key=lambda cut: (on_the_wrong_side(cut), -cut))


def test_an_empty_log_stands_at_zero_at_every_moment(store: EventStore) -> None:
    assert store.position_at(NOW) == 0


@pytest.mark.parametrize(("minute", "expected"), [(-1, 0), (0, 1), (5, 1), (10, 3), (19, 3), (20, 4), (99, 4)])
def test_the_position_at_a_moment_is_the_last_one_recorded_by_then(
    store: EventStore, minute: int, expected: int
) -> None:
    record_at(store, [0, 10, 10, 20])

    assert store.position_at(NOW + timedelta(minutes=minute)) == expected


def test_a_moment_is_compared_to_the_microsecond_and_in_any_zone(store: EventStore) -> None:
    record_at(store, [0])
    elsewhere = NOW.astimezone(timezone(timedelta(hours=5, minutes=45)))

    assert store.position_at(elsewhere) == 1
    assert store.position_at(elsewhere - timedelta(microseconds=1)) == 0


def test_a_moment_without_a_zone_has_no_position(store: EventStore) -> None:
    with pytest.raises(NaiveMoment):
        store.position_at(datetime(2026, 5, 3))  # noqa: DTZ001 - the bad input


@pytest.mark.parametrize("wrong_clock", [-(10**7), 10**7])
def test_one_wrong_clock_does_not_move_the_rest_of_history(store: EventStore, wrong_clock: int) -> None:
    record_at(store, [0, 10, 20, wrong_clock, 30, 40])

    assert [store.position_at(NOW + timedelta(minutes=minute)) for minute in (0, 35, 45)] == [1, 5, 6]


@given(minutes=st.lists(st.integers(0, 6), max_size=12))
def test_the_position_at_a_moment_is_the_best_cut_and_never_goes_back(minutes: list[int]) -> None:
    store = MemoryEventStore(REGISTRY)
    record_at(store, minutes)

    found = [store.position_at(NOW + timedelta(minutes=minute)) for minute in range(-1, 8)]

    assert found == [best_cut(minutes, minute) for minute in range(-1, 8)]
    assert found == sorted(found)


@pytest.mark.parametrize("seed", range(4))
def test_every_store_finds_the_best_cut_through_jumping_clocks(store: EventStore, seed: int) -> None:
    minutes = Random(seed).choices(range(7), k=25)  # noqa: S311 - a test's data
    record_at(store, minutes)

    for minute in range(-1, 8):
        assert store.position_at(NOW + timedelta(minutes=minute)) == best_cut(minutes, minute)
