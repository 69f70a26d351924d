"""What the background thread does with hits: encode, send, spool, replay. One step at a time, none of which waits."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from usersplit._hit_accounting import DropReason, HitAccount
from usersplit._hit_buffer import HitBuffer
from usersplit._hit_encoding import HitEncoder
from usersplit._hit_record import HITS_PER_BATCH, RANDOM_BYTES_PER_BATCH
from usersplit._hit_spool import HitSpool, Segment
from usersplit._hit_transport import HitTransport, Record, Refusal

_ADOPT_SECONDS: Final = 30.0
_DRAIN_SECONDS: Final = 5.0
_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 60.0


@dataclass(slots=True)
class _Replay:
    """A segment on its way from the disk to the broker. Without one, it waits until nothing else is on its way."""

    give_up_at: float
    segment: Segment | None = None
    records: list[Record] = field(default_factory=list)
    sent: int = 0
    refused: int = 0
    refused_for_good: int = 0
    error: str = ""


class HitSender:
    """Moves hits from the buffer to the transport, or to the spool and back. For one thread at a time.

    The transport does not say which records were acknowledged, only how many are not yet. So a segment of the spool is
    replayed alone: fresh hits wait until it is through, some tens of milliseconds, and the other way round.

    With `write_ahead` every hit goes to the spool first, and only from there to the transport: a segment is written
    while the one before it is on its way, and deleted when all of it is acknowledged.
    """

    def __init__(  # noqa: PLR0913 - its parts, all by name
        self,
        *,
        buffer: HitBuffer,
        account: HitAccount,
        transport: HitTransport,
        encoder: HitEncoder,
        spool: HitSpool | None,
        random_bytes: Callable[[int], bytes],
        write_ahead: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._buffer = buffer
        self._account = account
        self._transport = transport
        self._encoder = encoder
        self._spool = spool
        self._random_bytes = random_bytes
        self._write_ahead = write_ahead
        self._monotonic = monotonic
        self._pending: list[Record] = []
        self._refused: list[Record] = []
        self._replay: _Replay | None = None
        self._replay_at = self._adopt_at = float("-inf")
        self._pause_seconds = _FIRST_PAUSE_SECONDS
        self.out_of_time = False
        transport.bind(self._note_refusal)

    @property
    def has_ended(self) -> bool:
        """Whether nothing is on its way, but for what waits on the disk; what was written ahead is on its way."""
        if self._buffer.hits or self._account.in_hand or self.is_replaying:
            return False
        return not self._write_ahead or self._spool is None or self._spool.is_empty

    @property
    def is_replaying(self) -> bool:
        """Whether a segment of the spool is on its way."""
        return self._replay is not None and self._replay.segment is not None

    def step(self, *, closing: bool) -> bool:
        """Do what can be done at once; answer whether anything moved."""
        moved = False
        if self._spool is not None:
            if self._write_ahead:
                moved = self._write_next(self._spool)
            self._look_at_spool(self._spool, closing=closing)
        if self._replay is not None and self._spool is not None:
            moved = self._replay_on(self._replay, self._spool, closing=closing) or moved
        else:
            if not self._pending and not self._write_ahead:
                self._encode_next()
            moved = self._send_pending() or moved
        before = self._account.in_hand
        self.poll(0)
        if not moved and self._spool is not None and self._buffer.is_nearly_full:
            self._spill(self._spool)
        return moved or self._account.in_hand < before

    def poll(self, timeout_seconds: float) -> None:
        """Learn from the transport what became of records; wait at most so long for the first of it."""
        self._transport.poll(timeout_seconds)
        self._count_acknowledged()
        self._spool_refused()

    def finish(self, timeout_seconds: float) -> None:
        """Let go of the transport; what is not acknowledged by then goes to the spool, if there is one."""
        self._transport.close(timeout_seconds)
        self._count_acknowledged()
        if self._spool is not None:
            self._spool_refused()
            while self._pending or self._encode_next():
                if not self._spool_pending(self._spool):
                    break
            self._spool.close()

    def after_fork_in_child(self) -> None:
        """Start from nothing."""
        self._pending, self._refused, self._replay = [], [], None
        self._replay_at = self._adopt_at = float("-inf")
        self._transport.abandon()
        if self._spool is not None:
            self._spool.abandon()

    def _encode_next(self) -> bool:
        with self._account.lock:
            if self._account.settled:
                return False
            batch = self._buffer.take(HITS_PER_BATCH)
            self._account.take(len(batch))
        if batch:
            encoded = self._encoder.encode(batch, self._random_bytes(RANDOM_BYTES_PER_BATCH))
            self._pending = encoded.records
            if encoded.failures:
                self._account.drop("encoding_failed", len(encoded.failures), encoded.failures[-1])
        return bool(batch)

    def _send_pending(self) -> bool:
        if not self._pending:
            return False
        taken = self._transport.send(self._pending)
        del self._pending[:taken]
        return taken > 0

    def _count_acknowledged(self) -> None:
        if self.is_replaying:
            return  # what is on its way now is no fresh hit
        here = len(self._pending) + len(self._refused)
        acknowledged = self._account.in_hand - here - self._transport.outstanding()
        if acknowledged > 0:
            self._account.deliver(acknowledged)

    def _note_refusal(self, refusal: Refusal) -> None:
        replay = self._replay
        if replay is not None and replay.segment is not None:
            replay.error = refusal.error
            if refusal.permanent:
                replay.refused_for_good += 1
            else:
                replay.refused += 1
        elif self._spool is not None and not refusal.permanent:
            self._refused.append(refusal.record)
            self._account.last_error = refusal.error
        else:
            self._account.drop(self._reason, 1, refusal.error)

    @property
    def _reason(self) -> DropReason:
        # What is refused after the deadline was refused because of it: the transport was told to give up.
        return "close_deadline" if self.out_of_time else "delivery_failed"

    def _spool_refused(self) -> None:
        refused, self._refused = self._refused, []
        while refused and self._spool is not None:
            safe = self._spool.append(refused[:HITS_PER_BATCH])
            self._account.spool(safe)
            if not safe:
                self._account.drop(self._reason, len(refused))
                return
            del refused[:safe]

    def _write_next(self, spool: HitSpool) -> bool:
        """Encode hits and write them ahead. Without room on the disk they are sent as if there were no spool."""
        if not self._pending and not self._encode_next():
            return False
        return self._spool_pending(spool)

    def _spill(self, spool: HitSpool) -> None:
        """The broker takes nothing and callers will soon find no room: make room, on the disk."""
        while self._buffer.is_nearly_full and (self._pending or self._encode_next()):
            if not self._spool_pending(spool):
                return  # no room on the disk either: they stay where they are

    def _spool_pending(self, spool: HitSpool) -> bool:
        if not self._pending:
            return True  # nothing of the batch could be encoded
        safe = spool.append(self._pending)
        self._account.spool(safe)
        del self._pending[:safe]
        return not self._pending

    def _look_at_spool(self, spool: HitSpool, *, closing: bool) -> None:
        if closing and not self._write_ahead:
            return
        now = self._monotonic()
        if now >= self._adopt_at and not closing:
            self._adopt_at = now + _ADOPT_SECONDS
            spool.adopt()
        calm = self._write_ahead or len(self._buffer.hits) <= HITS_PER_BATCH
        if self._replay is None and now >= self._replay_at and not self._pending and calm and not spool.is_empty:
            self._replay = _Replay(give_up_at=now + _DRAIN_SECONDS)

    def _replay_on(self, replay: _Replay, spool: HitSpool, *, closing: bool) -> bool:
        if replay.segment is None:
            return self._begin_replay(replay, spool, closing=closing)
        if replay.sent < len(replay.records):
            taken = self._transport.send(replay.records[replay.sent : replay.sent + HITS_PER_BATCH])
            replay.sent += taken
            return taken > 0
        if self._transport.outstanding():
            return False
        self._replay = None
        if replay.refused:
            spool.keep(replay.segment)
            self._account.last_error = replay.error
            self._replay_at = self._monotonic() + self._pause_seconds
            self._pause_seconds = min(2 * self._pause_seconds, _LONGEST_PAUSE_SECONDS)
            return False
        self._pause_seconds = _FIRST_PAUSE_SECONDS
        spool.remove(replay.segment)
        delivered = len(replay.records) - replay.refused_for_good
        self._account.replayed(delivered, replay.refused_for_good, replay.error)
        return True

    def _begin_replay(self, replay: _Replay, spool: HitSpool, *, closing: bool) -> bool:
        now = self._monotonic()
        if (closing and not self._write_ahead) or now >= replay.give_up_at:
            self._replay, self._replay_at = None, now + _FIRST_PAUSE_SECONDS
            return closing
        if self._account.in_hand:
            return False
        replay.segment = spool.oldest()
        if replay.segment is None:
            self._replay = None
        else:
            replay.records = spool.read(replay.segment)
        return True
