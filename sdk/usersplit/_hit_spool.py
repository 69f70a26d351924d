"""Hits on the disk: what cannot be delivered now waits in files, for this process or for another one.

    spool_directory/
        4711-9f86d081/          of one process, which holds a lock on `lock` as long as it lives
            lock
            0000000001.hits     segments, the oldest first
            0000000002.hits

A process that ends leaves its segments behind without the lock; the next one that looks takes them over. A write is
not synced to the disk: hits survive the end of the process, however violent, but not a power cut.
"""

import errno
import logging
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from usersplit._hit_accounting import DropReason
from usersplit._hit_transport import Record
from usersplit._spool_segments import block_of, read_segment

_logger = logging.getLogger("usersplit.hits")

_SEGMENT_BYTES: Final = 4 * 2**20
_SEGMENTS_AT_LEAST: Final = 4  # so that dropping the oldest one never drops most of what waits
_LOCK: Final = "lock"
_SUFFIX: Final = ".hits"


@dataclass(slots=True)
class Segment:
    """A file of the spool: how many hits and bytes were written to it."""

    path: Path
    hits: int = 0
    size: int = 0
    being_read: bool = False


class HitSpool:
    """The spool of one process, in a directory that many processes may share. For one thread at a time.

    No method but `remove` and `read` raises for what the disk does; what could not be written stays with the caller.

    Args:
        directory: where the processes of this server keep their spools. On a disk of this server: locks on a network's
            file system may not hold.
        max_bytes: the cap of this process. Beyond it the oldest segments are deleted.
        lost: told of hits that were deleted, or cannot be read any more.
        recovered: told of hits that were found in the spools of processes that are gone.
        random_bytes: makes the name of this process's own directory unique.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        max_bytes: int,
        lost: Callable[[DropReason, int], None],
        recovered: Callable[[int], None],
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._directory = Path(directory)
        self._max_bytes = max_bytes
        self._segment_bytes = min(_SEGMENT_BYTES, max_bytes // _SEGMENTS_AT_LEAST)
        self._lost = lost
        self._recovered = recovered
        self._random_bytes = random_bytes
        self._begin()

    def _begin(self) -> None:
        self._own: Path | None = None
        self._lock = -1
        self._written = -1
        self._number = 0
        self._segments: list[Segment] = []

    @property
    def is_empty(self) -> bool:
        """Whether no hit waits."""
        return not self._segments

    def append(self, records: Sequence[Record]) -> int:
        """Write the records as one block; return how many of them are safe now: all, or those from the front."""
        block = block_of(records)
        if len(block) > self._segment_bytes:
            return self._append_halves(records)
        try:
            if self._written < 0 or self._segments[-1].size + len(block) > self._segment_bytes:
                self._start_segment()
            self._make_room(len(block))
            segment = self._segments[-1]
            if os.write(self._written, block) < len(block):
                # No block stays behind that is there in part; the next one may find room.
                os.ftruncate(self._written, segment.size)
                os.lseek(self._written, segment.size, os.SEEK_SET)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # noqa: TRY301 - as the whole write says it
        except OSError as error:
            _logger.warning("Hits could not be written to the spool %s: %s", self._directory, error)
            return 0
        segment.hits += len(records)
        segment.size += len(block)
        return len(records)

    def oldest(self) -> Segment | None:
        """Return the segment that has waited longest. It is neither written nor deleted until `remove` or `keep`."""
        if len(self._segments) == 1:
            self._finish_segment()
        if not self._segments:
            return None
        self._segments[0].being_read = True
        return self._segments[0]

    def read(self, segment: Segment) -> list[Record]:
        """Return the records of a segment that `oldest` gave. The damaged ones among its own are reported lost."""
        try:
            records = read_segment(segment.path)
        except OSError as error:
            _logger.warning("The spool's segment %s could not be read: %s", segment.path, error)
            records = []
        if len(records) < segment.hits:
            self._lost("spool_damaged", segment.hits - len(records))
            segment.hits = len(records)
        return records

    def keep(self, segment: Segment) -> None:
        """Leave a segment that `oldest` gave for later."""
        segment.being_read = False

    def remove(self, segment: Segment) -> None:
        """Delete a segment, if it is still there."""
        if segment in self._segments:
            self._segments.remove(segment)
        segment.path.unlink(missing_ok=True)

    def adopt(self) -> None:
        """Take over the segments of processes that are gone."""
        try:
            found = sorted(path for path in self._directory.iterdir() if not path.name.startswith("."))
            for orphan in found:
                lock = -1 if orphan == self._own else _locked(orphan / _LOCK)
                if lock >= 0:
                    try:
                        self._adopt_one(orphan)
                    finally:
                        os.close(lock)
        except FileNotFoundError:
            pass  # there is no spool yet, or another process was quicker
        except OSError as error:
            _logger.warning("The spool %s could not be searched: %s", self._directory, error)

    def close(self) -> None:
        """Let others take over what waits. Idempotent."""
        self._finish_segment()
        if self._own is not None:
            if not self._segments:
                with suppress(OSError):
                    (self._own / _LOCK).unlink()
                    self._own.rmdir()
            os.close(self._lock)
        self._begin()

    def abandon(self) -> None:
        """Forget everything inherited from a parent process. Its lock stays its own: a child only closes its copy."""
        for descriptor in (self._written, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._begin()

    def _append_halves(self, records: Sequence[Record]) -> int:
        half = len(records) // 2
        if not half:
            return 0
        safe = self.append(records[:half])
        return safe if safe < half else safe + self.append(records[half:])

    def _adopt_one(self, orphan: Path) -> None:
        for path in sorted(orphan.glob(f"*{_SUFFIX}")):
            segment = Segment(path, len(read_segment(path)), path.stat().st_size)
            segment.path = path.rename(self._directory_of_its_own() / self._next_name())
            # Before the one that is being written: that stays the last.
            self._segments.insert(len(self._segments) - (self._written >= 0), segment)
            self._recovered(segment.hits)
        with suppress(OSError):
            (orphan / _LOCK).unlink()
            orphan.rmdir()

    def _directory_of_its_own(self) -> Path:
        if self._own is None:
            name = f"{os.getpid()}-{self._random_bytes(8).hex()}"
            # Made under a name that nobody adopts, and renamed when the lock is held.
            new = self._directory / f".{name}"
            new.mkdir(parents=True, mode=0o700)
            self._lock = os.open(new / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
            _flock(self._lock)
            self._own = new.rename(self._directory / name)
        return self._own

    def _next_name(self) -> str:
        self._number += 1
        return f"{self._number:010d}{_SUFFIX}"

    def _start_segment(self) -> None:
        self._finish_segment()
        path = self._directory_of_its_own() / self._next_name()
        self._written = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._segments.append(Segment(path))

    def _finish_segment(self) -> None:
        if self._written >= 0:
            os.close(self._written)
            self._written = -1
            if not self._segments[-1].hits:
                self.remove(self._segments[-1])

    def _make_room(self, size: int) -> None:
        total = sum(segment.size for segment in self._segments) + size
        for oldest in [segment for segment in self._segments[:-1] if not segment.being_read]:
            if total <= self._max_bytes:
                break
            self.remove(oldest)
            total -= oldest.size
            self._lost("spool_full", oldest.hits)


def _locked(path: Path) -> int:
    """Return a descriptor of the file with its lock held, or -1: its process is alive, or there is nothing to lock."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return -1
    try:
        _flock(descriptor)
    except OSError:
        os.close(descriptor)
        return -1
    return descriptor


def _flock(descriptor: int) -> None:
    """Take the lock, which its process holds until it ends, without waiting for it."""
    import fcntl  # noqa: PLC0415 - there is none on Windows, where services do without a spool

    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
