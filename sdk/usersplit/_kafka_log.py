"""What Kafka's client says to a service's log: once in a while, where it would say it several times a second."""

import logging
import time
from collections.abc import Callable
from typing import Final

_EVERY_SECONDS: Final = 60.0


class SeldomOutages(logging.Filter):
    """Lets lost and refused connections be logged once a minute; all else passes.

    With Kafka away the client tries each broker anew, and reports each try, for as long as it takes. A service's log
    needs to hear of it, but not four times a second.
    """

    def __init__(self, *, every_seconds: float = _EVERY_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._every_seconds = every_seconds
        self._clock = clock
        self._last = float("-inf")

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether `record` is logged."""
        if not record.getMessage().startswith(("FAIL", "ERROR")):
            return True
        now = self._clock()
        if now - self._last < self._every_seconds:
            return False
        self._last = now
        return True


def kafka_logger() -> logging.Logger:
    """Return the logger that the client is given, `usersplit.kafka`."""
    logger = logging.getLogger("usersplit.kafka")
    if not any(isinstance(found, SeldomOutages) for found in logger.filters):
        logger.addFilter(SeldomOutages())
    return logger
