"""An ASGI application behind a real port, and programs of Node that ask it."""

import fcntl
import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import pytest
import uvicorn
from starlette.types import ASGIApp

from tests.support.terminal import wait_until
from tests.support.tiers import remember

JAVASCRIPT: Final = Path(__file__).parent / "javascript"


@contextmanager
def behind_a_port(app: ASGIApp, *, port: int = 0) -> Iterator[str]:
    """Serve `app` in a thread until the end of the block; yield its address."""
    listener = socket.create_server(("127.0.0.1", port))
    config = uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="uvicorn", daemon=True)
    thread.start()
    try:
        wait_until("uvicorn listens", lambda: server.started)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()


@pytest.fixture(scope="session")
def node(request: pytest.FixtureRequest) -> str:
    """The program `node`, with the packages of tests/support/javascript installed; missing: skipped, or a failure."""
    found, npm = shutil.which("node"), shutil.which("npm")
    if found is None or npm is None:
        remember(request.config, "Node", "missing, its clients were not run")
        if os.environ.get("REQUIRE_REAL"):
            pytest.fail("Node and npm are needed: apt-get install nodejs npm")
        pytest.skip("Node and npm are not installed")
    install_packages(npm, JAVASCRIPT)
    remember(request.config, "Node", "real")
    return found


def install_packages(npm: str, place: Path) -> None:
    """Install what package-lock.json says, unless that is there; once for all processes that ask at the same time."""
    wanted, mark = place / "package-lock.json", place / "node_modules" / ".installed"
    with wanted.open(encoding="utf-8") as held:
        # npm begins by removing what is there, be it in use by another process of the same tests.
        fcntl.flock(held, fcntl.LOCK_EX)
        if not mark.exists() or mark.read_text() != wanted.read_text():
            command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
            subprocess.run(command, cwd=place, check=True, capture_output=True)
            mark.write_text(wanted.read_text())


class Program:
    """A program of Node that answers in JSON lines."""

    def __init__(self, process: "subprocess.Popen[str]", said: IO[str], asked: IO[str]) -> None:
        self.process = process
        self._said = said
        self._asked = asked

    def hear(self) -> dict[str, Any]:
        """Return the next line that it says."""
        line = self._said.readline()
        if not line:
            pytest.fail(f"the program ended: {self.process.wait()}")
        heard: dict[str, Any] = json.loads(line)
        return heard

    def hear_of(self, event: str) -> dict[str, Any]:
        """Return the next line with this `event`."""
        while (heard := self.hear())["event"] != event:
            pass
        return heard

    def tell(self, document: Any) -> None:
        """Send it a line."""
        self._asked.write(json.dumps(document) + "\n")
        self._asked.flush()

    def ask(self, document: Any) -> dict[str, Any]:
        """Send it a line, and return its answer."""
        self.tell(document)
        return self.hear()


@contextmanager
def program(node: str, script: str, arguments: Sequence[str]) -> Iterator[Program]:
    """Run a script of tests/support/javascript until the end of the block."""
    command = [node, str(JAVASCRIPT / script), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=JAVASCRIPT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Program(process, process.stdout, process.stdin)
        finally:
            process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
