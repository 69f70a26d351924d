"""Fixtures for every suite live in tests/support, one module a part of the world."""

from hypothesis import settings

from tests.support.examples import USUAL, examples

# How long one example takes says more about the machine than about the code.
settings.register_profile("usersplit", deadline=None, max_examples=examples(USUAL))
settings.load_profile("usersplit")

pytest_plugins = [
    "pytester",
    "tests.support.tiers",  # first, for the others use it
    "tests.support.order",
    "tests.support.postgres",
    "tests.support.clickhouse",
    "tests.support.database",
    "tests.support.kafka",
    "tests.support.served",
    "tests.support.pages",
    "tests.support.api",
]
