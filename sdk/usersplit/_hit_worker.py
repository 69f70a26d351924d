"""The background side of logging hits: takes them from the buffer, encodes them, hands them to the transport."""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from usersplit._hit_accounting import DROP_REASONS, DropReason, HitStats, Tally
from usersplit._hit_record import RANDOM_BYTES_PER_ID, BufferedHit, HitOrigin, LoggedHit, hit_of
from usersplit._hit_transport import HitTransport
from usersplit.hits import encode_hit

_logger = logging.getLogger("usersplit.hits")

_BATCH: Final = 500
_WARN_SECONDS: Final = 60.0


class HitWorker:
    """Owns the buffer, the thread, the transport and the counts of one process.

    The callers' threads touch `buffer`, `running`, `closing` and the two tallies only, none of which takes a lock: a
    signal handler or a finalizer that logs a hit cannot wait for itself. All other counts move under `_lock`.
    """

    def __init__(
        self,
        transport: HitTransport,
        origin: HitOrigin,
        *,
        interval_seconds: float,
        random_bytes: Callable[[int], bytes] = os.urandom,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.buffer: deque[BufferedHit] = deque()
        self.full = Tally()
        self.late = Tally()
        self.running = False
        self.closing = False
        self._transport = transport
        self._origin = origin
        self._interval_seconds = interval_seconds
        self._random_bytes = random_bytes
        self._monotonic = monotonic
        self._deadline = float("inf")
        self._begin()
        transport.bind(self._reported)

    def _begin(self) -> None:
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._round_done = threading.Event()
        self._thread: threading.Thread | None = None
        self._taken = self._delivered = self._in_flight = 0
        self._dropped: dict[DropReason, int] = dict.fromkeys(DROP_REASONS, 0)
        self._settled = False
        self._warned_at = float("-inf")
        self._warned_of = 0
        self._last_error = ""

    def start(self) -> None:
        """Start the thread of this process, unless it runs. Never blocks: who finds somebody starting it goes on."""
        if self.closing or not self._lock.acquire(blocking=False):
            return
        try:
            if not self.running:
                thread = threading.Thread(target=self._run, name="usersplit-hits", daemon=True)
                thread.start()
                self._thread, self.running = thread, True
        except RuntimeError as error:  # no more threads, or the interpreter is going down; hits wait in the buffer
            _logger.warning("Hits wait, no thread could be started to send them: %s", error)
        finally:
            self._lock.release()

    def stats(self) -> HitStats:
        """Return the counts, as one consistent picture."""
        with self._lock:
            if self._settled:
                self._give_up_rest("closed")
            waiting = len(self.buffer)
            full, late = self.full.value(), self.late.value()
            dropped = dict(self._dropped)
            dropped["buffer_full"] += full
            dropped["closed"] += late
            return HitStats(
                # Acceptance is what a caller does in one step: an append, or a tick of one of the tallies.
                accepted=self._taken + waiting + full + late,
                delivered=self._delivered,
                dropped=dropped,
                buffered=waiting + self._in_flight,
            )

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until nothing is on its way; answer whether that was seen in time."""
        deadline = self._monotonic() + timeout_seconds
        if self.buffer and not self.running:
            self.start()
        while True:
            self._round_done.clear()
            if not self.stats().buffered:
                return True
            remaining = deadline - self._monotonic()
            if remaining <= 0:
                return False
            self._wake.set()
            self._round_done.wait(min(remaining, self._interval_seconds))

    def close(self, timeout_seconds: float) -> None:
        """Deliver what can be delivered in time, count the rest as dropped, stop. Idempotent."""
        if self._settled:
            return
        self.finish(timeout_seconds)
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            # The transport may need a moment longer than its own timeout; it must not hold up the process for ever.
            thread.join(timeout_seconds + 1.0)
        self._settle()

    def finish(self, timeout_seconds: float) -> None:
        """Let the thread deliver what can be delivered in time, and stop, without waiting for it."""
        if self.buffer and not self.running:
            self.start()
        self._deadline = self._monotonic() + timeout_seconds
        self.closing = True
        self._wake.set()

    def after_fork_in_child(self) -> None:
        """Start from nothing: the hits in the buffer are the parent's, which delivers them itself."""
        self._transport.abandon()
        self.running = False
        self.buffer.clear()
        self.full.reset()
        self.late.reset()
        self._begin()

    def _run(self) -> None:
        while not (self.closing and self._has_ended()):
            try:
                self._round()
                self._warn_of_drops()
            except Exception:  # the thread outlives whatever it meets; a dead one would end in a full buffer
                _logger.exception("A round of sending hits failed; the next one goes on.")
                self._wake.wait(self._interval_seconds)
            self._round_done.set()
        self._transport.close(max(0.0, self._deadline - self._monotonic()))
        self._settle()
        self._round_done.set()

    def _has_ended(self) -> bool:
        return self._monotonic() >= self._deadline or not (self.buffer or self._in_flight)

    def _round(self) -> None:
        if not self.buffer:
            self._poll_or_wait()
            return
        batch = self._take()
        random = self._random_bytes(RANDOM_BYTES_PER_ID * len(batch))
        for index, logged in enumerate(batch):
            start = index * RANDOM_BYTES_PER_ID
            if not self._send(logged, random[start : start + RANDOM_BYTES_PER_ID]):
                return  # out of time: the rest of the batch is on its way for ever, and settled as dropped
        self._transport.poll(0)

    def _take(self) -> list[LoggedHit]:
        with self._lock:
            count = 0 if self._settled else min(len(self.buffer), _BATCH)
            batch = [LoggedHit._make(self.buffer.popleft()) for _ in range(count)]
            self._taken += count
            self._in_flight += count
            return batch

    def _send(self, logged: LoggedHit, random: bytes) -> bool:
        try:
            hit = hit_of(logged, self._origin, random)
            key, value = hit.unit_id.encode(), encode_hit(hit)
        except Exception as error:  # noqa: BLE001 - whatever a service gave as an id: one hit must not stop the others
            self._drop_in_flight("encoding_failed", str(error))
            return True
        try:
            while not self._transport.send(key=key, value=value):
                if self.closing and self._monotonic() >= self._deadline:
                    return False
                self._warn_of_drops()
                self._poll_or_wait()
                self._round_done.set()
        except Exception as error:  # noqa: BLE001 - the port allows any: the record cannot be sent
            self._drop_in_flight("delivery_failed", str(error))
        return True

    def _poll_or_wait(self) -> None:
        before = self._in_flight
        if before:
            self._transport.poll(self._interval_seconds)
        if self._in_flight == before:  # nothing came, perhaps at once: do not spin
            self._wake.wait(self._interval_seconds)
        self._wake.clear()

    def _reported(self, error: str) -> None:
        if error:
            self._drop_in_flight("delivery_failed", error)
            return
        with self._lock:
            if not self._settled:
                self._in_flight -= 1
                self._delivered += 1

    def _drop_in_flight(self, reason: DropReason, error: str) -> None:
        with self._lock:
            if not self._settled:
                self._in_flight -= 1
                # What is refused after the deadline was refused because of it: the transport was told to give up.
                late = self.closing and self._monotonic() >= self._deadline
                self._dropped["close_deadline" if late and reason == "delivery_failed" else reason] += 1
        self._last_error = error

    def _settle(self) -> None:
        with self._lock:
            if not self._settled:
                self._give_up_rest("close_deadline")
                self._dropped["close_deadline"] += self._in_flight
                self._in_flight = 0
                self._settled = True

    def _give_up_rest(self, reason: DropReason) -> None:
        rest = len(self.buffer)
        for _ in range(rest):
            self.buffer.popleft()
        self._taken += rest
        self._dropped[reason] += rest

    def _warn_of_drops(self) -> None:
        now = self._monotonic()
        if now - self._warned_at < _WARN_SECONDS:
            return
        dropped = self.stats().dropped
        total = sum(dropped.values())
        if total > self._warned_of:
            reasons = ", ".join(f"{reason} {count}" for reason, count in dropped.items() if count)
            why = f" The last error: {self._last_error}." if self._last_error else ""
            _logger.warning("%d hits were dropped so far (%s); the test results lack them.%s", total, reasons, why)
            self._warned_at, self._warned_of = now, total
