"""Guessing is slow, however it is done, and the owner of a name is let in."""

import pytest

from accounts.attempts import FREE_ATTEMPTS, Attempts, network_of
from accounts.errors import TooManyAttempts
from tests.support.people import MovedClock


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def attempts(clock: MovedClock) -> Attempts:
    return Attempts(clock.monotonic)


def test_attempts_that_are_made_at_once_are_counted_before_any_of_them_is_known_to_be_wrong(attempts: Attempts) -> None:
    for _ in range(FREE_ATTEMPTS):
        attempts.begin("name ann", "address a")
    with pytest.raises(TooManyAttempts):
        attempts.begin("name ann", "address b")
    with pytest.raises(TooManyAttempts):
        attempts.begin("name bob", "address a")
    attempts.begin("name bob", "address b")


def test_each_further_attempt_waits_twice_as_long_and_a_quarter_of_an_hour_at_most(
    attempts: Attempts, clock: MovedClock
) -> None:
    waits = []
    for number in range(FREE_ATTEMPTS + 12):
        attempts.begin("name ann")
        if number + 1 >= FREE_ATTEMPTS:
            with pytest.raises(TooManyAttempts) as refused:
                attempts.begin("name ann")
            waits.append(refused.value.retry_after_seconds - 1)
            clock.seconds += waits[-1]
    assert waits[:4] == [2, 4, 8, 16]
    assert waits[-1] == 900


def test_a_refused_attempt_makes_the_wait_no_longer(attempts: Attempts, clock: MovedClock) -> None:
    for _ in range(FREE_ATTEMPTS):
        attempts.begin("name ann")
    for _ in range(50):
        with pytest.raises(TooManyAttempts):
            attempts.begin("name ann")
    clock.seconds += 2
    attempts.begin("name ann")


def test_the_owner_is_forgiven_and_the_address_only_for_the_one_that_was_right(attempts: Attempts) -> None:
    for _ in range(FREE_ATTEMPTS - 1):
        attempts.begin("name ann", "address a")
    attempts.begin("name bob", "address a")
    attempts.note_right("name bob", "address a")
    attempts.begin("name bob", "address a")
    with pytest.raises(TooManyAttempts):
        attempts.begin("name bob", "address a")
    attempts.note_right("name ann", "address b")
    attempts.begin("name ann", "address b")


def test_what_is_remembered_is_bounded(attempts: Attempts) -> None:
    for number in range(10_050):
        attempts.begin(f"name {number}")
    assert len(attempts._wrong) == 10_000


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_who_can_change_an_address_at_will_is_counted_by_what_stays(address: str, network: str) -> None:
    assert network_of(address) == network
