"""Configs from a directory with one file per test, as an agent keeps it on every server."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from usersplit._config_directory import ConfigDirectory
from usersplit._reloaded_configs import ReloadedConfigs


class DirectoryConfigs(ReloadedConfigs):
    """Configs from files, reloaded in the background while the service runs.

    A check reads a mapping in memory: no lock, no look at the disk. A daemon thread looks for changed files every
    `reload_seconds` and replaces the mapping as a whole. Torn, foreign, older and future files change nothing: the
    last good config of the test stays, one warning is logged per version of the file, `problems()` tells.

    A directory that does not exist is no exception either: every test is unknown until it appears.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        reload_seconds: float = 1.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read the directory once, here; then keep it fresh in the background."""
        super().__init__(ConfigDirectory(Path(path)), reload_seconds=reload_seconds, monotonic=monotonic)
