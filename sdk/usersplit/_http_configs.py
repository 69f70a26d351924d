"""Configs from a server over HTTP, for services on machines without an agent."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from usersplit._config_download import ConfigDownload
from usersplit._http_wire import HttpWire
from usersplit._reloaded_configs import ReloadedConfigs


class HttpConfigs(ReloadedConfigs):
    """Configs downloaded from `serve`, and asked for again in the background while the service runs.

    A check reads a mapping in memory, as with `DirectoryConfigs`: it never waits for the network. The server is asked
    with the ETag of the answer in hand, so that an answer is sent only after a change. While the server is away, or
    sends what is no config, everything stays as it is: `staleness_seconds()` grows, `problems()` tells, one warning is
    logged.

    Args:
        url: of the server, such as "https://usersplit.example.com".
        token: an API token with the scope `read`.
        reload_seconds: how long to wait between two questions.
        timeout_seconds: how long one may take. Making the object asks once, and so waits that long at most.
        cache_file: a file that keeps the last good answer. A service that starts while the server is away begins with
            it; without one, every test is unknown until the server answers. The processes of a server may share it.
        monotonic: the clock of staleness.

    Raises:
        InvalidSetting: an address or a token that cannot be one. A server that is away is no error.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str,
        reload_seconds: float = 10.0,
        timeout_seconds: float = 5.0,
        cache_file: str | os.PathLike[str] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask the server once, here; then keep the configs fresh in the background."""
        wire = HttpWire(url, token, timeout_seconds=timeout_seconds)
        super().__init__(
            ConfigDownload(wire, None if cache_file is None else Path(cache_file)),
            reload_seconds=reload_seconds,
            monotonic=monotonic,
        )
