import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from audience.estimate import BASE_RATE, smallest_effect
from commands.split_tests import Request, SplitTestCommands
from consumers.leadership import leader_lock
from consumers.preparation_draw import PreparationDraw
from consumers.preparation_inputs import PreparationInputs
from consumers.preparation_lock import LOCK
from consumers.preparer import Preparer, Progress
from domain.allocation.audience_counts import Audience, AudienceNotCountable, CountedUsers, NobodyCounted, SharedUsers
from domain.allocation.balanced import allocate
from domain.allocation.request import Allocation, AllocationRequest
from domain.people import Actor
from events.errors import DatabaseUnavailable
from events.facts import (
    REGISTRY,
    GroupsMoved,
    Overlap,
    SettingsGroupPreparationFailed,
    SettingsGroupPrepared,
    split_test_stream,
)
from events.sql_store import SqlEventStore
from projections import current_settings
from projections.models import ALL
from projections.projector import Projector
from usersplit.conditions import Catalog

NOW = datetime(2026, 4, 20, tzinfo=UTC)
ANNA = Request(actor=Actor(name="anna"))


def document(
    control: float, red: float, *, starts_at: str = "2026-05-01", ends_at: str = "2026-06-01"
) -> dict[str, Any]:
    variants = [{"name": "control", "percent": control, "control": True}, {"name": "red", "percent": red}]
    return {"starts_at": starts_at, "ends_at": ends_at, "variants": variants}


class House:
    """Everything a preparer stands on: a database with its log and its read models, and people's commands."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.store = SqlEventStore(engine, REGISTRY)
        self.projector = Projector(engine=engine, store=self.store, registry=REGISTRY, projections=ALL)
        self.commands = SplitTestCommands(store=self.store, registry=REGISTRY, catalog=Catalog(), now=lambda: NOW)
        self.seeds = count(1)
        self.steps: list[Progress] = []

    def preparer(self, **ports: Any) -> Preparer:
        catch_up = self.projector.catch_up
        inputs = PreparationInputs(engine=self.engine, catch_up=catch_up, counts=ports.pop("counts", NobodyCounted()))
        draw = PreparationDraw(
            inputs,
            allocate=ports.pop("allocate", allocate),
            seeds=lambda: next(self.seeds),
            base_rate=ports.pop("base_rate", BASE_RATE),
        )
        given: dict[str, Any] = {"progress": self.steps.append, "draw": draw, "catch_up": catch_up}
        return Preparer(engine=self.engine, store=self.store, registry=REGISTRY, now=lambda: NOW, **(given | ports))

    def proposed(self, key: str, proposal: Mapping[str, Any], *, type_: str = "web") -> None:
        self.commands.create(ANNA, key=key, name=key, type=type_)
        self.commands.propose_settings(ANNA, key, proposal)

    def running(self, key: str, proposal: Mapping[str, Any], *, type_: str = "web") -> SettingsGroupPrepared:
        self.proposed(key, proposal, type_=type_)
        assert self.preparer().prepare(key)
        prepared = self.prepared(key)
        self.commands.publish(ANNA, key)
        self.commands.start(ANNA, key)
        return prepared

    def facts(self, key: str) -> list[Any]:
        return [REGISTRY.decode(event.encoded) for event in self.store.read_stream(split_test_stream(key))]

    def prepared(self, key: str) -> SettingsGroupPrepared:
        fact = self.facts(key)[-1]
        assert isinstance(fact, SettingsGroupPrepared)
        return fact


@pytest.fixture
def house(sqlite_database: Engine) -> House:
    return House(sqlite_database)


def groups(fact: SettingsGroupPrepared) -> set[int]:
    return {number for variant in fact.variants for number in variant.split_groups}


def test_a_proposed_settings_group_becomes_current_with_its_seed_and_its_groups(database: Engine) -> None:
    house = House(database)
    house.proposed("button", document(5, 10))
    assert house.preparer().prepare("button")
    fact = house.prepared("button")
    assert (fact.settings_group, fact.seed, fact.as_of_position) == (1, 1, 2)
    assert [(variant.name, len(variant.split_groups), variant.users) for variant in fact.variants] == [
        ("control", 120, None),
        ("red", 240, None),
    ]
    house.projector.catch_up()
    with house.engine.connect() as connection:
        settings = current_settings.get(connection, "button")
        assert current_settings.pending(connection) == []
    assert settings is not None
    assert settings.settings_group == 1


def test_the_seed_and_the_position_in_the_fact_repeat_the_draw(house: House) -> None:
    requests: list[AllocationRequest] = []

    def remembering(request: AllocationRequest) -> Allocation:
        requests.append(request)
        return allocate(request)

    house.running("first", document(40, 40))
    house.proposed("second", document(20, 20))
    assert house.preparer(allocate=remembering).prepare("second")
    fact = house.prepared("second")
    assert fact.as_of_position == house.store.head() - 1
    assert allocate(replace(requests[0], seed=fact.seed)).variants == fact.variants


def test_free_groups_go_first_and_the_rest_is_told_as_an_overlap(house: House) -> None:
    first = house.running("first", document(40, 40))
    house.proposed("second", document(15, 15))
    house.preparer().prepare("second")
    fact = house.prepared("second")
    free = set(range(1, 2401)) - groups(first)
    assert free < groups(fact)
    (overlap,) = fact.overlaps
    assert replace(overlap, by_variant=()) == Overlap(
        key="first", settings_group=1, shared_groups=720 - 480, same_type=True
    )
    assert [(each.ours, each.theirs) for each in overlap.by_variant] == [
        ("control", "control"),
        ("control", "red"),
        ("red", "control"),
        ("red", "red"),
    ]
    assert sum(each.shared_groups for each in overlap.by_variant) == 720 - 480


def test_tests_of_other_dates_are_nobodys_neighbours(house: House) -> None:
    house.running("first", document(50, 50))
    house.proposed("second", document(50, 50, starts_at="2026-06-01", ends_at="2026-07-01"))
    house.preparer().prepare("second")
    assert house.prepared("second").overlaps == ()


def test_a_test_of_another_type_is_told_as_such(house: House) -> None:
    house.running("first", document(50, 50), type_="mobile")
    house.proposed("second", document(5, 5))
    house.preparer().prepare("second")
    (overlap,) = house.prepared("second").overlaps
    assert (overlap.shared_groups, overlap.same_type) == (240, False)


def test_the_groups_of_a_draft_count_but_it_is_not_named(house: House) -> None:
    house.proposed("secret", document(40, 40))
    house.preparer().prepare("secret")
    secret = groups(house.prepared("secret"))
    house.proposed("second", document(10, 15))
    house.preparer().prepare("second")
    fact = house.prepared("second")
    assert set(range(1, 2401)) - secret < groups(fact)
    (overlap,) = fact.overlaps
    assert (overlap.key, overlap.settings_group, overlap.shared_groups) == ("", 0, len(secret & groups(fact)))


def test_a_change_of_dates_keeps_everybodys_variant(house: House) -> None:
    before = house.running("button", document(5, 10))
    house.commands.propose_settings(ANNA, "button", document(5, 10, ends_at="2026-07-01"))
    house.preparer().prepare("button")
    after = house.prepared("button")
    assert after.settings_group == 2
    assert after.variants == before.variants
    assert "360 split groups stay as they were" in [step.detail for step in house.steps]


def test_the_superseded_proposal_is_never_prepared(house: House) -> None:
    house.proposed("button", document(5, 10))
    house.commands.propose_settings(ANNA, "button", document(5, 15))
    assert house.preparer().prepare_all() == 1
    assert house.prepared("button").settings_group == 2


def test_a_key_without_anything_that_waits_is_left_alone(house: House) -> None:
    assert not house.preparer().prepare("nothing")
    house.running("button", document(5, 5))
    assert not house.preparer().prepare("button")
    assert house.preparer().prepare_all() == 0


def test_every_step_is_told(house: House) -> None:
    house.proposed("button", document(5, 10))
    house.preparer().prepare("button")
    assert [step.step for step in house.steps] == ["overlaps", "split_groups", "prepared"]
    assert {(step.key, step.settings_group) for step in house.steps} == {("button", 1)}


class Uncountable(NobodyCounted):
    """Counts that cannot answer."""

    def counted(self, audience: Audience, others: Sequence[Audience]) -> None:
        del others
        raise AudienceNotCountable(audience.key, "no column holds user_agent")


def test_a_preparation_that_fails_says_why_and_can_be_retried(house: House) -> None:
    house.proposed("button", document(5, 10))
    assert not house.preparer(counts=Uncountable()).prepare("button")
    (failure,) = house.facts("button")[2:]
    assert isinstance(failure, SettingsGroupPreparationFailed)
    assert "no column holds user_agent" in failure.reason
    assert house.steps[-1].step == "failed"
    assert not house.preparer().prepare("button")
    house.commands.retry_preparation(ANNA, "button")
    assert house.preparer().prepare("button")


def broken(error: Exception) -> Callable[[AllocationRequest], Allocation]:
    def allocate_nothing(request: AllocationRequest) -> Allocation:
        del request
        raise error

    return allocate_nothing


@pytest.mark.parametrize("error", [OperationalError("select", {}, Exception("away")), DatabaseUnavailable("away")])
def test_an_outage_is_raised_and_never_becomes_a_fact(house: House, error: Exception) -> None:
    house.proposed("button", document(5, 10))
    with pytest.raises(type(error)):
        house.preparer(allocate=broken(error)).prepare("button")
    assert len(house.facts("button")) == 2
    assert house.preparer().prepare("button")


def test_an_error_of_the_program_is_told_to_the_manager_who_can_retry(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.proposed("button", document(5, 10))
    error = ZeroDivisionError("division by\0 zero\nsecond line")
    assert not house.preparer(allocate=broken(error)).prepare("button")
    failure = house.facts("button")[-1]
    assert isinstance(failure, SettingsGroupPreparationFailed)
    assert "an error of this program (ZeroDivisionError: division by zero); report it" in failure.reason
    assert "Traceback" in caplog.text
    house.commands.retry_preparation(ANNA, "button")
    assert house.preparer().prepare("button")


def test_a_test_that_cannot_be_prepared_holds_up_no_other(house: House) -> None:
    for key in ("first", "poison", "last"):
        house.proposed(key, document(5, 10))

    def allocate_some(request: AllocationRequest) -> Allocation:
        if request.seed == 2:
            raise IndexError
        return allocate(request)

    assert house.preparer(allocate=allocate_some).prepare_all() == 2
    assert [house.prepared(key).settings_group for key in ("first", "last")] == [1, 1]
    assert house.facts("poison")[-1].reason.startswith("an error of this program (IndexError)")


def test_a_failure_that_cannot_be_recorded_is_raised_after_the_others_were_prepared(house: House) -> None:
    for key in ("poison", "last"):
        house.proposed(key, document(5, 10))

    def refuse_the_first(progress: Progress) -> None:
        if progress.key == "poison":
            raise UnicodeError("nobody can be told")

    with pytest.raises(UnicodeError, match="nobody can be told"):
        house.preparer(progress=refuse_the_first).prepare_all()
    assert house.prepared("last").settings_group == 1


class UsersAway(NobodyCounted):
    """The database of users is down, with the very error that an outage of our own database has."""

    def counted(self, audience: Audience, others: Sequence[Audience]) -> None:
        del others
        raise OperationalError("select", {}, Exception(f"no users of {audience.key}"))


def test_an_outage_of_the_users_database_is_a_failure_that_can_be_retried(house: House) -> None:
    for key in ("first", "second"):
        house.proposed(key, document(5, 10))
    assert house.preparer(counts=UsersAway()).prepare_all() == 0
    for key in ("first", "second"):
        assert f"the users of {key} were not counted: OperationalError" in house.facts(key)[-1].reason
        house.commands.retry_preparation(ANNA, key)
    assert house.preparer().prepare_all() == 2


class EverybodyCounted:
    """Ten users in every split group; half of the tests' users meet both conditions."""

    def counted(self, audience: Audience, others: Sequence[Audience]) -> CountedUsers:
        assert audience.key not in {other.key for other in others}
        shared = SharedUsers(users=dict.fromkeys(range(1, 1201), 5))
        return CountedUsers(users=dict.fromkeys(range(1, 2401), 10), shared=[shared] * len(others))


def test_counted_users_become_the_estimate_and_the_overlap(house: House) -> None:
    house.running("first", document(50, 50))
    house.proposed("second", document(50, 50))
    assert house.preparer(counts=EverybodyCounted()).prepare("second")
    fact = house.prepared("second")
    assert [variant.users for variant in fact.variants] == [12_000, 12_000]
    (overlap,) = fact.overlaps
    assert replace(overlap, by_variant=()) == Overlap(
        key="first", settings_group=1, shared_groups=2400, shared_users=6000, same_type=True
    )
    assert sum(each.shared_users or 0 for each in overlap.by_variant) == 6000
    assert fact.base_rate == 0.1
    assert [variant.smallest_effect for variant in fact.variants] == [
        None,
        smallest_effect(12_000, 12_000, base_rate=0.1),
    ]
    assert [step.detail for step in house.steps][-3] == "24,000 users meet the conditions"


def test_the_percent_of_their_users_is_told_once_both_tests_were_counted(house: House) -> None:
    for key in ("first", "second"):
        house.proposed(key, document(50, 50))
        assert house.preparer(counts=EverybodyCounted(), base_rate=0.02).prepare(key)
    (overlap,) = house.prepared("second").overlaps
    assert (overlap.key, overlap.their_users) == ("", None), "a Draft tells nothing of itself"
    house.commands.publish(ANNA, "first")
    house.commands.propose_settings(ANNA, "second", document(25, 50))
    assert house.preparer(counts=EverybodyCounted(), base_rate=0.02).prepare("second")
    fact = house.prepared("second")
    (overlap,) = fact.overlaps
    assert (overlap.key, overlap.their_users, fact.base_rate) == ("first", 24_000, 0.02)


def interrupted(house: House, interruption: Callable[[], object]) -> Preparer:
    """A preparer that is interrupted once, between its look at the test and its append."""
    interruptions = [interruption]

    def allocate_later(request: AllocationRequest) -> Allocation:
        if interruptions:
            interruptions.pop()()
        return allocate(request)

    return house.preparer(allocate=allocate_later)


def test_a_test_that_moved_on_meanwhile_is_looked_at_again(house: House) -> None:
    house.proposed("button", document(5, 10))
    preparer = interrupted(house, lambda: house.commands.propose_settings(ANNA, "button", document(5, 20)))
    assert preparer.prepare("button")
    fact = house.prepared("button")
    assert (fact.settings_group, len(groups(fact))) == (2, 600)


def test_a_draft_that_was_discarded_meanwhile_is_left_alone(house: House) -> None:
    house.proposed("button", document(5, 10))
    assert not interrupted(house, lambda: house.commands.discard(ANNA, "button")).prepare("button")
    assert len(house.facts("button")) == 3


def in_the_midst_of_each_other(house: House, keys: tuple[str, str]) -> list[bool]:
    """Two preparers of their own processes' making; the second one begins while the first one draws."""
    waiting, answers = threading.Event(), []

    def wait_for_its_turn(progress: Progress) -> None:
        if progress.step == "waiting":
            waiting.set()

    second = house.preparer(progress=wait_for_its_turn)
    other = threading.Thread(target=lambda: answers.append(second.prepare(keys[1])))

    def draw_beside_another(request: AllocationRequest) -> Allocation:
        other.start()
        assert waiting.wait(10)
        return allocate(request)

    answers.append(house.preparer(allocate=draw_beside_another).prepare(keys[0]))
    other.join(10)
    return answers


def test_of_two_preparers_of_one_test_the_first_wins(database: Engine) -> None:
    house = House(database)
    house.proposed("button", document(5, 10))
    assert in_the_midst_of_each_other(house, ("button", "button")) == [True, False]
    assert [type(fact).__name__ for fact in house.facts("button")].count("SettingsGroupPrepared") == 1


def test_two_tests_that_are_prepared_at_the_same_moment_see_each_other(database: Engine) -> None:
    house = House(database)
    house.proposed("first", document(20, 20))
    house.proposed("second", document(25, 25))
    assert in_the_midst_of_each_other(house, ("first", "second")) == [True, True]
    assert groups(house.prepared("first")) & groups(house.prepared("second")) == set()


def test_threads_that_share_a_preparer_take_turns(house: House) -> None:
    keys = [f"test{number}" for number in range(4)]
    for key in keys:
        house.proposed(key, document(10, 15))
    preparer = house.preparer()
    threads = [threading.Thread(target=preparer.prepare, args=(key,)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(set.union(*(groups(house.prepared(key)) for key in keys))) == 2400


def test_a_preparer_that_waits_for_another_stops_when_it_is_told_to(house: House) -> None:
    house.proposed("button", document(5, 10))
    stop = threading.Event()
    lock = leader_lock(house.engine, LOCK)
    assert lock.try_acquire()
    assert not house.preparer(progress=lambda _: stop.set()).prepare("button", stop=stop)
    assert not house.preparer().prepare_all(stop=stop)
    lock.release()
    assert house.preparer().prepare("button")


class LockOfAGoneConnection:
    """A lock that is lost once, while it is held."""

    def __init__(self) -> None:
        self.losses = [True]

    def try_acquire(self) -> bool:
        return True

    def still_held(self) -> bool:
        return not (self.losses and self.losses.pop())

    def release(self) -> None:
        """Let go."""


def test_what_was_drawn_without_the_lock_is_thrown_away_and_drawn_again(house: House) -> None:
    house.proposed("button", document(5, 10))
    assert house.preparer(lock=LockOfAGoneConnection()).prepare("button")
    assert house.prepared("button").seed == 2


def test_a_draft_that_was_never_published_is_drawn_afresh(house: House) -> None:
    house.proposed("button", document(5, 10))
    house.preparer().prepare("button")
    before = groups(house.prepared("button"))
    house.commands.propose_settings(ANNA, "button", document(5, 10, ends_at="2026-07-01"))
    house.preparer().prepare("button")
    fact = house.prepared("button")
    assert groups(fact) != before
    assert (fact.kept_groups, fact.moved) == (0, ())


def test_a_draft_that_was_published_once_keeps_what_test_users_saw(house: House) -> None:
    house.proposed("button", document(5, 10))
    house.preparer().prepare("button")
    before = house.prepared("button")
    house.commands.publish(ANNA, "button")
    house.commands.unpublish(ANNA, "button")
    house.commands.propose_settings(ANNA, "button", document(5, 10, ends_at="2026-07-01"))
    house.preparer().prepare("button")
    assert house.prepared("button").variants == before.variants


def test_a_change_of_percents_says_which_groups_stay_and_which_move(house: House) -> None:
    house.running("button", document(5, 10))
    house.commands.propose_settings(ANNA, "button", document(7.5, 8))
    house.preparer().prepare("button")
    fact = house.prepared("button")
    assert fact.kept_groups == 120 + 192
    assert fact.moved == (
        GroupsMoved(before="", after="control", groups=60),
        GroupsMoved(before="red", after="", groups=48),
    )


def test_a_reshuffle_draws_all_groups_anew(house: House) -> None:
    before = house.running("button", document(25, 25))
    house.commands.propose_settings(ANNA, "button", document(25, 25) | {"reshuffle": True})
    house.preparer().prepare("button")
    fact = house.prepared("button")
    assert fact.kept_groups < 400
    assert fact.kept_groups + sum(move.groups for move in fact.moved if move.after) == 1200
    assert groups(fact) != groups(before)


def test_a_running_preparer_prepares_what_waits_and_outlives_an_outage(house: House) -> None:
    house.proposed("first", document(5, 10))
    house.proposed("second", document(5, 10))
    stop = threading.Event()
    outages = [OperationalError("select", {}, Exception("away")), DatabaseUnavailable("away")]

    def catch_up() -> int:
        if outages:
            raise outages.pop()
        with house.engine.connect() as connection:
            connection.execute(text("select 1"))
        return house.projector.catch_up()

    def stop_after_two(progress: Progress) -> None:
        house.steps.append(progress)
        if [step.step for step in house.steps].count("prepared") == 2:
            stop.set()

    house.preparer(catch_up=catch_up, progress=stop_after_two).run(stop, idle_seconds=0.01)
    assert house.prepared("first").settings_group == 1
    assert house.prepared("second").settings_group == 1


def test_of_free_groups_those_are_taken_that_have_rested_longest(house: House) -> None:
    over = groups(house.running("over", document(25, 25)))
    house.commands.reject(ANNA, "over")
    house.proposed("second", document(20, 20))
    house.preparer().prepare("second")
    assert not groups(house.prepared("second")) & over, "half of the groups were never used"
    house.proposed("third", document(30, 30, starts_at="2026-07-01", ends_at="2026-08-01"))
    house.preparer().prepare("third")
    assert set(range(1, 2401)) - over < groups(house.prepared("third"))
