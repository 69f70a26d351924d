"""The books of a soak close, and find every kind of fault that is planted in them."""

from tests.soak.books import Balance, Ended, balance
from tests.support.hit_service import Told

LAST_WORD = Told(taken=1000, accepted=1000, dropped=10, closed=True)
ENDED = Ended(name="a-1", told=LAST_WORD, killed=False)
KILLED = Ended(name="b-1", told=Told(taken=1000, accepted=900, dropped=0, waiting=100), killed=True)
AHEAD = Ended(name="c-1", told=Told(taken=1000, accepted=900, waiting=10), killed=True, write_ahead=True)


def closed(*services: Ended, in_bi: dict[str, int], last: dict[str, int] | None = None, twice: int = 0) -> Balance:
    return balance(services, in_bi=in_bi, last_in_bi=in_bi if last is None else last, twice=twice)


def test_what_is_in_order_balances() -> None:
    found = closed(ENDED, KILLED, AHEAD, in_bi={"a-1": 990, "b-1": 850, "c-1": 950})
    assert found.faults == ()
    assert (found.accepted, found.dropped, found.in_bi) == (3000, 10 + 150 + 50, 2790)
    assert (found.lost_with_killed, found.in_memory_of_killed) == (200, 200 + 110)


def test_a_hit_too_few_of_a_service_that_ended_is_a_fault() -> None:
    assert closed(ENDED, in_bi={"a-1": 989}).faults


def test_a_service_that_did_not_close_is_a_fault() -> None:
    assert closed(Ended(name="a-1", told=Told(taken=10, accepted=10), killed=False), in_bi={"a-1": 10}).faults


def test_a_killed_service_may_not_lose_what_had_left_its_memory() -> None:
    assert closed(KILLED, in_bi={"b-1": 800}).faults == ()
    assert closed(KILLED, in_bi={"b-1": 799}).faults
    assert closed(KILLED, in_bi={}).faults


def test_the_call_that_a_kill_interrupted_may_have_taken_its_hit() -> None:
    assert closed(KILLED, in_bi={"b-1": 1001}).faults == ()
    assert closed(KILLED, in_bi={"b-1": 1002}).faults


def test_what_was_written_ahead_has_no_gap() -> None:
    assert closed(AHEAD, in_bi={"c-1": 950}, last={"c-1": 951}).faults


def test_rows_too_many_and_hits_of_nobody_are_faults() -> None:
    assert closed(ENDED, in_bi={"a-1": 990}, twice=1).faults
    assert closed(ENDED, in_bi={"a-1": 990, "x": 1}).faults
