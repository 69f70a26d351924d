"""Forks and exits: every process delivers its own hits, each once."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.hit_accounts import KEEPING_ACCOUNTS, accounts_in

SDK = Path(__file__).parents[3] / "sdk"

PRELUDE = f"""{KEEPING_ACCOUNTS}
import json, os, sys, threading
from usersplit import DirectoryConfigs, HitLogger, MemoryHitTransport

class FileTransport(MemoryHitTransport):
    '''Appends the units of delivered hits to one file, shared by all processes.'''
    def send(self, records):
        with open(sys.argv[1], "ab", 0) as file:
            file.write(b"".join(key + b"\\n" for key, _ in records))
        return super().send(records)

def logger(**settings):
    return HitLogger(FileTransport(), app="a", environment_name="devel", interval_seconds=0.005, **settings)

def log(logger, unit_id):
    return logger.log(test_key="k", variant="v", unit_type="user", unit_id=unit_id)

def in_child(work):
    pid = os.fork()
    if pid:
        assert os.waitpid(pid, 0)[1] == 0
        return
    try:
        work()
    except BaseException:
        import traceback
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
"""

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks are a thing of Unix")


def run(tmp_path: Path, script: str) -> list[str]:
    """Run `script` in a process of its own; return the units whose hits were delivered by it and its children."""
    output = tmp_path / "delivered"
    accounts = tmp_path / "accounts"
    output.touch()
    accounts.touch()
    done = subprocess.run(
        # Python 3.12 and newer warn of any fork with threads: that is what is tested here.
        [
            sys.executable,
            "-W",
            "error",
            "-W",
            "ignore:This process:DeprecationWarning",
            "-c",
            PRELUDE + script,
            str(output),
        ],
        env={**os.environ, "PYTHONPATH": str(SDK), "ACCOUNTS": str(accounts)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    accounts_in(accounts)  # whoever closed its logger accounts for every hit
    return sorted(output.read_text(encoding="utf-8").split())


def test_a_child_delivers_its_own_hits_and_the_parent_the_rest(tmp_path: Path) -> None:
    delivered = run(
        tmp_path,
        """
hits = logger()
log(hits, "before")
assert hits.flush()
log(hits, "waiting-in-the-parent")
def work():
    assert hits.stats().accepted == 0
    log(hits, "child")
    assert hits.flush()
    assert hits.stats().delivered == 1
in_child(work)
log(hits, "after")
hits.close()
assert hits.stats().delivered == 3, hits.stats()
""",
    )
    assert delivered == ["after", "before", "child", "waiting-in-the-parent"]


def test_hits_that_wait_are_not_sent_by_both(tmp_path: Path) -> None:
    delivered = run(
        tmp_path,
        """
import logging
logging.disable()  # the drops at the end are reported
hits = logger()
FileTransport.send = lambda self, records: 0  # no room, ever
for number in range(100):
    log(hits, number)
def work():
    stats = hits.stats()
    assert (stats.accepted, stats.buffered) == (0, 0)
    hits.close(0.1)
    assert hits.stats().accepted == 0
in_child(work)
hits.close(0.01)
assert hits.stats().dropped["close_deadline"] == 100, hits.stats()
""",
    )
    assert delivered == []


def test_a_fork_under_load_leaves_both_sides_able_to_log(tmp_path: Path) -> None:
    delivered = run(
        tmp_path,
        """
hits = logger()
stop = threading.Event()
def load():
    while not stop.is_set():
        log(hits, "load")
        hits.stats()
threads = [threading.Thread(target=load) for _ in range(4)]
for thread in threads:
    thread.start()
def work():
    log(hits, "child")
    assert hits.flush(20), hits.stats()
for _ in range(5):
    in_child(work)
stop.set()
for thread in threads:
    thread.join()
hits.close(20)
stats = hits.stats()
assert stats.accepted == stats.delivered + sum(stats.dropped.values())
""",
    )
    assert delivered.count("child") == 5


def test_the_normal_end_of_a_process_delivers_what_waits(tmp_path: Path) -> None:
    delivered = run(
        tmp_path,
        """
hits = logger()
for number in range(10):
    log(hits, "x")
""",
    )
    assert delivered == ["x"] * 10


def test_a_child_that_ends_normally_delivers_too(tmp_path: Path) -> None:
    delivered = run(
        tmp_path,
        """
hits = logger()
pid = os.fork()
log(hits, "parent" if pid else "child")
if pid:
    assert os.waitpid(pid, 0)[1] == 0
""",
    )
    assert delivered == ["child", "parent"]


def test_configs_are_reloaded_in_a_child_too(tmp_path: Path) -> None:
    configs = tmp_path / "configs"
    configs.mkdir()
    document: dict[str, Any] = {
        "format": 1, "kind": "split_test", "key": "k", "position": 1, "status": "paused", "settings_group": 0,
    }  # fmt: skip
    (configs / "k.json").write_text(json.dumps(document), encoding="utf-8")
    run(
        tmp_path,
        f"""
import time
from pathlib import Path
configs = DirectoryConfigs({str(configs)!r}, reload_seconds=0.01)
def work():
    assert configs.find("k").position == 1
    text = json.dumps({{**{document!r}, "position": 2}})
    Path({str(configs)!r}, ".k").write_text(text)
    Path({str(configs)!r}, ".k").replace(Path({str(configs)!r}, "k.json"))
    deadline = time.monotonic() + 60
    while configs.find("k").position == 1:
        assert time.monotonic() < deadline
        time.sleep(0.005)
in_child(work)
configs.close()
""",
    )
