"""What it costs a service to read the config files of its tests, and to read one anew while its threads check.

A part of `benchmarks/check.py`, which tells its figures.

**Loading.** 1,000 files, read by a process of its own; memory is what the process grew by. `load_cpu_seconds` is its
processor time, for a machine that has other work.

**Reloading.** Eight threads check while one file is replaced again and again. Every answer carries the version that
gave it: none may be older than one seen before, and none may be wrong. In turns there are rounds without reloads; the
worst check of a round is compared with theirs. `reload_cpu_ms` is the worst processor time of one whole reload.
"""

import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.same_tests import VARIANT, SameTest, config_document, same_tests
from usersplit import Checker, DirectoryConfigs, User

TESTS = 30
THREADS = 8


def load(directory: str) -> None:
    """Read a directory, in this process, and say what it took."""
    gc.collect()
    before = resident_bytes()
    began, cpu_began = time.perf_counter(), time.process_time()
    with DirectoryConfigs(directory, reload_seconds=3600) as configs:
        seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
        gc.collect()
        grown = resident_bytes() - before
        assert len(configs.keys()) == 1000
        assert configs.problems() == ()
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds, "mb": grown / 1e6}))


def resident_bytes() -> int:
    """Return how much memory this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def loading(rounds: int) -> dict[str, float]:
    """Time loading 1,000 files; each round in a process of its own."""
    halves = {"control": list(range(1, 2401, 2)), VARIANT: list(range(2, 2401, 2))}
    with tempfile.TemporaryDirectory() as directory:
        for test in same_tests(1000):
            (Path(directory) / f"{test.key}.json").write_text(json.dumps(config_document(test, variants=halves)))
        command = [sys.executable, "-m", "benchmarks.check_parts.config_reading", directory]
        found = [
            json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            for _ in range(rounds)
        ]
    return {
        "load_1000_seconds": statistics.median(each["seconds"] for each in found),
        "load_cpu_seconds": statistics.median(each["cpu_seconds"] for each in found),
        "load_1000_mb": statistics.median(each["mb"] for each in found),
    }


def reloading(rounds: int, reloads: int = 20) -> dict[str, float]:
    """Check in eight threads while one file is replaced, and while none is, in turns."""
    tests = same_tests(TESTS)
    user = User(id=1, split_group=1, attributes={"is_test_user": True})
    versions = [0]
    worst_cpu_ms = 0.0
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        for test in tests[1:]:
            replace(directory, config_document(test))
        replace(directory, config_document(tests[0], 1, {"v0": list(range(1, 2401))}))
        with DirectoryConfigs(directory, reload_seconds=3600) as configs:
            checker = Checker(configs)
            checker.active_variants(user)
            worst: dict[str, list[float]] = {"quiet": [], "reloads": []}
            wrong = 0
            for _ in range(rounds):
                for phase, found in worst.items():
                    threads = [CheckingThread(checker, tests, user, versions) for _ in range(THREADS)]
                    for thread in threads:
                        thread.start()
                    for _ in range(reloads):
                        time.sleep(0.005)
                        if phase == "reloads":
                            number = versions[-1] + 1
                            versions.append(number)
                            document = config_document(tests[0], number + 1, {f"v{number}": list(range(1, 2401))})
                            replace(directory, document)
                            began = time.thread_time()
                            configs.reload()
                            worst_cpu_ms = max(worst_cpu_ms, (time.thread_time() - began) * 1000)
                            assert checker.get_active_variant(tests[0].key, user) == f"v{number}"
                    for thread in threads:
                        thread.stop.set()
                    for thread in threads:
                        thread.join()
                    wrong += sum(thread.wrong for thread in threads)
                    found.append(max(thread.worst_ns for thread in threads) / 1e6)
    print(f"worst check of a round, ms: {worst}")
    excess = statistics.median(worst["reloads"]) - statistics.median(worst["quiet"])
    return {"reload_worst_ms": max(0.0, excess), "reload_cpu_ms": worst_cpu_ms, "reload_wrong": wrong}


def replace(directory: Path, document: dict[str, Any]) -> None:
    """Lay a file out as the agent does."""
    beside = directory / f".{document['key']}.new"
    beside.write_text(json.dumps(document))
    beside.replace(directory / f"{document['key']}.json")


class CheckingThread(threading.Thread):
    """Checks as a service does, a page at a time, and looks at every answer."""

    def __init__(self, checker: Checker, tests: Sequence[SameTest], user: User, versions: Sequence[int]) -> None:
        super().__init__()
        self.stop = threading.Event()
        self.worst_ns = 0
        self.wrong = 0
        self._checker = checker
        self._keys = [test.key for test in tests]
        self._user = user
        self._versions = versions

    def run(self) -> None:
        """Check until it is enough."""
        seen = 0
        clock = time.perf_counter_ns
        while not self.stop.wait(0.001):
            for key in self._keys[:5]:
                began = clock()
                variant = self._checker.get_active_variant(key, self._user)
                self.worst_ns = max(self.worst_ns, clock() - began)
                if key != self._keys[0]:
                    self.wrong += variant != VARIANT
                    continue
                version = int((variant or "v-1")[1:])
                self.wrong += not seen <= version <= self._versions[-1]
                seen = version
            all_at_once = self._checker.active_variants(self._user)
            self.wrong += len(all_at_once) != len(self._keys)
            version = int(all_at_once[self._keys[0]][1:])
            self.wrong += not seen <= version <= self._versions[-1]
            seen = version


if __name__ == "__main__":
    load(sys.argv[1])
