"""The process that keeps the read models up with the log."""

import threading
from collections.abc import Callable
from logging import getLogger

from projections.errors import OUTAGES
from projections.projector import Projector

_log = getLogger(__name__)

_LONGEST_PAUSE_SECONDS = 10.0


def _ignore_position(position: int) -> None:
    del position


def follow(
    projector: Projector,
    stop: threading.Event,
    *,
    poll_interval_seconds: float = 0.2,
    progress: Callable[[int], None] = _ignore_position,
) -> None:
    """Catch up again and again until `stop` is set.

    Blocks. The projector commits, batch by batch, so the process may be killed at any moment, and any number of them
    may run. A database that does not answer is asked again, ever more slowly; anything else that goes wrong outside of
    a projection stops the process by its exception.

    Args:
        projector: what to run.
        stop: set by a signal handler or another thread; noticed within `poll_interval_seconds` or one batch.
        poll_interval_seconds: the wait at the end of the log.
        progress: called with the position after each batch.
    """
    pause = poll_interval_seconds
    while not stop.is_set():
        try:
            projector.catch_up(progress=progress, stop=stop)
            pause = poll_interval_seconds
        except OUTAGES as error:
            pause = min(max(pause, poll_interval_seconds) * 2, _LONGEST_PAUSE_SECONDS)
            _log.warning("the database does not answer, asking again in %.1f s: %s", pause, error)
        stop.wait(pause)
