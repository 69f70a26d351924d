"""Alembic's entry: within `migrations.run` on its connection; from the `alembic` command, on `-x url=…`."""

from alembic import context
from sqlalchemy import Connection

from events.checkpoints import metadata as checkpoints_metadata
from events.database import open_database, write_transaction
from events.sql_store import metadata as store_metadata
from migrations.run import wait_for_other_runs

_METADATA = [store_metadata, checkpoints_metadata]


def _is_in_code(name: str | None, kind: str, parents: object) -> bool:
    """Leave the read models' tables alone: projections make and drop them, a generation at a time."""
    del parents
    return kind != "table" or any(name in metadata.tables for metadata in _METADATA)


def _migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=_METADATA,
        include_name=_is_in_code,
        # SQLite's transactions are ours (see events.database), so that a failed migration leaves nothing there either.
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def _migrate_at(url: str) -> None:
    engine = open_database(url)
    try:
        with write_transaction(engine) as connection:
            wait_for_other_runs(connection)
            _migrate(connection)
    finally:
        engine.dispose()


def _url_from_command_line() -> str:
    url = context.get_x_argument(as_dictionary=True).get("url")
    if not isinstance(url, str):
        raise SystemExit("Say which database: alembic -x url=sqlite:///usersplit.db upgrade head")
    return url


_connection = context.config.attributes.get("connection")
if _connection is not None:
    _migrate(_connection)
else:
    _migrate_at(_url_from_command_line())
