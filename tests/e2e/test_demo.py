"""The demo, as `make demo ONCE=1` runs it: on embedded parts, in a process of its own."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from entrypoints import demo
from entrypoints.demo_store import StoreClosed, coconut_store
from tests.support.terminal import wait_until

ROOT = Path(__file__).parents[2]
USERSPLIT: Any = SimpleNamespace(
    config_directory=Path("/nowhere"), embedded_broker=SimpleNamespace(bootstrap_servers="127.0.0.1:1")
)


@pytest.mark.long
def test_the_demo_runs_through_and_its_numbers_agree(tmp_path: Path) -> None:
    outcome = subprocess.run(
        [sys.executable, "-W", "error", "-m", "entrypoints", "demo", "--once", "--directory", str(tmp_path / "demo")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "none lost, none twice" in outcome.stdout
    assert "All numbers agree." in outcome.stdout
    assert outcome.stderr == "", "somebody who sees it for the first time is alarmed by every warning"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks for processes as Linux shows them")
def test_a_demo_that_is_told_to_end_takes_its_store_along(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "entrypoints", "demo", "--directory", str(tmp_path / "demo")],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        wait_until("its store has begun", lambda: processes_with(str(tmp_path), "examples.coconut_store"))
        running.terminate()
        assert running.wait(90) == 130
    assert not processes_with(str(tmp_path), "examples.coconut_store")


@pytest.fixture
def _sigterm_is_ctrl_c() -> Iterator[None]:
    """As the demo has it."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("_sigterm_is_ctrl_c")
def test_a_demo_that_is_told_to_end_while_its_store_starts_takes_it_along(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[str]] = []
    start = subprocess.Popen

    def start_and_be_told_to_end(_command: list[str], **settings: Any) -> "subprocess.Popen[str]":
        started.append(start(["sleep", "600"], **settings))
        signal.raise_signal(signal.SIGTERM)
        return started[0]

    monkeypatch.setattr(subprocess, "Popen", start_and_be_told_to_end)
    try:
        with pytest.raises(KeyboardInterrupt), coconut_store(USERSPLIT):
            pass
        assert [store.poll() for store in started] == [-signal.SIGTERM]
    finally:
        for store in started:
            store.kill()
            store.wait()


def test_a_store_that_does_not_open_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    start = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda _command, **settings: start(["true"], **settings))
    with pytest.raises(StoreClosed, match="run it alone"), coconut_store(USERSPLIT):
        pass


def test_demos_at_once_take_each_a_port_of_its_own_for_their_pages() -> None:
    with demo._listening() as one, demo._listening() as other:
        assert one.getsockname() != other.getsockname()


def processes_with(*words: str) -> list[str]:
    """Return the command lines that hold all of `words`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            found.append((process / "cmdline").read_text().replace("\0", " "))
    return [line for line in found if all(word in line for word in words)]


def test_the_demo_leaves_a_directory_alone_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    outcome = subprocess.run(
        [sys.executable, "-m", "entrypoints", "demo", "--once", "--directory", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert outcome.returncode == 2
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
