"""Reading a directory of config files: what changed since the last look, and what is wrong with which file."""

import os
import stat
import time
from pathlib import Path
from typing import Final, TypeAlias

from usersplit._config_problems import ConfigProblems
from usersplit._config_set import Published
from usersplit._documents import Config, parse_config, unknown_without
from usersplit._errors import UnreadableConfig

SUFFIX: Final = ".json"
LARGEST_FILE_BYTES: Final = 16 * 1024 * 1024

FileVersion: TypeAlias = tuple[int, int, int]
"""Modification time in nanoseconds, size in bytes and inode: a file that was replaced or rewritten differs in one."""


class ConfigDirectory:
    """The files of one directory, looked at again and again by one thread at a time.

    What it read is published as a whole: whoever holds a set keeps one consistent picture.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.published = Published()
        self.problems = ConfigProblems()
        self._versions: dict[str, FileVersion] = {}

    def look(self) -> bool:
        """Take what is new; answer whether the directory could be read. Raises nothing for whatever it finds there.

        A file that is gone is a test that is unknown from now on. A directory that cannot be read says nothing about
        its files, so everything stays.
        """
        try:
            found = self._list()
        except OSError as error:
            self.problems.report(
                "", f"The directory {self._path} cannot be read ({error}); the configs in hand stay in force."
            )
            self.problems.publish()
            return False
        self.problems.keep_only(set(found))
        before = self.published.current
        configs = {place: config for place, config in before.by_place.items() if place + SUFFIX in found}
        versions = {name: version for name, version in self._versions.items() if name in found}
        has_changed = len(configs) != len(before.by_place)
        for name, version in found.items():
            if version is None or versions.get(name) != version:
                has_changed = self._take(name, configs, versions) or has_changed
                time.sleep(0)  # a look at many files must not hold up the threads that check
        # In this order: a fork in between leaves the child with files to read again, not with files it never read.
        if has_changed:
            self.published.publish(configs)
        self._versions = versions
        self.problems.publish()
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

    def _take(  # noqa: PLR0911 - each way out is one thing that can be wrong with a file
        self, name: str, configs: dict[str, Config], versions: dict[str, FileVersion]
    ) -> bool:
        """Read one file; answer whether `configs` has changed."""
        place = name.removesuffix(SUFFIX)
        known = configs.get(place)
        meanwhile = unknown_without(place) if known is None else "The last good config stays in force."
        try:
            text, versions[name] = _read(self._path / name)
            config = parse_config(text, place=place)
        except FileNotFoundError:
            return False  # removed since it was listed: the next look forgets it
        except OSError as error:
            # Without a version of its own it is tried again on every look: permissions may be mended.
            versions.pop(name, None)
            self.problems.report(name, f"The file {name} cannot be read ({error}); make it readable. {meanwhile}")
            return False
        except UnreadableConfig as error:
            self.problems.report(name, f"{error} {meanwhile}")
            return False
        if config is None and known is not None:
            self.problems.report(
                name,
                f"The file {name} was the config of a test and is a document of another kind now; restart the agent, "
                f"which lays it out again. {meanwhile}",
            )
            return False
        if config is not None and known is not None and config.position < known.position:
            self.problems.report(
                name,
                f"The file {name} is older (position {config.position}) than the config in hand "
                f"({known.position}); it is ignored. If it is the right one, restart this service.",
            )
            return False
        self.problems.mend(name)
        if config is None:
            return False
        # At the same position too: the same facts, in other words, or a damaged file that was repaired.
        configs[place] = config
        return True


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
