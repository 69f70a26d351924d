"""Appending on PostgreSQL: one statement and one round trip, for a thousand facts and for several appends as well."""

from collections.abc import Sequence

from sqlalchemy import Engine

from events.postgres_spare import spare_connection
from events.postgres_statements import statement_for, statement_for_all
from events.sql_append import Batch, answers_up_to
from events.store import Appended


def append_at_once(engine: Engine, batches: Sequence[Batch]) -> list[Appended] | None:
    """Append all of `batches` or nothing. None: nothing was appended; ask `append_in_turn` why.

    Each has at least one fact, and a stream and a command that no other one has.

    Raises:
        DatabaseUnavailable: the connection was lost on the way; whether anything was appended is not known.
    """
    statement, values = statement_for(batches[0]) if len(batches) == 1 else statement_for_all(batches)
    try:
        with spare_connection(engine) as connection:
            # Prepared at once: planning it costs more than executing it.
            row = connection.execute(statement, values, prepare=True).fetchone()
    except engine.dialect.loaded_dbapi.Error:
        # The server answered, with a refusal: the statement was all there was to roll back, and it is.
        return None
    return answers_up_to(row[0], batches) if row else None
