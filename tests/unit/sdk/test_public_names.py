"""The public list of the SDK: a name that is added or removed here is a change for every service."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import usersplit
import usersplit.conditions
import usersplit.guests
import usersplit.hit_reports
import usersplit.hits
import usersplit.hooks
import usersplit.names
import usersplit.openfeature
import usersplit.testing
import usersplit.tracks

PACKAGE = Path(usersplit.__file__).parent

MODULES = [
    usersplit.conditions,
    usersplit.guests,
    usersplit.hit_reports,
    usersplit.hits,
    usersplit.hooks,
    usersplit.names,
    usersplit.openfeature,
    usersplit.testing,
    usersplit.tracks,
]
FILES = {module.__name__.removeprefix("usersplit.") for module in MODULES} - {"conditions"}

PUBLIC = [
    "AdditionalConditions",
    "Answer",
    "Checker",
    "ConfigFromTheFuture",
    "ConfigProblem",
    "Configs",
    "DirectoryConfigs",
    "DropReason",
    "Environment",
    "GroupAnswer",
    "Guest",
    "HITS_TOPIC",
    "HitLogger",
    "HitStats",
    "HitTransport",
    "HttpConfigs",
    "InexactPercent",
    "InvalidSetting",
    "InvalidSplitGroup",
    "KafkaHitTransport",
    "MalformedConfig",
    "MemoryConfigs",
    "MemoryHitTransport",
    "MiskeyedConfig",
    "Reason",
    "Refusal",
    "SPLIT_GROUPS",
    "SplitTestConfig",
    "Status",
    "Unit",
    "UnitType",
    "UnreadableConfig",
    "User",
    "UserSplit",
    "UserSplitError",
    "__version__",
    "check_split_group",
    "connect",
    "draw_split_group",
    "is_split_group",
    "percent_of_split_groups",
    "speedups_version",
    "split_group_from_cookie",
    "split_group_to_cookie",
    "split_groups_of_percent",
]


def test_the_public_names_are_these() -> None:
    assert sorted(usersplit.__all__) == sorted(PUBLIC)
    public_by_spelling = {name for name in vars(usersplit) if name[0].isalpha()}  # pytest adds names with an @
    modules = {module.__name__.removeprefix("usersplit.") for module in MODULES}
    assert public_by_spelling - modules == set(PUBLIC) - {"__version__"}


def test_every_public_name_exists_and_has_one_import_path() -> None:
    everywhere = [*usersplit.__all__, *(name for module in MODULES for name in module.__all__)]
    assert len(everywhere) == len(set(everywhere))
    assert all(hasattr(module, name) for module in [usersplit, *MODULES] for name in module.__all__)


def test_modules_are_private_but_for_those_that_services_import() -> None:
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert {module for module in modules if not module.startswith("_")} == FILES


CLASSES = {
    name: getattr(module, name)
    for module in [usersplit, *MODULES]
    for name in module.__all__
    if inspect.isclass(getattr(module, name))
}


@pytest.mark.parametrize("name", CLASSES)
def test_every_public_class_and_method_is_documented(name: str) -> None:
    public_class = CLASSES[name]
    assert public_class.__doc__
    for method_name, method in inspect.getmembers(public_class, inspect.isfunction):
        if not method_name.startswith("_") and method.__qualname__.startswith(public_class.__name__ + "."):
            assert method.__doc__, f"{name}.{method_name}"


def test_every_error_of_the_sdk_has_one_root_and_that_of_conditions_another() -> None:
    errors = [each for each in CLASSES.values() if issubclass(each, Exception)]
    assert len(errors) > 5
    roots = (usersplit.UserSplitError, usersplit.conditions.ConditionsError)
    assert [error for error in errors if not issubclass(error, roots)] == []


def test_importing_the_sdk_does_nothing_to_the_process() -> None:
    script = (
        "import sys, threading, usersplit, usersplit._shutdown, usersplit._forks;"
        "assert threading.active_count() == 1;"
        "assert not usersplit._shutdown._exit_hook_is_set and not usersplit._forks._hook_is_set"
    )
    subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": str(PACKAGE.parent)}, check=True, timeout=60)
