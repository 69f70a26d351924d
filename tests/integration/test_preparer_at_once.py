"""Preparers at once, and tests that change while they are prepared."""

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from consumers.leadership import leader_lock
from consumers.preparation_lock import LOCK
from consumers.preparer import Preparer, Progress
from domain.allocation.balanced import allocate
from domain.allocation.request import Allocation, AllocationRequest
from tests.support.preparing import ANNA, House, document, groups


@pytest.fixture
def house(sqlite_database: Engine) -> House:
    return House(sqlite_database)


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
    """Two preparers of their own processes' making; the second one begins while the first one draws.

    The answers come in that order, whichever thread gets on first when both are done.
    """
    waiting, answer_of_second = threading.Event(), list[bool]()

    def wait_for_its_turn(progress: Progress) -> None:
        if progress.step == "waiting":
            waiting.set()

    second = house.preparer(progress=wait_for_its_turn)
    other = threading.Thread(target=lambda: answer_of_second.append(second.prepare(keys[1])))

    def draw_beside_another(request: AllocationRequest) -> Allocation:
        other.start()
        assert waiting.wait(60)
        return allocate(request)

    answer_of_first = house.preparer(allocate=draw_beside_another).prepare(keys[0])
    other.join(60)
    return [answer_of_first, *answer_of_second]


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
        thread.join(60)
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
