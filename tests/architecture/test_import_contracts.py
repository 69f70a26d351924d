"""The layers of docs/architecture.md hold, and each contract is seen to fail on a copy where it is broken."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]

VIOLATIONS = {
    "layers": ("domain/planted.py", "import projections.registry"),
    "siblings": ("commands/planted.py", "import audience.catalog"),
    "facts-not-aggregates": ("projections/planted.py", "import domain.split_test"),
    "kafka-at-the-edge": ("consumers/planted.py", "import confluent_kafka"),
    "drivers-in-the-warehouse": ("consumers/planted.py", "import duckdb"),
    "the-sdk-stands-alone": ("sdk/usersplit/planted.py", "import events.facts"),
    "pages-in-web": ("entrypoints/planted.py", "import nicegui"),
    "no-sql-in-pages": ("web/planted.py", "import events.database"),
    "no-pages-in-other-processes": ("entrypoints/kafka.py", "import web.links"),
    "examples-use-the-sdk-only": ("examples/planted.py", "import domain.errors"),
}
# Two lines of the layers contract are planted under names of their own.
CONTRACT_OF = {"siblings": "layers", "the-sdk-stands-alone": "layers"}


LINT = """
import sys
sys.path[:0] = sys.argv[1:]
from importlinter.cli import lint_imports
sys.exit(lint_imports(no_cache=True))
"""


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LINT, str(tree), str(tree / "sdk")],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy_of_the_code(tmp_path: Path) -> Path:
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for package in SETTINGS["root_packages"]:
        place = "sdk/usersplit" if package == "usersplit" else package
        shutil.copytree(ROOT / place, tmp_path / place, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_code_keeps_every_contract() -> None:
    outcome = lint(ROOT)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_every_contract_has_a_planted_violation() -> None:
    planted = {CONTRACT_OF.get(name, name) for name in VIOLATIONS}
    assert planted == {contract["id"] for contract in SETTINGS["contracts"]}


@pytest.mark.parametrize("violation", VIOLATIONS)
def test_a_broken_contract_is_seen(violation: str, copy_of_the_code: Path) -> None:
    place, line = VIOLATIONS[violation]
    (copy_of_the_code / place).write_text(line + "\n")
    contract_id = CONTRACT_OF.get(violation, violation)
    name = next(contract["name"] for contract in SETTINGS["contracts"] if contract["id"] == contract_id)
    outcome = lint(copy_of_the_code)
    assert outcome.returncode == 1, outcome.stdout + outcome.stderr
    assert f"{name} BROKEN" in outcome.stdout
