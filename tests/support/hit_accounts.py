"""The accounting identity of hits, held in every process: accepted = delivered + dropped + buffered + spooled."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from usersplit import HitLogger, HitStats

KEEPING_ACCOUNTS: Final = """
import json, os
import usersplit._hit_worker
def _close_and_tell(worker, timeout_seconds, close=usersplit._hit_worker.HitWorker.close):
    close(worker, timeout_seconds)
    stats = worker.stats()
    told = {
        "pid": os.getpid(), "accepted": stats.accepted, "delivered": stats.delivered,
        "dropped": sum(stats.dropped.values()), "buffered": stats.buffered, "spooled": stats.spooled,
    }
    with open(os.environ["ACCOUNTS"], "ab", 0) as accounts:
        accounts.write((json.dumps(told) + "\\n").encode())
usersplit._hit_worker.HitWorker.close = _close_and_tell
"""
"""The beginning of a script, before it makes a logger: however a process comes to close it, a line in the file that the
environment variable ACCOUNTS names says what became of its hits; processes that are forked write there too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What became of the hits of one process."""

    accepted: int
    delivered: int
    dropped: int
    buffered: int
    spooled: int


def balanced(logger: HitLogger) -> HitStats:
    """Return the logger's counts; the identity holds, or this fails."""
    stats = logger.stats()
    assert stats.accepted == stats.delivered + sum(stats.dropped.values()) + stats.buffered + stats.spooled, stats
    assert min(stats.delivered, stats.buffered, stats.spooled, *stats.dropped.values()) >= 0, stats
    return stats


def accounts_in(path: Path) -> dict[int, Account]:
    """Return the last word of every process, by its id. The identity holds in every word, or this fails."""
    accounts: dict[int, Account] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        told = json.loads(line)
        pid = told.pop("pid")
        accounts[pid] = one = Account(**told)
        assert one.accepted == one.delivered + one.dropped + one.buffered + one.spooled, (pid, one)
        assert one.buffered == 0, (pid, one)
    return accounts
