"""ClickHouse for tests: a server that somebody started, or its engine in this process, chdb, in a directory a test."""

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import clickhouse_connect
import pytest

from tests.support.tiers import remember

_ENGINE = (
    "its engine in this process (chdb); USERSPLIT_TEST_CLICKHOUSE=clickhouse://user:password@host:8123 for a server"
)


@pytest.fixture
def clickhouse_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database of this test's own."""
    server = os.environ.get("USERSPLIT_TEST_CLICKHOUSE")
    if server is None:
        remember(request.config, "ClickHouse", _ENGINE)
        yield f"chdb://{tmp_path / 'clickhouse'}"
        return
    remember(request.config, "ClickHouse", "a real server, started by somebody else")
    name = f"usersplit_test_{uuid4().hex}"
    client = clickhouse_connect.get_client(dsn=server)
    client.command(f"CREATE DATABASE {name}")
    try:
        yield f"{server.rstrip('/')}/{name}"
    finally:
        client.command(f"DROP DATABASE {name}")
        client.close()
