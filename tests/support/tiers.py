"""Which real parts a run used, said at its end, so that nobody takes a small run for a whole one."""

from typing import Any, Final

import pytest

PARTS: Final = ("Kafka", "PostgreSQL", "ClickHouse", "Chromium", "Node", "Cookie Cats")
_TIERS: Final = pytest.StashKey[dict[str, set[str]]]()


def remember(config: pytest.Config, part: str, tier: str) -> None:
    """Note that this run used `tier` for `part`."""
    _tiers(config).setdefault(part, set()).add(tier)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand what this worker used to the main process of pytest-xdist, if there is one."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["tiers"] = {part: sorted(tiers) for part, tiers in _tiers(session.config).items()}


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a worker of pytest-xdist used."""
    for part, tiers in getattr(node, "workeroutput", {}).get("tiers", {}).items():
        for tier in tiers:
            remember(node.config, part, tier)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print a line a part."""
    for part in PARTS:
        used = "; ".join(sorted(_tiers(config).get(part, ()))) or "none was needed"
        terminalreporter.write_line(f"{part} in this run: {used}")


def _tiers(config: pytest.Config) -> dict[str, set[str]]:
    return config.stash.setdefault(_TIERS, {})
