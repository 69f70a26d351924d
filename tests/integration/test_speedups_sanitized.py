"""The check in C under the compiler's eyes: no warning, and no fault of memory or of arithmetic while its tests run."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.support.check_forms import require_speedups

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "speedups" / "usersplit_speedups"
STRICT = ["-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wno-sign-conversion", "-Werror"]
SANITIZED = ["-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
# No deadline: under sanitizers an example takes what it takes.
PROFILE = """
from hypothesis import settings

settings.register_profile("sanitized", deadline=None)
settings.load_profile("sanitized")
"""
RUN_SECONDS = 500

pytestmark = [pytest.mark.long, pytest.mark.timeout(RUN_SECONDS + 60)]


@pytest.fixture
def compiler() -> list[str]:
    require_speedups()  # so there is a compiler, if not always this one
    gcc = shutil.which("gcc")
    if gcc is None:
        pytest.skip("the sanitizers are those of gcc")
    return [gcc, f"-I{sysconfig.get_path('include')}", str(PACKAGE / "_check.c")]


def test_the_compiler_has_nothing_to_say(compiler: list[str]) -> None:
    done = subprocess.run(
        [*compiler, *STRICT, "-O2", "-c", "-o", os.devnull], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_tests_of_the_check_pass_under_sanitizers(compiler: list[str], tmp_path: Path) -> None:
    built = tmp_path / PACKAGE.name
    shutil.copytree(PACKAGE, built)
    subprocess.run(
        [*compiler, *SANITIZED, "-shared", "-fPIC", "-o", str(built / "_check.abi3.so")], check=True, timeout=60
    )
    (tmp_path / "sanitized_profile.py").write_text(PROFILE, encoding="utf-8")
    libraries = [
        subprocess.run(
            [compiler[0], f"-print-file-name={name}"], capture_output=True, text=True, check=True
        ).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(ROOT), "-p", "no:cacheprovider"),
            *("--import-mode=importlib", "--noconftest", "-p", "tests.support.check_forms", "-p", "sanitized_profile"),
            *("-o", f"pythonpath={tmp_path} {ROOT} {ROOT / 'sdk'}", "tests/unit/speedups"),
        ],
        cwd=ROOT,
        # Every allocation by malloc, which is what is watched. What Python keeps to its end is no leak of ours.
        env={
            **os.environ,
            "LD_PRELOAD": " ".join(libraries),
            "PYTHONMALLOC": "malloc",
            "ASAN_OPTIONS": "detect_leaks=0",
            "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_SECONDS,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
