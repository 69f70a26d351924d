"""The file that a walk writes users to: identifiers as JSON, one a line, so that an interrupted walk can go on."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

_TAIL_BYTES: Final = 64 * 1024
"""Room for any last line: an identifier is at most a few hundred characters."""


class NothingToResume(Exception):
    """There is no file to go on with."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"there is no file {path} to go on with; walk without --resume")


class FileIsThere(Exception):
    """A walk never overwrites what an earlier one wrote."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is there already; go on with --resume, or name another file")


class NotAWalk(Exception):
    """The file was written by something else."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"the last line of {path} is no identifier of a user; it was not written by a walk")


class WalkFile:
    """A file that whole batches are appended to. `last` is the identifier in its last whole line, None without one."""

    def __init__(self, file: BinaryIO, last: int | str | None) -> None:
        self._file = file
        self.last = last

    @classmethod
    def open(cls, path: Path, *, resume: bool) -> Self:
        """Open a new file, or one that an interrupted walk left; a line that it left half written is cut off.

        Raises:
            FileIsThere, NothingToResume, NotAWalk: see there.
        """
        if not resume:
            try:
                return cls(path.open("xb"), None)
            except FileExistsError as error:
                raise FileIsThere(path) from error
        try:
            file = path.open("r+b")
        except FileNotFoundError as error:
            raise NothingToResume(path) from error
        try:
            return cls(file, _cut_to_last_whole_line(file, path))
        except BaseException:
            file.close()
            raise

    def write(self, text: str) -> None:
        """Append whole lines, and bring them to the disk: what was written is not walked again."""
        self._file.write(text.encode())
        self._file.flush()
        os.fsync(self._file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()


def lines_of(users: Iterable[int | str]) -> str:
    """Return identifiers as lines."""
    return "".join(f"{json.dumps(user, ensure_ascii=False)}\n" for user in users)


def _cut_to_last_whole_line(file: BinaryIO, path: Path) -> int | str | None:
    size = file.seek(0, os.SEEK_END)
    begin = max(0, size - _TAIL_BYTES)
    file.seek(begin)
    tail = file.read()
    end = tail.rfind(b"\n") + 1
    if not end and begin:
        raise NotAWalk(path)
    lines = tail[:end].splitlines()
    last = None
    if lines:
        try:
            last = json.loads(lines[-1])
        except ValueError as error:
            raise NotAWalk(path) from error
        if not isinstance(last, int | str) or isinstance(last, bool):
            raise NotAWalk(path)
    file.truncate(begin + end)
    file.seek(0, os.SEEK_END)
    return last
