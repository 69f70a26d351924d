"""The coconut store of the demo, as a process of its own."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from entrypoints.embedded import EmbeddedUserSplit

_ROOT: Final = Path(__file__).parents[1]


class StoreClosed(Exception):
    """The coconut store did not open."""


@contextmanager
def coconut_store(usersplit: EmbeddedUserSplit) -> Iterator[str]:
    """Run the store as a process of its own; end it in a way that lets it deliver its last hits."""
    port = free_port()
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and example
        [
            *(sys.executable, "-m", "examples.coconut_store"),
            *("--configs", str(usersplit.config_directory)),
            *("--kafka", usersplit.embedded_broker.bootstrap_servers),
            *("--port", str(port)),
        ],
        cwd=_ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        if process.stdout is None or not process.stdout.readline():
            raise StoreClosed(
                "the coconut store did not open; run it alone to see why: python -m examples.coconut_store --help"
            )
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=15)
        if process.stdout is not None:
            process.stdout.close()


def free_port(usual: int = 0) -> int:
    """Return a free port of this machine: the usual one if it is free."""
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", usual))
        except OSError:
            return free_port()
        port: int = listener.getsockname()[1]
        return port
