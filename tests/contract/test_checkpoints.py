"""A follower's checkpoint moves by compare-and-set, on both databases."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import Engine

from events.checkpoints import forget, move, position_of
from events.database import write_transaction
from events.errors import CheckpointMoved


def position(database: Engine, name: str) -> int:
    with database.connect() as connection:
        return position_of(connection, name)


def test_a_follower_that_never_moved_stands_at_zero(database: Engine) -> None:
    assert position(database, "relay") == 0


def test_checkpoints_move_on_their_own(database: Engine) -> None:
    with write_transaction(database) as connection:
        move(connection, "relay", expected=0, to=7)
        move(connection, "notifier", expected=0, to=3)
    with write_transaction(database) as connection:
        move(connection, "relay", expected=7, to=9)

    assert (position(database, "relay"), position(database, "notifier")) == (9, 3)


def test_checkpoints_of_one_kind_are_forgotten_together(database: Engine) -> None:
    with write_transaction(database) as connection:
        for name in ("hits_a:0", "hits_a:1", "hits_b:0", "hitsXa:0"):
            move(connection, name, expected=0, to=5)
    with write_transaction(database) as connection:
        forget(connection, "hits_a:")

    standing = {name: position(database, name) for name in ("hits_a:0", "hits_a:1", "hits_b:0", "hitsXa:0")}
    assert standing == {"hits_a:0": 0, "hits_a:1": 0, "hits_b:0": 5, "hitsXa:0": 5}


@pytest.mark.parametrize("expected", [0, 6, 8])
def test_a_checkpoint_that_stands_elsewhere_does_not_move(database: Engine, expected: int) -> None:
    with write_transaction(database) as connection:
        move(connection, "relay", expected=0, to=7)

    with pytest.raises(CheckpointMoved) as refusal, write_transaction(database) as connection:
        move(connection, "relay", expected=expected, to=9)

    assert (refusal.value.expected, refusal.value.actual) == (expected, 7)
    assert position(database, "relay") == 7


def test_a_follower_that_never_moved_cannot_be_moved_from_elsewhere(database: Engine) -> None:
    with pytest.raises(CheckpointMoved), write_transaction(database) as connection:
        move(connection, "relay", expected=3, to=9)

    assert position(database, "relay") == 0


def move_and_fail(database: Engine) -> None:
    with write_transaction(database) as connection:
        move(connection, "relay", expected=0, to=7)
        raise InterruptedError


def test_a_checkpoint_moves_with_the_work_or_not_at_all(database: Engine) -> None:
    with pytest.raises(InterruptedError):
        move_and_fail(database)

    assert position(database, "relay") == 0


def test_of_two_followers_of_one_name_only_one_moves(database: Engine) -> None:
    both_look = Barrier(2)

    def follow(to: int) -> bool:
        assert position(database, "relay") == 0
        both_look.wait()
        try:
            with write_transaction(database) as connection:
                move(connection, "relay", expected=0, to=to)
        except CheckpointMoved:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        moved = list(pool.map(follow, [7, 9]))

    assert sorted(moved) == [False, True]
    assert position(database, "relay") == (7 if moved[0] else 9)
