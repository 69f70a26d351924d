"""The coconut store of the demo, as a process of its own."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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
    started: list[subprocess.Popen[str]] = []
    try:
        # Ctrl-C is raised in the main thread: there it could fall between the store's start and our knowing of it.
        with ThreadPoolExecutor(1) as starter:
            starter.submit(lambda: started.append(_start(usersplit))).result()
        yield _address_of(started[0])
    finally:
        for process in started:
            process.terminate()
            process.wait(timeout=60)
            if process.stdout is not None:
                process.stdout.close()


def _start(usersplit: EmbeddedUserSplit) -> "subprocess.Popen[str]":
    return subprocess.Popen(  # noqa: S603 - our own interpreter and example
        [
            *(sys.executable, "-m", "examples.coconut_store"),
            *("--configs", str(usersplit.config_directory)),
            *("--kafka", usersplit.embedded_broker.bootstrap_servers),
            *("--port", "0"),
        ],
        cwd=_ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )


def _address_of(store: "subprocess.Popen[str]") -> str:
    said = store.stdout.readline() if store.stdout is not None else ""
    found = re.search(r"http://[^/]+", said)
    if found is None:
        raise StoreClosed(
            "the coconut store did not open; run it alone to see why: python -m examples.coconut_store --help"
        )
    return found[0]
