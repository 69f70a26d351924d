"""What nothing could work with is refused when the service starts, with the name of the setting."""

from pathlib import Path
from typing import Any

import pytest

import usersplit
from usersplit import DirectoryConfigs, HitLogger, InvalidSetting, MemoryHitTransport

GOOD: dict[str, Any] = {"bootstrap_servers": "kafka:9092", "app": "shop", "environment_name": "devel"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bootstrap_servers", ""),
        ("app", ""),
        ("app", None),
        ("environment_name", " "),
        ("topic", ""),
        ("capacity", 0),
        ("capacity", True),
        ("capacity", "1000"),
        ("capacity_bytes", -1),
        ("spool_bytes", 0),
        ("remembered_exposures", -1),
        ("reload_seconds", 0),
        ("reload_seconds", float("inf")),
        ("reload_seconds", float("nan")),
        ("reload_seconds", "1"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_name(tmp_path: Path, name: str, value: object) -> None:
    with pytest.raises(InvalidSetting, match=f"^{name} must be"):
        usersplit.connect(configs=tmp_path, **{**GOOD, name: value})


def test_write_ahead_needs_a_place() -> None:
    with pytest.raises(InvalidSetting, match="spool_directory"):
        HitLogger(MemoryHitTransport(), app="a", environment_name="devel", write_ahead=True)


def test_a_module_that_is_missing_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ImportError, match="no_such_module"):
        usersplit.connect(configs=tmp_path, additional_conditions="no_such_module", **GOOD)


def test_a_refused_setting_leaves_nothing_to_close(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="reload_seconds"):
        DirectoryConfigs(tmp_path, reload_seconds=-1)
