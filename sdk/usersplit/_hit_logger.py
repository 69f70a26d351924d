"""Logging hits from a service: an append to a bounded buffer, and nothing that could raise or wait."""

import atexit
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, Self

from usersplit._forks import watch_forks
from usersplit._hit_accounting import HitStats
from usersplit._hit_record import HitOrigin
from usersplit._hit_transport import HitTransport
from usersplit._hit_worker import HitWorker

_EXIT_TIMEOUT_SECONDS: Final = 2.0

_open_workers: Final[weakref.WeakSet[HitWorker]] = weakref.WeakSet()


class HitLogger:
    """Takes hits from any thread and delivers them in the background.

    At all times `accepted == delivered + dropped + buffered` holds, see `stats`. After a fork parent and child each
    have their own buffer, connection and counts.

    Args:
        transport: the wire; the logger owns it.
        app: the service, as hits name it.
        environment_name: where the service runs: "production", "devel" … (not how the visitor came: `Environment`).
        host: the server, as hits name it.
        capacity: how many hits wait at most, before new ones are dropped as "buffer_full". Threads that log at the
            very same moment may exceed it by one hit each.
        interval_seconds: how long a hit waits at most until the background thread looks for it.
        now_ns: the clock, Unix time in nanoseconds.
    """

    def __init__(
        self,
        transport: HitTransport,
        *,
        app: str,
        environment_name: str,
        host: str = "",
        capacity: int = 100_000,
        interval_seconds: float = 0.05,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        origin = HitOrigin(app=app, host=host, environment_name=environment_name)
        self._worker = HitWorker(transport, origin, interval_seconds=interval_seconds)
        self._buffer = self._worker.buffer
        self._capacity = capacity
        self._now_ns = now_ns
        watch_forks(self._worker)
        _close_at_exit(self._worker)

    def log(  # noqa: PLR0913 - the fields of a hit, all by name
        self,
        *,
        test_key: str,
        variant: str,
        unit_type: str,
        unit_id: object,
        settings_group: int = 0,
        split_group: int = 0,
        platform: object = "",
        country: object = "",
        forced: bool = False,
        attributes: Mapping[str, object] | str | None = None,
        occurred_at_ns: int | None = None,
        hit_id: str = "",
    ) -> bool:
        """Note that a unit was shown a variant; never raises and never blocks.

        Services use `Checker`, which fills all this in. A replay of recorded data gives everything itself.

        Args:
            test_key: see `usersplit.hits.Hit`, as all the others.
            variant: …
            unit_type: "user", "device" or "guest".
            unit_id: the id; its text goes into the hit.
            settings_group: …
            split_group: …
            platform: …
            country: …
            forced: the variant was forced, not drawn.
            attributes: free attributes, or the text of a JSON object.
            occurred_at_ns: Unix time in nanoseconds; None is now.
            hit_id: an id for a hit that may be logged again, so that readers count it once; "" makes one.

        Returns:
            Whether the hit went into the buffer. What became of it then, `stats` counts.
        """
        worker = self._worker
        if not worker.running:
            worker.start()
        if worker.closing:
            worker.late.tick()
            return False
        if len(self._buffer) >= self._capacity:
            worker.full.tick()
            return False
        # A plain tuple in the order of LoggedHit, whose own constructor costs the caller as much as all the rest.
        self._buffer.append(
            (
                self._now_ns() if occurred_at_ns is None else occurred_at_ns,
                test_key,
                settings_group,
                variant,
                unit_type,
                unit_id,
                split_group,
                platform,
                country,
                forced,
                attributes,
                hit_id,
            )
        )
        return True

    def stats(self) -> HitStats:
        """Return what became of the hits of this process."""
        return self._worker.stats()

    def flush(self, timeout_seconds: float = 5.0) -> bool:
        """Wait until no hit is on its way any more; answer whether that was so within the timeout."""
        return self._worker.flush(timeout_seconds)

    def close(self, timeout_seconds: float = 5.0) -> None:
        """Deliver what can be delivered in time; the rest is counted as dropped ("close_deadline"). Idempotent.

        At the normal end of a process this happens by itself, but not on SIGTERM or `os._exit`.
        """
        self._worker.close(timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        worker: HitWorker | None = getattr(self, "_worker", None)
        if worker is not None and not worker.closing:
            worker.finish(_EXIT_TIMEOUT_SECONDS)
            _warn(
                f"unclosed {type(self).__name__}; use it in a with statement or close it", ResourceWarning, source=self
            )


_exit_hook_lock: Final = threading.Lock()
_exit_hook_is_set = False


def _close_at_exit(worker: HitWorker) -> None:
    global _exit_hook_is_set  # noqa: PLW0603 - one hook a process, set on first use and not on import
    with _exit_hook_lock:
        _open_workers.add(worker)
        if not _exit_hook_is_set:
            atexit.register(_close_open_workers)
            _exit_hook_is_set = True


def _close_open_workers() -> None:
    workers = list(_open_workers)
    for worker in workers:
        worker.finish(_EXIT_TIMEOUT_SECONDS)  # all at once, so that their deadlines pass together
    for worker in workers:
        worker.close(_EXIT_TIMEOUT_SECONDS)
