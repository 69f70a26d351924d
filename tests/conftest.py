"""Fixtures for every suite live in tests/support, one module a part of the world."""

pytest_plugins = ["tests.support.postgres", "tests.support.database", "tests.support.kafka"]
