"""Waiting for Kafka's client, which waits in C: a thread lets others go on meanwhile, a greenlet holds all of them up.

gevent's monkey patching makes greenlets of a service's threads, and so of the SDK's. There the client is only asked how
things stand, and waiting is left to what was patched.
"""

import sys
import time
from typing import Any, Final

from confluent_kafka import Producer

_PAUSE_SECONDS: Final = 0.01


def poll(producer: Producer, timeout_seconds: float) -> None:
    """Let the client tell what happened; wait at most so long for the first of it, as a greenlet not at all."""
    producer.poll(0 if threads_are_greenlets() else timeout_seconds)


def flush(producer: Producer, timeout_seconds: float) -> int:
    """Wait at most so long until nothing is on its way; return how much still is."""
    if not threads_are_greenlets():
        return producer.flush(timeout_seconds)
    deadline = time.monotonic() + timeout_seconds
    while (left := producer.flush(0)) and time.monotonic() < deadline:
        time.sleep(_PAUSE_SECONDS)
    return left


def threads_are_greenlets() -> bool:
    """Answer whether gevent has patched `threading`; asked each time, for gunicorn's workers patch after the import."""
    monkey: Any = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))
