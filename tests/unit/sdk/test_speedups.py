"""The SDK takes the checks in C where a usersplit-speedups is installed that fits it, and else does without."""

import logging
import sys
from collections.abc import Iterator
from types import BuiltinFunctionType, FunctionType, SimpleNamespace
from typing import Any

import pytest

import usersplit._speedups
from tests.support.check_forms import require_speedups
from tests.support.sdk_config_documents import config_document
from tests.support.voices import said_by
from usersplit import Checker, Environment, MemoryConfigs, SplitTestConfig, User, speedups_version
from usersplit._speedups import INTERFACE, SWITCH

VERSIONS = [{"filter": "app", "operator": "gt", "value": "1.9"}]
MANY_VARIANTS = [{"name": f"v{number}", "split_groups": [number]} for number in range(1, 257)]


@pytest.fixture(autouse=True)
def _looked_for_anew(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.INFO, logger="usersplit.checks")
    monkeypatch.delenv(SWITCH, raising=False)
    usersplit._speedups._installed.cache_clear()
    yield
    usersplit._speedups._installed.cache_clear()


def check_of(**changes: Any) -> object:
    config = MemoryConfigs([config_document(**changes)]).find("green_button")
    assert config is not None
    return config.check


def answers() -> list[str | None]:
    """Return what checks give, whichever form they have."""
    document = config_document(starts_at="2020-01-01T00:00:00Z", ends_at="2999-01-01T00:00:00Z")
    checker = Checker(MemoryConfigs([document]))
    given = [
        checker.get_active_variant(
            "green_button", User(id=1, split_group=group, attributes={"is_test_user": is_tester})
        )
        for group in (1, 2, 3, 4)
        for is_tester in (True, False)
    ]
    assert not any(checker.problems().values())
    return given


def test_checks_are_in_c_where_it_is_installed_and_that_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    require_speedups()
    assert {type(check_of()), type(check_of(status="in_dev")), type(check_of(conditions=[]))} == {BuiltinFunctionType}
    assert [record.getMessage() for record in caplog.records] == [
        f"usersplit-speedups {speedups_version()} answers checks."
    ]
    assert speedups_version()


@pytest.mark.parametrize(
    "changes",
    [
        {"conditions": VERSIONS, "filters": {"app": {"type": "version", "scope": "environment"}}},
        {"type": "client"},
        {"type": "mixed"},
        {"variants": MANY_VARIANTS},
        {"status": "paused"},
        {"status": "finished", "result": {"variant": "red", "scope": "worldwide"}},
    ],
    ids=["a version", "client", "mixed", "256 variants", "paused", "finished"],
)
def test_a_test_that_c_cannot_answer_stays_with_python(changes: dict[str, Any]) -> None:
    assert type(check_of(**changes)) is FunctionType


def test_a_config_that_a_service_makes_itself_may_have_any_table() -> None:
    config = SplitTestConfig(
        key="a", position=1, status="in_dev", settings_group=1, variants=("", "red"), variant_by_group=[1] * 2401
    )
    assert type(config.check) is FunctionType
    assert config.check(User(id=1, split_group=7, attributes={"is_test_user": True}), Environment()) == "red"


def test_a_variable_switches_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = answers()
    monkeypatch.setenv(SWITCH, "off")
    assert type(check_of()) is FunctionType
    assert speedups_version() == ""
    assert answers() == expected


@pytest.mark.parametrize("interface", [INTERFACE - 1, INTERFACE + 1, None])
def test_one_that_does_not_fit_is_passed_over_and_that_is_said_once(
    interface: int | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected = answers()
    other = SimpleNamespace(INTERFACE=interface, __version__="9.0", DrawnCheck=None)
    monkeypatch.setitem(sys.modules, "usersplit_speedups", other)
    usersplit._speedups._installed.cache_clear()
    caplog.clear()
    assert (answers(), speedups_version(), type(check_of())) == (expected, "", FunctionType)
    (record,) = said_by("usersplit.checks", caplog)
    assert (record.levelname, "9.0" in record.getMessage()) == ("WARNING", True)


def test_one_that_cannot_be_loaded_is_passed_over_and_that_is_said_once(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected = answers()
    (tmp_path / "usersplit_speedups").mkdir()
    (tmp_path / "usersplit_speedups" / "__init__.py").write_text("import usersplit_speedups._check\n")
    (tmp_path / "usersplit_speedups" / "_check.abi3.so").write_bytes(b"of another platform")
    for name in ("usersplit_speedups", "usersplit_speedups._check"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    usersplit._speedups._installed.cache_clear()
    caplog.clear()
    assert (answers(), speedups_version(), type(check_of())) == (expected, "", FunctionType)
    (record,) = said_by("usersplit.checks", caplog)
    assert (record.levelname, "cannot be loaded" in record.getMessage()) == ("WARNING", True)


def test_without_it_nothing_is_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    expected = answers()
    monkeypatch.setitem(sys.modules, "usersplit_speedups", None)
    usersplit._speedups._installed.cache_clear()
    caplog.clear()
    assert (answers(), speedups_version(), type(check_of())) == (expected, "", FunctionType)
    assert said_by("usersplit.checks", caplog) == []
