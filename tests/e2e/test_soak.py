"""The soak of a minute: services, sinks and the broker are killed at random, and every hit is accounted for."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.long
@pytest.mark.timeout(640)
@pytest.mark.real_kafka
@pytest.mark.real_postgres
@pytest.mark.usefixtures("kafka", "postgres_server")  # which say why, where there are none
def test_whoever_is_killed_bi_holds_what_was_accepted_and_not_dropped_once() -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "tests.soak", "1"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=620
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    figures = json.loads(finished.stdout.splitlines()[-1])
    assert {"accepted", "dropped", "in_bi", "twice", "kills"} <= figures.keys()
    assert figures["in_bi"] == figures["accepted"] - figures["dropped"] > 10_000
    assert figures["twice"] == 0
    assert figures["kills"] >= 3
