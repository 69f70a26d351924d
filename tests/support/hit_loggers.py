"""Loggers on a wire in memory, at a moment that is known; at the end of each its account balances."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.support.hit_accounts import balanced
from tests.support.sdk_config_documents import config_document
from usersplit import (
    Checker,
    HitLogger,
    MemoryConfigs,
    MemoryHitTransport,
)

MOMENT_NS = 1_777_900_000_123_456_789

Opened = Callable[..., HitLogger]
"""Opens a logger on the transport that it is given, with room for so many hits."""


@contextmanager
def open_loggers() -> Iterator[Opened]:
    """Yield what opens loggers; close them at the end, and hold each against its account."""
    loggers: list[HitLogger] = []

    def open_logger(transport: MemoryHitTransport, capacity: int = 100_000) -> HitLogger:
        loggers.append(
            HitLogger(
                transport,
                app="coconut-store",
                host="web1",
                environment_name="production",
                capacity=capacity,
                interval_seconds=0.005,
                now_ns=lambda: MOMENT_NS,
            )
        )
        return loggers[-1]

    try:
        yield open_logger
    finally:
        for logger in loggers:
            logger.close(0)
            balanced(logger)


def log(logger: HitLogger, unit_id: object = 42) -> bool:
    """Log a hit of a user; return whether it was taken."""
    return logger.log(test_key="green_button", variant="red", unit_type="user", unit_id=unit_id)


def checker(logger: HitLogger, **changes: object) -> Checker:
    """Return a checker of a split test without conditions, changed so, that logs with `logger`."""
    configs = MemoryConfigs([config_document(conditions=[], filters={}, ends_at="2999-01-01T00:00:00Z", **changes)])
    return Checker(configs, logger)
