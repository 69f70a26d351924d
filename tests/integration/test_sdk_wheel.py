"""The SDK as services get it: its wheel, in an environment of its own, with the oldest and the newest that it allows.

Beside the newest there is usersplit-speedups too, as the extra brings it. There all unit tests of the SDK run, without
this tree's SDK and without what only the application needs.
"""

import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Mapping
from email.parser import Parser
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.support.check_forms import require_speedups
from usersplit.testing import split_test_document, user_group_document

ROOT = Path(__file__).parents[2]
SDK = ROOT / "sdk"
SPEEDUPS = ROOT / "speedups"
PROJECT = tomllib.loads((SDK / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ALLOWED = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["openfeature"]]
TESTED_WITH = ["pytest", "hypothesis", "tracks", "httpx", "werkzeug", "fastapi", "mypy"]
# Ours loads what only the application has.
CONFTEST = """
from hypothesis import settings

settings.register_profile("wheel", deadline=None)
settings.load_profile("wheel")
pytest_plugins = ["pytester", "tests.support.check_forms"]
"""
INSTALL_SECONDS, RUN_SECONDS = 300, 900

pytestmark = [pytest.mark.long, pytest.mark.timeout(INSTALL_SECONDS + RUN_SECONDS + 60)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("wheel")
    shutil.copytree(SDK, place / "sdk", ignore=shutil.ignore_patterns("__pycache__", "dist"))
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place / "dist")]
    subprocess.run(build, cwd=place / "sdk", check=True, capture_output=True, timeout=INSTALL_SECONDS)
    (built,) = (place / "dist").glob("usersplit-*.whl")
    return built


@pytest.fixture(scope="module")
def speedups(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel of usersplit-speedups, made from its sdist."""
    require_speedups()  # what builds it is here
    place = tmp_path_factory.mktemp("speedups")
    shutil.copytree(SPEEDUPS, place / "speedups", ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    made = subprocess.run(
        [sys.executable, "-c", f"from setuptools import build_meta; build_meta.build_sdist({str(place)!r})"],
        cwd=place / "speedups",
        check=False,
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
    )
    assert made.returncode == 0, made.stderr
    (sdist,) = place.glob("usersplit_speedups-*.tar.gz")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", str(sdist)]
    subprocess.run(build, cwd=place, check=True, capture_output=True, timeout=INSTALL_SECONDS)
    (built,) = place.glob("usersplit_speedups-*.whl")
    return built


def without_this_tree() -> Mapping[str, str]:
    ours = ("PYTHON", "PYTEST", "COV")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def run(*command: str, cwd: Path, timeout_seconds: int, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env={**without_this_tree(), **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_seconds,
    )


@pytest.fixture(scope="module", params=["lowest-direct", "highest"])
def resolution(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture(scope="module")
def python(
    resolution: str, wheel: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the Python of a new environment: the wheel, what it needs by the resolution, and what tests need."""
    place = tmp_path_factory.mktemp("environment")
    interpreter = place / "venv" / "bin" / "python"
    tools = [f"{name}=={version(name)}" for name in TESTED_WITH]
    uv = str(Path(sys.executable).with_name("uv"))
    to_install = ["--python", str(interpreter), "--resolution", resolution, str(wheel), *ALLOWED, *tools]
    if resolution == "highest":
        speedups: Path = request.getfixturevalue("speedups")
        to_install += ["--find-links", str(speedups.parent), f"usersplit[speedups] @ {wheel.as_uri()}"]
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, str(place / "venv")],
        [uv, "pip", "install", *to_install],
    ):
        done = run(*command, cwd=place, timeout_seconds=INSTALL_SECONDS)
        if done.returncode:
            pytest.fail(
                "The environment could not be made. It needs a package index (uv's settings say which), or all that it "
                f"installs in uv's cache.\n{done.stderr}"
            )
    return interpreter


def test_the_wheel_holds_types_schema_and_the_pytest_plugin(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (dist_info,) = {name.partition("/")[0] for name in names if ".dist-info/" in name}
        metadata = Parser().parsestr(archive.read(f"{dist_info}/METADATA").decode())
        entry_points = archive.read(f"{dist_info}/entry_points.txt").decode()
    assert {"usersplit/schemas/hit.avsc", "usersplit/schemas/hit_report.avsc", "usersplit/py.typed"} <= names
    modules = {str(path.relative_to(SDK)) for path in (SDK / "usersplit").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == modules
    assert "usersplit = usersplit._pytest_plugin" in entry_points
    assert metadata["Version"] == PROJECT["version"]
    assert set(metadata.get_all("Provides-Extra") or ()) == {"openfeature", "speedups"}


def test_the_wheel_is_for_every_platform_and_that_of_the_checks_in_c_for_every_python(
    wheel: Path, speedups: Path
) -> None:
    assert wheel.name.endswith("-py3-none-any.whl")
    assert "-cp311-abi3-" in speedups.name
    with zipfile.ZipFile(speedups) as archive:
        names = {name.partition("/")[2] for name in archive.namelist() if name.startswith("usersplit_speedups/")}
    assert names == {"__init__.py", "_check.abi3.so", "_check.pyi", "py.typed"}


def test_all_unit_tests_of_the_sdk_pass_on_the_wheel(python: Path, resolution: str, tmp_path: Path) -> None:
    # Another worker may be installing Node's packages meanwhile; nothing here needs them.
    left_out = shutil.ignore_patterns("__pycache__", "node_modules")
    shutil.copytree(ROOT / "tests", tmp_path / "tests", ignore=left_out)
    (tmp_path / "tests" / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    for needed in ("docs", "sdk/README.md"):  # their examples run too
        source = ROOT / needed
        (tmp_path / needed).parent.mkdir(exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / needed)
    command = [str(python), "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(tmp_path)]
    command += ["--import-mode=importlib", "-o", f"pythonpath={tmp_path}", "-W", "error"]
    suites, required = ["tests/unit/sdk"], ""
    if resolution == "highest":
        suites, required = [*suites, "tests/unit/speedups"], "1"  # the checks in C must be there
    done = run(*command, *suites, cwd=tmp_path, timeout_seconds=RUN_SECONDS, REQUIRE_REAL=required)
    installed = run(str(python), "-c", "import usersplit; print(usersplit.__file__)", cwd=tmp_path, timeout_seconds=60)
    assert Path(installed.stdout.strip()).is_relative_to(python.parents[1])
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]


SERVICE = """
from typing import assert_never

import usersplit
from openfeature import api
from split_tests import GreenButton, UserGroups
from usersplit.guests import GuestCookie, WsgiGuests, guest_of
from usersplit.openfeature import UserSplitProvider
from usersplit.testing import MemoryUserSplit
from usersplit.tracks import MultiTrackSet, ParamTrackSet, SimpleTrackSet


class Delay(SimpleTrackSet):
    @staticmethod
    def short_track(seconds: float) -> float:
        return seconds / 2


class Pricing(ParamTrackSet):
    params = tuple({"delta": delta} for delta in range(3))

    @staticmethod
    def track_name(delta: int) -> str:
        return f"by_{delta}"

    @staticmethod
    def track(price: int, delta: int) -> int:
        return price + delta


def without_an_agent(url: str, token: str) -> usersplit.UserSplit:
    configs = usersplit.HttpConfigs(url, token=token, cache_file="configs.json")
    return usersplit.connect(configs=configs, bootstrap_servers="kafka:9092", app="shop", environment_name="devel")


def colour(client: usersplit.UserSplit, user: usersplit.User) -> str:
    match GreenButton.variant(client.get_active_variant(GreenButton.KEY, user)):
        case None | GreenButton.CONTROL:
            return "green"
        case GreenButton.RED:
            return "red"
        case other:
            assert_never(other)


def test_colour(split_tests: MemoryUserSplit) -> None:
    ada = usersplit.User(id=1, split_group=1)
    split_tests.force(GreenButton.KEY, GreenButton.RED)
    split_tests.set_group(UserGroups.STAFF, everybody=True)
    api.set_provider(UserSplitProvider(split_tests))
    assert colour(split_tests, ada) == "red"
    assert split_tests.assert_hit(GreenButton.KEY, times=1)[0].variant == "red"
    with Delay(key=ada, hits=split_tests.hits) as track:
        name: str = track.name
    with MultiTrackSet([Delay, Pricing], key=name) as multitrack:
        assert multitrack.trackset.name in ("Delay", "Pricing")
"""


def test_a_service_is_typed_by_the_wheel_and_by_generated_names(python: Path, tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    for document, file in (
        (split_test_document("green_button", variants=["control", "red"]), "green_button.json"),
        (user_group_document("staff"), "~user_group.staff.json"),
    ):
        (tmp_path / "configs" / file).write_text(json.dumps(document), encoding="utf-8")
    (tmp_path / "test_service.py").write_text(SERVICE, encoding="utf-8")

    def check(*command: str) -> subprocess.CompletedProcess[str]:
        return run(str(python), "-m", *command, cwd=tmp_path, timeout_seconds=RUN_SECONDS)

    for command in (
        ("usersplit.names", "configs", "split_tests.py"),
        ("usersplit.names", "configs", "split_tests.py", "--check", "--code", "."),
        ("mypy", "--strict", "split_tests.py", "test_service.py"),
        ("pytest", "-q", "-W", "error"),
    ):
        done = check(*command)
        assert done.returncode == 0, (command, done.stdout + done.stderr)

    # A variant that has no branch yet is an error, and so is one that is gone.
    for variants, error in ((["control", "red", "blue"], "assert_never"), (["control"], 'has no attribute "RED"')):
        document = split_test_document("green_button", variants=variants)
        (tmp_path / "configs" / "green_button.json").write_text(json.dumps(document), encoding="utf-8")
        assert check("usersplit.names", "configs", "split_tests.py", "--check").returncode == 1
        assert check("usersplit.names", "configs", "split_tests.py").returncode == 0
        typed = check("mypy", "--strict", "split_tests.py", "test_service.py")
        assert typed.returncode == 1
        assert error in typed.stdout
