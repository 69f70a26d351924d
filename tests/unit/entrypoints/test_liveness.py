"""A process is alive while its loop still asks whether to stop."""

import os
import time
from pathlib import Path

from entrypoints.liveness import MAX_AGE_SECONDS, Stop, is_alive


def test_asking_whether_to_stop_is_the_sign_of_life(tmp_path: Path) -> None:
    alive_file = tmp_path / "alive"
    stop = Stop(alive_file)
    assert not is_alive(alive_file)
    assert not stop.is_set()
    assert is_alive(alive_file)


def test_a_loop_that_no_longer_asks_is_hung(tmp_path: Path) -> None:
    alive_file = tmp_path / "alive"
    Stop(alive_file).wait(0)
    for moved in (-1, 1):
        touched = time.time() + moved * (MAX_AGE_SECONDS + 5)
        os.utime(alive_file, (touched, touched))
        assert not is_alive(alive_file), "long ago, or before the clock was set back"


def test_the_file_is_touched_once_a_second_at_most(tmp_path: Path) -> None:
    alive_file, moments = tmp_path / "alive", iter([10.0, 10.5, 11.5])
    stop = Stop(alive_file, clock=lambda: next(moments))
    stop.is_set()
    alive_file.unlink()
    stop.is_set()
    assert not alive_file.exists()
    stop.is_set()
    assert alive_file.exists()


def test_it_still_is_an_event(tmp_path: Path) -> None:
    stop = Stop(tmp_path / "alive")
    assert stop.wait(0) is False
    stop.set()
    assert stop.is_set()
    assert stop.wait(10) is True


def test_without_a_file_it_only_is_an_event() -> None:
    assert Stop().is_set() is False
