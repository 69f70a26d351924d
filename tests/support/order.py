"""The order of a run: what takes a minute does not begin when all the rest is done."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put tests marked `long` before the first test of the slow suites: the other worker has something to do then."""
    long = [item for item in items if item.get_closest_marker("long")]
    others = [item for item in items if not item.get_closest_marker("long")]
    first = next((at for at, item in enumerate(others) if "unit" not in item.path.parts), len(others))
    items[:] = [*others[:first], *long, *others[first:]]
