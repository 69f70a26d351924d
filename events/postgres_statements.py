"""The statements that append on PostgreSQL: each is a transaction, its commit and one round trip all at once.

The counter row is taken first, for everything else in the statement reads from it, and is held to the commit (rule 1
of `events.store`). The price is that the whole statement sees the log as it was when the statement *began*, before it
waited for the counter. So what the statement itself checks is only good for refusing early; what makes it right are
constraints, which are checked against the present:

- the stream moved on during the wait: UNIQUE(stream, version) is broken;
- the same command was answered during the wait: the primary key of `commands` is broken;
- the stream is shorter than expected: streams never shrink, so it was shorter when the statement began as well; the
  expected version was not there, and the counter stays.

A statement that fails leaves nothing, the positions it took included. Why it failed, `events.sql_append` finds out.

One append goes by its values; several go as JSON, a row a fact: psycopg would take longer to write arrays.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from events.sql_append import Batch

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


def statement_for(batch: Batch) -> tuple[str, dict[str, Any]]:
    """Return the statement that appends `batch`, which has at least one fact, and the values that it takes.

    It returns the position of the last fact; no row if `batch` does not fit.
    """
    return _STATEMENTS[len(batch.facts) == 1, batch.command is not None], _values_of(batch)


def _values_of(batch: Batch) -> dict[str, Any]:
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


# --- Several at once --------------------------------------------------------------------------------------------------

# Looked up a stream at a time, as a value: of a join the planner could make a pass over the whole log.
_ALL_FIT = """
fits AS MATERIALIZED (
    SELECT 1
    WHERE NOT EXISTS (
        SELECT 1 FROM json_to_recordset(%(expected)s::json) AS expected (stream text, version bigint)
        WHERE (
            SELECT events.position FROM events
            WHERE events.stream = expected.stream AND events.version = expected.version
        ) IS NULL
    )
)"""

_ALL_APPENDED = f"""
appended AS ({_INTO_EVENTS}
    SELECT
        counter.position - %(count)s::integer + fact.number,
        fact.stream, fact.version, fact.name, fact.fact_version, fact.payload,
        fact.actor, fact.recorded_at, fact.command_id
    FROM counter, json_to_recordset(%(facts)s::json) AS fact (
        number integer, stream text, version bigint, name text, fact_version integer, payload text,
        actor text, recorded_at timestamptz, command_id text
    )
)"""  # noqa: S608 - put together from constants

_ALL_ANSWERED = """
answered AS (
    INSERT INTO commands (command_id, fingerprint, stream, version, position, answer, recorded_at)
    SELECT
        command.command_id, command.fingerprint, command.stream, command.version,
        counter.position - %(count)s::integer + command.number, command.answer, command.recorded_at
    FROM counter, json_to_recordset(%(commands)s::json) AS command (
        number integer, command_id text, fingerprint text, stream text, version bigint, answer text,
        recorded_at timestamptz
    )
)"""

_ALL_AT_ONCE = (
    f"WITH {_ALL_FIT},{_COUNTER},{_ALL_APPENDED},{_ALL_ANSWERED}"  # noqa: S608 - put together from constants
    " SELECT position FROM counter"
)


class _ExpectedRow(msgspec.Struct, gc=False):
    stream: str
    version: int


class _FactRow(msgspec.Struct, gc=False):
    number: int
    stream: str
    version: int
    name: str
    fact_version: int
    payload: str
    actor: str
    recorded_at: datetime
    command_id: str


class _CommandRow(msgspec.Struct, gc=False):
    number: int
    command_id: str
    fingerprint: str
    stream: str
    version: int
    answer: str
    recorded_at: datetime


def statement_for_all(batches: Sequence[Batch]) -> tuple[str, dict[str, Any]]:
    """Return the statement that appends all of `batches`, each of another stream, and the values that it takes.

    It returns the position of the last fact; no row if one of them does not fit.
    """
    expected, facts, commands = list[_ExpectedRow](), list[_FactRow](), list[_CommandRow]()
    for batch in batches:
        stream, version, provenance = batch.stream, batch.expected_version, batch.provenance
        if version:
            expected.append(_ExpectedRow(stream, version))
        command_id = batch.command.command_id if batch.command else ""
        for fact in batch.facts:
            version += 1
            facts.append(
                _FactRow(
                    number=len(facts) + 1,
                    stream=stream,
                    version=version,
                    name=fact.name,
                    fact_version=fact.version,
                    payload=fact.payload.decode(),
                    actor=provenance.actor,
                    recorded_at=provenance.recorded_at,
                    command_id=command_id,
                )
            )
        if command := batch.command:
            commands.append(
                _CommandRow(
                    number=len(facts),
                    command_id=command_id,
                    fingerprint=command.fingerprint,
                    stream=stream,
                    version=version,
                    answer=command.answer,
                    recorded_at=provenance.recorded_at,
                )
            )
    return _ALL_AT_ONCE, {
        "count": len(facts),
        "expected": _json(expected),
        "facts": _json(facts),
        "commands": _json(commands),
    }


def _json(rows: Sequence[msgspec.Struct]) -> str:
    return msgspec.json.encode(rows).decode()
