"""The demo, as `make demo ONCE=1` runs it: on embedded parts, in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


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
