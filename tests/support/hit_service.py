"""A service that logs hits at a steady rate, to be run as a process and ended, killed or frozen; and its owner's side.

    python -m tests.support.hit_service '{"bootstrap_servers": …, "topic": …, "rate": 20000, "journal": FILE, …}'

Every hit has its own unit, `NAME.1`, `NAME.2` …, so that whoever reads BI can tell which one is missing. What the
service's callers were told stands in the first bytes of the journal, a file in memory that outlives a SIGKILL: how many
calls of `log` took a hit. Behind it are lines with `HitLogger.stats()`, the last one after closing.
"""

import contextlib
import json
import mmap
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from usersplit import HitLogger, KafkaHitTransport

_ROOT: Final = Path(__file__).parents[2]
_TAKEN: Final = struct.Struct("<Q")
_TICK_SECONDS: Final = 0.005
_STATS_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a service does.

    Attributes:
        name: of the process; its units are named after it.
        rate: hits a second.
        logger: further arguments of `HitLogger`.
        kafka: further settings of librdkafka, as `KafkaHitTransport` takes them.
    """

    bootstrap_servers: str
    topic: str
    journal: str
    name: str = "service"
    rate: int = 1000
    logger: Mapping[str, Any] = field(default_factory=dict)
    kafka: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a service told of its hits, read from its journal.

    Attributes:
        taken: calls of `log` that took a hit, to the last one before it was killed.
        accepted: of its own hits, as of its last word; so are the following ones.
        dropped: …
        waiting: hits that were in memory.
        spooled: hits on the disk, those that it found there too.
        closed: it said its last word after closing.
    """

    taken: int = 0
    accepted: int = 0
    dropped: int = 0
    waiting: int = 0
    spooled: int = 0
    closed: bool = False


class HitService:
    """The process, from outside."""

    def __init__(self, load: Load) -> None:
        self.load = load
        arguments = json.dumps({name: getattr(load, name) for name in load.__slots__})
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.hit_service", arguments],
            cwd=_ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(_ROOT), str(_ROOT / "sdk")])},
            stdin=subprocess.DEVNULL,
        )

    def told(self) -> Told:
        """Return what the journal says now."""
        try:
            content = Path(self.load.journal).read_bytes()
        except FileNotFoundError:
            return Told()
        lines = content[_TAKEN.size :].splitlines(keepends=True)
        whole = [line for line in lines if line.endswith(b"\n")]
        last = json.loads(whole[-1]) if whole else {}
        return Told(taken=_TAKEN.unpack_from(content)[0], **last)

    def end(self, *, timeout_seconds: float = 60) -> Told:
        """End it in good order, and return its last word."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout_seconds)
        return self.told()

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def running(load: Load) -> Iterator[HitService]:
    """Run a service; kill it at the end if it is still there."""
    service = HitService(load)
    try:
        yield service
    finally:
        service.kill()


class _Journal:
    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        os.write(self._descriptor, _TAKEN.pack(0))
        self._head = mmap.mmap(self._descriptor, _TAKEN.size)

    def note_taken(self, count: int) -> None:
        _TAKEN.pack_into(self._head, 0, count)

    def note_stats(self, logger: HitLogger, *, closed: bool) -> None:
        stats = logger.stats()
        told = {
            "accepted": stats.accepted - stats.recovered,
            "dropped": sum(stats.dropped.values()),
            "waiting": stats.buffered,
            "spooled": stats.spooled,
            "closed": closed,
        }
        os.write(self._descriptor, json.dumps(told).encode() + b"\n")


def log_hits(load: Load) -> None:
    """Log at the load's rate until SIGTERM, then close."""
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
    journal = _Journal(load.journal)
    logger = HitLogger(
        KafkaHitTransport(load.bootstrap_servers, topic=load.topic, reconnect_backoff_max_ms=1000, **load.kafka),
        app="shop",
        environment_name="production",
        host="web-1",
        **load.logger,
    )
    number, taken, started, told_at = 0, 0, time.monotonic(), 0.0
    while not ended:
        due = int((time.monotonic() - started) * load.rate)
        # After a freeze, or on a busy machine, what was missed is not made up for in one go.
        for _ in range(min(due - number, load.rate // 5 + 1)):
            number += 1
            if _log(logger, load.name, taken + 1):
                taken += 1
                journal.note_taken(taken)
        if due - number > load.rate:
            started = time.monotonic() - number / load.rate
        if time.monotonic() - told_at > _STATS_SECONDS:
            told_at = time.monotonic()
            journal.note_stats(logger, closed=False)
        time.sleep(_TICK_SECONDS)
    logger.close(10)
    journal.note_stats(logger, closed=True)


def _log(logger: HitLogger, name: str, number: int) -> bool:
    return logger.log(
        test_key=f"test_{number % 20}",
        variant="red" if number % 2 else "control",
        unit_type="user",
        unit_id=f"{name}.{number}",
        settings_group=3,
        split_group=number % 2400 + 1,
        platform="web",
        country="DE",
    )


if __name__ == "__main__":
    log_hits(Load(**json.loads(sys.argv[1])))
