"""Reading a directory of config files: what changed since the last look, and what is wrong with which file."""

import logging
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from usersplit._config import SplitTestConfig, parse_config
from usersplit._errors import UnreadableConfig

SUFFIX: Final = ".json"
LARGEST_FILE_BYTES: Final = 16 * 1024 * 1024

_logger = logging.getLogger("usersplit.configs")

FileVersion: TypeAlias = tuple[int, int, int]
"""Modification time in nanoseconds, size in bytes and inode: a file that was replaced or rewritten differs in one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigProblem:
    """Why a file is not in force as it is. The last good document of the test stays, where there was one.

    Attributes:
        file: the file's name; "" for the directory itself.
        reason: a sentence that says what to do.
    """

    file: str
    reason: str


class ConfigDirectory:
    """The files of one directory, looked at again and again by one thread at a time.

    `configs` is replaced, never changed: whoever holds it keeps one consistent picture.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.configs: dict[str, SplitTestConfig] = {}
        self.problems: tuple[ConfigProblem, ...] = ()
        self._versions: dict[str, FileVersion] = {}
        self._problem_by_file: dict[str, ConfigProblem] = {}

    def look(self) -> bool:
        """Take what is new; answer whether the directory could be read. Raises nothing for whatever it finds there.

        A file that is gone is a test that is unknown from now on. A directory that cannot be read says nothing about
        its files, so everything stays.
        """
        try:
            found = self._list()
        except OSError as error:
            self._report("", f"The directory {self._path} cannot be read ({error}); the configs in hand stay in force.")
            self.problems = tuple(self._problem_by_file.values())
            return False
        self._problem_by_file.pop("", None)
        configs = {key: config for key, config in self.configs.items() if key + SUFFIX in found}
        versions = {name: version for name, version in self._versions.items() if name in found}
        for gone in self._problem_by_file.keys() - found.keys():
            del self._problem_by_file[gone]
        for name, version in found.items():
            if version is None or versions.get(name) != version:
                self._take(name, configs, versions)
        # In this order: a fork in between leaves the child with files to read again, not with files it never read.
        self.configs = configs
        self._versions = versions
        self.problems = tuple(self._problem_by_file.values())
        return True

    def _list(self) -> dict[str, FileVersion | None]:
        """Return the version of each file, None for one that is there and cannot be looked at."""
        found: dict[str, FileVersion | None] = {}
        with os.scandir(self._path) as entries:
            for entry in entries:
                # A name with a leading dot is a file that is being written, to be moved into place.
                if entry.name.endswith(SUFFIX) and not entry.name.startswith("."):
                    try:
                        found[entry.name] = _version(entry.stat())
                    except FileNotFoundError:
                        continue  # removed since it was listed
                    except OSError:
                        # One bad entry must not freeze the others; reading it will say what is wrong with it.
                        self._require_searchable(entry)
                        found[entry.name] = None
        return found

    def _require_searchable(self, entry: os.DirEntry[str]) -> None:
        # Denied even without following a link, it is the directory that denies, and every file in it.
        try:
            entry.stat(follow_symlinks=False)
        except PermissionError:
            raise
        except OSError:
            return

    def _take(self, name: str, configs: dict[str, SplitTestConfig], versions: dict[str, FileVersion]) -> None:
        key = name.removesuffix(SUFFIX)
        known = configs.get(key)
        meanwhile = "The test is unknown." if known is None else "The last good config stays in force."
        try:
            text, versions[name] = _read(self._path / name)
            config = parse_config(text, key=key)
        except FileNotFoundError:
            return  # removed since it was listed: the next look forgets it
        except OSError as error:
            # Without a version of its own it is tried again on every look: permissions may be mended.
            versions.pop(name, None)
            self._report(name, f"The file {name} cannot be read ({error}); make it readable. {meanwhile}")
            return
        except UnreadableConfig as error:
            self._report(name, f"{error} {meanwhile}")
            return
        if config is None and known is not None:
            self._report(
                name,
                f"The file {name} was the config of a test and is a document of another kind now; restart the agent, "
                f"which lays it out again. {meanwhile}",
            )
            return
        if config is not None and known is not None and config.position < known.position:
            self._report(
                name,
                f"The file {name} is older (position {config.position}) than the config in hand "
                f"({known.position}); it is ignored. If it is the right one, restart this service.",
            )
            return
        if config is not None:
            # At the same position too: the same facts, in other words, or a damaged file that was repaired.
            configs[key] = config
        self._problem_by_file.pop(name, None)

    def _report(self, name: str, reason: str) -> None:
        problem = ConfigProblem(file=name, reason=reason)
        if self._problem_by_file.get(name) != problem:
            _logger.warning(reason)
        self._problem_by_file[name] = problem


def _version(status: os.stat_result) -> FileVersion:
    return status.st_mtime_ns, status.st_size, status.st_ino


def _read(path: Path) -> tuple[bytes, FileVersion]:
    """Return the file's bytes with the version of exactly the file that was read, whatever took its place since."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # opening a named pipe must not wait
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_FILE_BYTES:
            raise OSError(f"it is no regular file, or larger than {LARGEST_FILE_BYTES} bytes")
        # The descriptor is closed below: for a directory, open() would raise and leave it to us all the same.
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(), _version(status)
    finally:
        os.close(descriptor)
