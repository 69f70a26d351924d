"""The background side of logging hits: the thread, its beginning and end, and what is seen of it from outside."""

import logging
import threading
from collections.abc import Callable
from typing import Final

from usersplit._exposures import Exposures
from usersplit._hit_accounting import HitAccount, HitStats, Tally
from usersplit._hit_buffer import HitBuffer
from usersplit._hit_reporting import HitReporter
from usersplit._hit_sender import HitSender
from usersplit._shutdown import close_at_exit_of_multiprocessing

_logger = logging.getLogger("usersplit.hits")

_WARN_SECONDS: Final = 60.0
_OVERTIME_SECONDS: Final = 3.0
_REPLAY_SECONDS: Final = 0.01  # the next segment waits for the acknowledgement of this one
_POLL_SECONDS: Final = 0.1  # nobody can wake the transport, so a deadline is kept to this


class HitWorker:
    """Owns the thread of one process, and the counts.

    The callers' threads touch `buffer`, `running`, `closing` and the tallies only, none of which takes a lock: a
    signal handler or a finalizer that logs a hit cannot wait for itself.
    """

    def __init__(
        self,
        *,
        buffer: HitBuffer,
        account: HitAccount,
        sender: HitSender,
        reporter: HitReporter,
        exposures: Exposures | None,
        interval_seconds: float,
        monotonic: Callable[[], float],
    ) -> None:
        self.buffer = buffer
        self.late = Tally()
        self.duplicates = Tally()
        self.running = False
        self.closing = False
        self._account = account
        self._sender = sender
        self._reporter = reporter
        self._exposures = exposures
        self._interval_seconds = interval_seconds
        self._monotonic = monotonic
        self._deadline = float("inf")
        self._begin()

    def _begin(self) -> None:
        self._starting = threading.Lock()
        self._wake = threading.Event()
        self._step_done = threading.Event()
        self._thread: threading.Thread | None = None
        self._warned_at = float("-inf")
        self._warned_of = 0

    def start(self) -> None:
        """Start the thread of this process, unless it runs. Never blocks: who finds somebody starting it goes on."""
        if self.closing or not self._starting.acquire(blocking=False):
            return
        try:
            if not self.running:
                thread = threading.Thread(target=self._run, name="usersplit-hits", daemon=True)
                thread.start()
                self._thread, self.running = thread, True
                close_at_exit_of_multiprocessing()
        except RuntimeError as error:  # no more threads, or the interpreter is going down; hits wait in the buffer
            _logger.warning("Hits wait, no thread could be started to send them: %s", error)
        finally:
            self._starting.release()

    def stats(self) -> HitStats:
        """Return the counts, as one consistent picture."""
        with self._account.lock:
            if self._account.settled:
                self._account.give_up("closed", len(self.buffer.take(len(self.buffer.hits))))
            return self._account.stats(
                waiting=len(self.buffer.hits),
                full=self.buffer.full.value(),
                late=self.late.value(),
                duplicates=self.duplicates.value(),
            )

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until nothing is on its way, and nothing in the spool; answer whether that was seen in time."""
        deadline = self._monotonic() + timeout_seconds
        if self.buffer.hits and not self.running:
            self.start()
        while True:
            self._step_done.clear()
            stats = self.stats()
            if not stats.buffered and not stats.spooled:
                return True
            remaining = deadline - self._monotonic()
            if remaining <= 0 or self._account.settled:
                return False
            self._wake.set()
            self._step_done.wait(min(remaining, self._interval_seconds))

    def close(self, timeout_seconds: float) -> None:
        """Deliver what can be delivered in time, spool the rest or count it as dropped, stop. Idempotent."""
        if self._account.settled:
            return
        self.finish(timeout_seconds)
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            # Letting go of the transport, and writing the spool, take their time too; but not for ever.
            thread.join(timeout_seconds + _OVERTIME_SECONDS)
        self._settle()

    def finish(self, timeout_seconds: float) -> None:
        """Let the thread deliver what can be delivered in time, and stop, without waiting for it."""
        if self.buffer.hits and not self.running:
            self.start()
        self._deadline = self._monotonic() + timeout_seconds
        self.closing = True
        self._wake.set()

    def after_fork_in_child(self) -> None:
        """Start from nothing: the hits in the buffer are the parent's, which delivers them itself."""
        self.running = False
        self._account.begin()
        self._sender.after_fork_in_child()
        self._reporter.begin()
        self.buffer.clear()
        if self._exposures is not None:
            self._exposures.forget_all()
        self.late.reset()
        self.duplicates.reset()
        self._begin()

    def _run(self) -> None:
        while not (self.closing and self._has_ended()):
            try:
                if not self._sender.step(closing=self.closing):
                    self._wait()
                self._warn_of_drops(_WARN_SECONDS)
                self._reporter.look(self.stats)
            except Exception:  # the thread outlives whatever it meets; a dead one would end in a full buffer
                _logger.exception("A step of sending hits failed; the next one goes on.")
                self._wake.wait(self._interval_seconds)
            self._step_done.set()
        try:
            self._sender.finish(max(0.0, self._deadline - self._monotonic()))
        except Exception:  # what is left is counted as dropped
            _logger.exception("The end of sending hits failed.")
        self._settle()
        self._warn_of_drops(0)
        try:
            self._reporter.finish(self.stats())
        except Exception:  # nobody waits for it but BI, which has the log of the service as well
            _logger.exception("The last report of hits failed.")
        self._step_done.set()

    def _has_ended(self) -> bool:
        self._sender.out_of_time = self._monotonic() >= self._deadline
        return self._sender.out_of_time or self._sender.has_ended

    def _wait(self) -> None:
        before = self._account.in_hand
        pause_seconds = self._interval_seconds
        if before or self._sender.is_replaying:
            pause_seconds = min(pause_seconds, _REPLAY_SECONDS if self._sender.is_replaying else _POLL_SECONDS)
            self._sender.poll(pause_seconds)
        if self._account.in_hand == before:  # nothing came, perhaps at once: do not spin
            self._wake.wait(pause_seconds)
        self._wake.clear()

    def _settle(self) -> None:
        with self._account.lock:
            if not self._account.settled:
                left = self.buffer.take(len(self.buffer.hits))
                self._account.give_up("close_deadline", len(left))
                self._account.settle()

    def _warn_of_drops(self, at_most_every_seconds: float) -> None:
        now = self._monotonic()
        if now - self._warned_at < at_most_every_seconds:
            return
        dropped = {reason: count for reason, count in self.stats().dropped.items() if count}
        total = sum(dropped.values())
        if total > self._warned_of:
            reasons = ", ".join(f"{reason} {count}" for reason, count in dropped.items())
            why = f" The last error: {self._account.last_error}." if self._account.last_error else ""
            _logger.warning(
                "%d hits were dropped so far (%s); the test results lack them.%s",
                total,
                reasons,
                why,
                extra={"usersplit_dropped": dropped},  # for those who collect logs as data
            )
            self._warned_at, self._warned_of = now, total
