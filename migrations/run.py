"""Bring a database to the newest schema: what `python -m entrypoints migrate` and every test call.

The tables of read models are not here: a projection makes its own, one set a generation, when it is (re)built.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from events.database import open_database, write_transaction

_HERE = Path(__file__).parent

_MIGRATION_LOCK = 0x75736572_73706C74
"""An arbitrary but fixed number ("usersplt" in ASCII) under which runs on PostgreSQL queue up."""


def upgrade(url: str) -> None:
    """Bring the database at `url` to the newest schema, in one transaction. Safe to run twice, and twice at once.

    One process must not migrate two databases at the same moment: alembic keeps its context in a global.
    """
    engine = open_database(url)
    try:
        with write_transaction(engine) as connection:
            wait_for_other_runs(connection)
            command.upgrade(configuration(connection), "head")
    finally:
        engine.dispose()


def current(url: str) -> str:
    """Return the revision of the database at `url`, empty if it was never migrated."""
    engine = open_database(url)
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision() or ""
    finally:
        engine.dispose()


def newest() -> str:
    """Return the revision that this program expects a database to be at."""
    return ScriptDirectory(str(_HERE)).get_current_head() or ""


def wait_for_other_runs(connection: Connection) -> None:
    """Block until no other migration of this database runs; the transaction of `connection` then holds the lock.

    SQLite needs nothing more: the write transaction itself lets one run in at a time.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})


def configuration(connection: Connection) -> Config:
    """Return alembic's configuration, bound to `connection` and its open transaction."""
    config = Config()
    config.set_main_option("script_location", str(_HERE).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
