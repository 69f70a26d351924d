"""Fixtures for every suite live in tests/support, one module a part of the world."""

import gc
from typing import Final

# Confluent's registry client, which tests and a benchmark use, imports Authlib's client for httpx, and Authlib warns
# that httpx has a successor. There is nothing newer to import: it can only be ignored, as pyproject.toml does. But at
# its own first import Authlib puts "always" before every filter there is. That happens here, where pytest puts the
# filters back at once, or it would stand before ours for the rest of the collection.
import authlib.deprecate  # noqa: F401
import pytest

pytest_plugins = ["pytester", "tests.support.tiers", "tests.support.order"]

_FIXTURES: Final = (
    "tests.support.check_forms",
    "tests.support.postgres",
    "tests.support.postgres_power",
    "tests.support.clickhouse",
    "tests.support.database",
    "tests.support.kafka",
    "tests.support.brokers",
    "tests.support.served",
    "tests.support.chromium",
    "tests.support.pages",
    "tests.support.api",
)


def pytest_collection(session: pytest.Session) -> None:
    """Load what tests stand on: not before, for the process that only hands them out to workers never needs it.

    Half of the product is imported here, and no worker starts before that process is ready.
    """
    from hypothesis import settings

    gc.disable()
    # How long one example takes says more about the machine than about the code.
    settings.register_profile("usersplit", deadline=None)
    settings.load_profile("usersplit")
    for name in _FIXTURES:
        session.config.pluginmanager.import_plugin(name)


def pytest_collection_finish() -> None:
    """Leave what was imported out of every later garbage collection: it lives to the end, and there is a lot of it.

    Looking through it again and again took a third of the time of collecting the tests. And look less often from then
    on: a test of properties makes so many objects that live for one example that, by Python's own threshold of 700,
    one second in fifteen went into finding none to throw away.
    """
    gc.freeze()
    gc.set_threshold(20_000)
    gc.enable()
