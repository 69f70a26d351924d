"""Whether a process still makes progress: seen from outside as the age of a file."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

MAX_AGE_SECONDS = 30.0
_TOUCH_EVERY_SECONDS = 1.0


class Stop(threading.Event):
    """The event that ends a process. Every loop asks it each round, and that question is the sign of life.

    A thread that touches the file on its own would keep a hung loop alive; a loop that no longer asks is hung.
    """

    def __init__(self, alive_file: Path | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._alive_file = alive_file
        self._clock = clock
        self._touched = float("-inf")
        self._asked: float | None = None

    def is_alive(self) -> bool:
        """Say whether the process asked within the last MAX_AGE_SECONDS, or has not begun to."""
        return self._asked is None or self._clock() - self._asked <= MAX_AGE_SECONDS

    def is_set(self) -> bool:
        """Say whether to stop."""
        self._sign_of_life()
        return super().is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is time to stop, `timeout` seconds at most; return whether it is."""
        self._sign_of_life()
        return super().wait(timeout)

    def on_signals(self) -> None:
        """Stop on SIGTERM and SIGINT; a second signal ends the process at once."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop_once)

    def _stop_once(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.set()
        signal.signal(number, signal.SIG_DFL)

    def _sign_of_life(self) -> None:
        moment = self._asked = self._clock()
        if self._alive_file is not None and moment - self._touched >= _TOUCH_EVERY_SECONDS:
            self._touched = moment
            self._alive_file.touch()


def is_alive(alive_file: Path) -> bool:
    """Say whether the process that touches `alive_file` made progress within the last MAX_AGE_SECONDS."""
    try:
        touched = alive_file.stat().st_mtime
    except FileNotFoundError:
        return False
    # A file from the future was touched before the clock was set back, and not since: hung, or about to be touched.
    age = abs(time.time() - touched)
    return age <= MAX_AGE_SECONDS and os.access(alive_file, os.R_OK)
