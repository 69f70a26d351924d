"""Appending on SQLite with the driver's own, prepared statements: what SQLAlchemy adds costs more than the commit.

BEGIN IMMEDIATE comes first and waits for other writers, so every statement after it sees the present and nobody else
writes until the commit (rule 1 of `events.store`).
"""

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Engine

from events.database import driver_connection, named_errors
from events.sql_append import Batch
from events.store import Appended

_TAKE_POSITIONS = (
    "UPDATE event_counter SET position = position + ?"
    " WHERE id = 1 AND coalesce((SELECT max(version) FROM events WHERE stream = ?), 0) = ? RETURNING position"
)
_APPEND = (
    "INSERT INTO events (position, stream, version, name, fact_version, payload, actor, recorded_at, command_id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_ANSWER = (
    "INSERT INTO commands (command_id, fingerprint, stream, version, position, answer, recorded_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)


def append_at_once(engine: Engine, batches: Sequence[Batch]) -> list[Appended] | None:
    """Append all of `batches` or nothing. None: nothing was appended; ask `append_in_turn` why.

    Each has at least one fact, and a stream and a command that no other one has.

    Raises:
        DatabaseUnavailable: the file cannot be opened or written, or stayed locked for longer than a writer waits.
        SchemaMissing: the tables are not there.
    """
    try:
        with named_errors(), driver_connection(engine) as connection:
            connection.execute("BEGIN IMMEDIATE")
            answers = list[Appended]()
            for batch in batches:
                answer = _append(connection, batch)
                if answer is None:
                    return None  # closing the connection instead of committing rolls back
                answers.append(answer)
            connection.execute("COMMIT")
            return answers
    except sqlite3.IntegrityError:
        return None


def _append(connection: sqlite3.Connection, batch: Batch) -> Appended | None:
    count, stream, version = len(batch.facts), batch.stream, batch.expected_version
    # All rows are fetched, or the statement would still be running at the commit.
    taken = connection.execute(_TAKE_POSITIONS, (count, stream, version)).fetchall()
    if not taken:
        return None
    answer = batch.appended_up_to(taken[0][0])
    before, moment = answer.position - count, _as_stored(batch.provenance.recorded_at)
    actor, command_id = batch.provenance.actor, batch.command.command_id if batch.command else ""
    connection.executemany(
        _APPEND,
        [
            (
                before + number,
                stream,
                version + number,
                fact.name,
                fact.version,
                fact.payload.decode(),
                actor,
                moment,
                command_id,
            )
            for number, fact in enumerate(batch.facts, start=1)
        ],
    )
    if command := batch.command:
        connection.execute(
            _ANSWER,
            (command_id, command.fingerprint, stream, answer.version, answer.position, command.answer, moment),
        )
    return answer


def _as_stored(moment: datetime) -> str:
    """Return `moment` as SQLAlchemy's DATETIME of SQLite writes it, so that both ways read and compare alike."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
