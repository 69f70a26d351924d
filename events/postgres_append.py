"""Appending on PostgreSQL in one statement, which is a transaction, a commit and one round trip all at once.

The counter row is taken first, for everything else in the statement reads from it, and is held to the commit (rule 1
of `events.store`). The price is that the whole statement sees the log as it was when the statement *began*, before it
waited for the counter. So what the statement itself checks is only good for refusing early; what makes it right are
constraints, which are checked against the present:

- the stream moved on during the wait: UNIQUE(stream, version) is broken;
- the same command was answered during the wait: the primary key of `commands` is broken;
- the stream is shorter than expected: streams never shrink, so it was shorter when the statement began as well; the
  expected version was not there, and the counter stays.

A statement that fails leaves nothing, the positions it took included. Why it failed, `events.sql_append` finds out.
"""

from typing import Any

from sqlalchemy import Engine

from events.postgres_spare import spare_connection
from events.sql_append import Batch
from events.store import Appended

# Materialized, not a condition of the UPDATE: a writer that waited for the counter checks such a condition once more,
# with the log to itself and everybody behind it.
_FITS = """
fits AS MATERIALIZED (
    SELECT 1
    WHERE %(expected_version)s::bigint = 0 OR EXISTS (
        SELECT 1 FROM events WHERE stream = %(stream)s::text AND version = %(expected_version)s::bigint
    )
)"""

_COUNTER = """
counter AS (
    UPDATE event_counter SET position = position + %(count)s::integer
    FROM fits
    WHERE id = 1
    RETURNING position
)"""

_INTO_EVENTS = """
    INSERT INTO events (position, stream, version, name, fact_version, payload, actor, recorded_at, command_id)"""

# Most appends are of one fact, and to take texts of lines apart costs the server a fifth of such an append.
_ONE_APPENDED = f"""
appended AS ({_INTO_EVENTS}
    SELECT
        counter.position, %(stream)s::text, %(expected_version)s::bigint + 1,
        %(names)s::text, %(fact_versions)s::integer, %(payloads)s::text,
        %(actor)s::text, %(recorded_at)s::timestamptz, %(command_id)s::text
    FROM counter
)"""  # noqa: S608 - put together from constants

# The facts arrive as three texts of lines: far cheaper to send than arrays or rows. A line break cannot occur in the
# JSON of a payload; in a fact's name it would leave a column of some row empty, which NOT NULL refuses.
_MANY_APPENDED = f"""
appended AS ({_INTO_EVENTS}
    SELECT
        counter.position - %(count)s::integer + fact.number,
        %(stream)s::text, %(expected_version)s::bigint + fact.number,
        fact.name, fact.version::integer, fact.payload,
        %(actor)s::text, %(recorded_at)s::timestamptz, %(command_id)s::text
    FROM counter, ROWS FROM (
        string_to_table(%(names)s::text, E'\\n'),
        string_to_table(%(fact_versions)s::text, E'\\n'),
        string_to_table(%(payloads)s::text, E'\\n')
    ) WITH ORDINALITY AS fact (name, version, payload, number)
)"""  # noqa: S608 - likewise

_ANSWERED = """
answered AS (
    INSERT INTO commands (command_id, fingerprint, stream, version, position, answer, recorded_at)
    SELECT
        %(command_id)s::text, %(fingerprint)s::text, %(stream)s::text,
        %(expected_version)s::bigint + %(count)s::integer, counter.position, %(answer)s::text,
        %(recorded_at)s::timestamptz
    FROM counter
)"""


def _statement(appended: str, *, answered: bool) -> str:
    steps = (_FITS, _COUNTER, appended, _ANSWERED) if answered else (_FITS, _COUNTER, appended)
    return f"WITH {','.join(steps)} SELECT position FROM counter"  # noqa: S608 - put together from constants


_STATEMENTS = {
    (is_one, answered): _statement(_ONE_APPENDED if is_one else _MANY_APPENDED, answered=answered)
    for is_one in (True, False)
    for answered in (True, False)
}


def statement_for(batch: Batch) -> str:
    """Return the statement that appends `batch`; its parameters are those of `parameters_of`."""
    return _STATEMENTS[len(batch.facts) == 1, batch.command is not None]


def append_at_once(engine: Engine, batch: Batch) -> Appended | None:
    """Append `batch`, which has at least one fact, or nothing. None: nothing was appended; ask `append_in_turn` why.

    Raises:
        DatabaseUnavailable: the connection was lost on the way; whether anything was appended is not known.
    """
    try:
        with spare_connection(engine) as connection:
            # Prepared at once: planning it costs more than executing it.
            row = connection.execute(statement_for(batch), parameters_of(batch), prepare=True).fetchone()
    except engine.dialect.loaded_dbapi.Error:
        # The server answered, with a refusal: the statement was all there was to roll back, and it is.
        return None
    return batch.appended_up_to(row[0]) if row else None


def parameters_of(batch: Batch) -> dict[str, Any]:
    """Return the values that the statement for `batch` takes."""
    parameters = {
        "count": len(batch.facts),
        "stream": batch.stream,
        "expected_version": batch.expected_version,
        "names": "\n".join([fact.name for fact in batch.facts]),
        "fact_versions": "\n".join([str(fact.version) for fact in batch.facts]),
        "payloads": b"\n".join([fact.payload for fact in batch.facts]).decode(),
        "actor": batch.provenance.actor,
        "recorded_at": batch.provenance.recorded_at,
        "command_id": "",
    }
    if batch.command:
        parameters["command_id"] = batch.command.command_id
        parameters["fingerprint"] = batch.command.fingerprint
        parameters["answer"] = batch.command.answer
    return parameters
