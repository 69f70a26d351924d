"""The command line in tests: in this process where a command is short, as processes of their own where they stay."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from entrypoints.cli import main

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    exit_code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


class Terminal:
    """Runs commands of `python -m entrypoints` with the settings of a test."""

    def __init__(self, capsys: pytest.CaptureFixture[str], environment: Mapping[str, str]) -> None:
        self._capsys = capsys
        self.environment = dict(environment)

    def run(self, *arguments: str) -> Outcome:
        self._capsys.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("USERSPLIT_")]:
                patch.delenv(name)
            for name, value in self.environment.items():
                patch.setenv(name, value)
            patch.setenv("COLUMNS", "200")
            exit_code = _exit_code(arguments)
        printed = self._capsys.readouterr()
        return Outcome(exit_code=exit_code, out=printed.out, err=printed.err)

    def done(self, *arguments: str) -> str:
        """Run a command that must succeed; return what it printed."""
        outcome = self.run(*arguments)
        assert outcome.exit_code == 0, f"{arguments}: {outcome.err}{outcome.out}"
        return outcome.out

    def refused(self, *arguments: str) -> str:
        """Run a command that must be refused with a sentence; return the sentence."""
        outcome = self.run(*arguments)
        assert outcome.exit_code == 1, f"{arguments}: exit code {outcome.exit_code}, {outcome.err}{outcome.out}"
        assert "Traceback" not in outcome.err
        return outcome.err

    @contextmanager
    def process(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Run a command as a process of its own; end it with SIGTERM, and hold it against exit code 0."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("USERSPLIT_")}
        process = subprocess.Popen(
            [sys.executable, "-m", "entrypoints", *arguments],
            cwd=ROOT,
            env={**clean, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                said, _ = process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                said, _ = process.communicate()
        assert process.returncode == 0, f"{arguments} ended with {process.returncode}: {said}"


def _exit_code(arguments: Sequence[str]) -> int:
    try:
        main(list(arguments))
    except SystemExit as exited:
        return exited.code if isinstance(exited.code, int) else 1
    return 0


def wait_until(what: str, condition: Callable[[], object], *, timeout_seconds: float = 90.0) -> None:
    """Return once `condition` holds; fail the test if it does not in time.

    The time is for a busy machine, on which a process alone may need half a minute to start.
    """
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {timeout_seconds} s")
        time.sleep(0.05)
