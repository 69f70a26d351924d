"""The shape of the tree: nothing stands outside of the contracts, and nothing is named after nothing."""

import ast
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
PACKAGES = tuple(SETTINGS["root_packages"])
OUTSIDE = {"tests", "benchmarks", "sdk", "docs", "requirements"}
DOMAIN_MAY_IMPORT = {"domain", "events", "usersplit", "numpy"}
NAMES_OF_NOTHING = {"util", "utils", "helper", "helpers", "common", "misc", "base"}


def modules_of(package: str) -> list[Path]:
    place = ROOT / ("sdk/usersplit" if package == "usersplit" else package)
    return sorted(path for path in place.rglob("*.py") if "__pycache__" not in path.parts)


ALL_MODULES = [path for package in PACKAGES for path in modules_of(package)]


def imports_of(source: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def foreign_imports_of_the_domain(sources: dict[str, str]) -> set[str]:
    foreign = set()
    for name, source in sources.items():
        for module in imports_of(source):
            top = module.partition(".")[0]
            allowed = top in DOMAIN_MAY_IMPORT or top in sys.stdlib_module_names
            if top == "numpy" and not name.startswith("domain/allocation/"):
                allowed = False
            if top == "usersplit" and not module.startswith("usersplit.conditions"):
                allowed = False
            if not allowed:
                foreign.add(f"{name}: {module}")
    return foreign


def test_every_top_level_package_is_in_a_contract() -> None:
    folders = {
        path.name
        for path in ROOT.iterdir()
        if path.is_dir() and any(path.glob("*.py")) and not path.name.startswith((".", "_"))
    }
    assert folders - OUTSIDE == set(PACKAGES) - {"usersplit"}


def test_every_package_is_in_the_layers_or_has_a_contract_of_its_own() -> None:
    layered = {
        name.strip()
        for contract in SETTINGS["contracts"]
        if contract["type"] == "layers"
        for layer in contract["layers"]
        for name in layer.split("|")
    }
    assert set(PACKAGES) - layered == {"examples"}


def test_no_installed_distribution_provides_one_of_our_names() -> None:
    # PyPI's "Events" would shadow `events` without a word.
    providers = packages_distributions()
    assert {name: providers[name] for name in PACKAGES if name in providers and name != "usersplit"} == {}
    assert set(providers.get("usersplit", ["usersplit"])) == {"usersplit"}


def test_the_domain_imports_rules_and_facts_only() -> None:
    sources = {str(path.relative_to(ROOT)): path.read_text() for path in modules_of("domain")}
    assert foreign_imports_of_the_domain(sources) == set()


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("domain/split_test.py", "import sqlalchemy"),
        ("domain/settings.py", "import numpy"),
        ("domain/settings.py", "from usersplit import Checker"),
    ],
)
def test_the_guard_of_the_domain_sees_a_foreign_import(name: str, line: str) -> None:
    assert foreign_imports_of_the_domain({name: line}) != set()


def test_no_module_is_named_after_nothing() -> None:
    assert [str(path) for path in ALL_MODULES if path.stem.strip("_") in NAMES_OF_NOTHING] == []


def test_an_applications_package_is_only_a_docstring() -> None:
    for package in PACKAGES:
        if package != "usersplit":
            body = ast.parse((ROOT / package / "__init__.py").read_text()).body
            assert [type(node) for node in body] == [ast.Expr], package


IMPORT_ALL = """
import importlib, os, sys, threading
for name in sys.argv[1:]:
    importlib.import_module(name)
threads = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
files = [os.path.join("/proc/self/fd", number) for number in os.listdir("/proc/self/fd")]
sockets = [os.readlink(path) for path in files if os.path.lexists(path) and "socket" in os.readlink(path)]
sys.exit(f"{threads} {sockets}" if threads or sockets else 0)
"""


def test_importing_any_module_starts_nothing() -> None:
    names = [
        ".".join(path.relative_to(ROOT / "sdk" if "sdk" in path.parts else ROOT).with_suffix("").parts).removesuffix(
            ".__init__"
        )
        for path in ALL_MODULES
        if path.stem != "__main__" and path.parts[-2] != "versions" and path.name != "env.py"
    ]
    outcome = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT_ALL, *names],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'sdk'}", "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
