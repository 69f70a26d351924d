"""What a loop that tries again every second says of one trouble: once, and then once a minute while it lasts."""

from collections.abc import Callable
from time import monotonic

_EVERY_SECONDS = 60.0


class Repeated:
    """Remembers what was said last. For one thread."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._last = ""
        self._said_at = 0.0

    def is_due(self, sentence: str) -> bool:
        """Say whether `sentence` is another one than the last, or that one was said a minute ago; note that it is."""
        now = self._clock()
        if sentence == self._last and now - self._said_at < _EVERY_SECONDS:
            return False
        self._last, self._said_at = sentence, now
        return True
