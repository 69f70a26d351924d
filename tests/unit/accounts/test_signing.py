"""Keys are replaced while people are signed in."""

import secrets

import pytest
from sqlalchemy import Engine

from accounts.signing import SigningKeys, kept_keys, replace_kept_key
from tests.support.people import MovedClock

SALT = "for tests"


@pytest.fixture
def engine(sqlite_database: Engine) -> Engine:
    return sqlite_database


def keys_of(*secrets: str) -> SigningKeys:
    return SigningKeys(lambda: secrets, lambda: 0.0)


def test_the_newest_key_signs_and_the_one_before_is_still_believed() -> None:
    old, both, new = keys_of("old"), keys_of("new", "old"), keys_of("new")
    assert both.read(old.sign("ann", salt=SALT), salt=SALT, seconds=60) == "ann"
    assert new.read(both.sign("ann", salt=SALT), salt=SALT, seconds=60) == "ann"
    assert old.read(both.sign("ann", salt=SALT), salt=SALT, seconds=60) is None
    assert new.read(old.sign("ann", salt=SALT), salt=SALT, seconds=60) is None


def test_what_was_signed_for_something_else_or_long_ago_is_not_believed() -> None:
    keys = keys_of("new")
    signed = keys.sign("ann", salt=SALT)
    assert keys.read(signed, salt="for something else", seconds=60) is None
    assert keys.read(signed, salt=SALT, seconds=-1) is None
    assert keys.read(signed + "x", salt=SALT, seconds=60) is None
    assert keys.read(keys.sign(secrets.token_hex(5000), salt=SALT), salt=SALT, seconds=60) is None


def test_a_process_takes_a_newer_key_when_it_meets_it_and_does_not_ask_for_every_forged_text(engine: Engine) -> None:
    clock, asked = MovedClock(), []

    def read() -> list[str]:
        asked.append(clock.seconds)
        return kept_keys(engine)

    ours = SigningKeys(read, clock.monotonic)
    before = ours.sign("ann", salt=SALT)
    replace_kept_key(engine, forget_old=False)
    theirs = SigningKeys(lambda: kept_keys(engine), clock.monotonic).sign("bob", salt=SALT)
    clock.seconds = 10
    assert ours.read(theirs, salt=SALT, seconds=60) == "bob"
    assert ours.read(before, salt=SALT, seconds=60) == "ann"
    for _ in range(100):
        assert ours.read(theirs + "x", salt=SALT, seconds=60) is None
    assert asked == [0.0, 10]


def test_a_key_in_wrong_hands_is_believed_by_no_process_that_starts_afterwards(engine: Engine) -> None:
    stolen = kept_keys(engine)
    replace_kept_key(engine, forget_old=True)
    assert len(kept_keys(engine)) == 1
    assert not set(stolen) & set(kept_keys(engine))
    replace_kept_key(engine, forget_old=False)
    replace_kept_key(engine, forget_old=False)
    assert len(kept_keys(engine)) == 2
