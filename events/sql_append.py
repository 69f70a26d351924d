"""Appending step by step: first the counter, then every check with the log to itself, then the rows.

This is the way that knows the answer in every case, and it costs a round trip a step. `events.postgres_append` and
`events.sqlite_append` are short cuts for the case that everything is as the caller expects; where it is not, they
append nothing and leave it to this one to say why.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from events.database import named_errors, write_transaction
from events.errors import CommandIdReused, CounterBehindLog, VersionConflict
from events.registry import EncodedFact
from events.sql_tables import commands_table, event_counter_table, events_table
from events.store import Appended, Command, Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The facts of one append, already encoded, with all that the append was asked for."""

    stream: str
    facts: Sequence[EncodedFact]
    expected_version: int
    provenance: Provenance
    command: Command | None

    def appended_up_to(self, position: int) -> Appended:
        """Return the answer for a batch that ends at `position`."""
        return Appended(
            stream=self.stream,
            version=self.expected_version + len(self.facts),
            position=position,
            answer=self.command.answer if self.command else "",
        )


def answers_up_to(position: int, batches: Sequence[Batch]) -> list[Appended]:
    """Return the answers for `batches` that stand one behind the other in the log and end at `position`."""
    answers = list[Appended]()
    for batch in reversed(batches):
        answers.append(batch.appended_up_to(position))
        position -= len(batch.facts)
    return answers[::-1]


def append_in_turn(engine: Engine, batch: Batch) -> Appended:
    """Append `batch` or nothing; answer a replayed command as it was answered first.

    Raises:
        VersionConflict: the stream is not at the expected version.
        CommandIdReused: the command's id is known with another fingerprint.
        CounterBehindLog: the counter gives out positions that are taken.
    """
    try:
        with named_errors(), write_transaction(engine) as connection:
            # First of all: from here to the commit this writer is alone. Every statement below sees what the writer
            # before it committed, for on PostgreSQL each takes a snapshot of its own, after this one's wait.
            position = _take_positions(connection, len(batch.facts))
            if batch.command and (
                first := first_answer(connection, batch.command.command_id, batch.command.fingerprint)
            ):
                connection.rollback()  # gives the positions back
                return first
            version = stream_version(connection, batch.stream)
            if version != batch.expected_version:
                raise VersionConflict(batch.stream, batch.expected_version, version)
            answer = batch.appended_up_to(position)
            if batch.facts:
                connection.execute(insert(events_table), _event_rows(batch, answer))
            if batch.command:
                connection.execute(insert(commands_table), _command_row(batch.command, answer, batch.provenance))
    except IntegrityError as error:
        _explain(engine, error, batch)
        raise
    return answer


def first_answer(connection: Connection, command_id: str, fingerprint: str) -> Appended | None:
    """Return what the command was answered first, None if it is new.

    Raises:
        CommandIdReused: the id is known with another fingerprint.
    """
    row = connection.execute(select(commands_table).where(commands_table.c.command_id == command_id)).one_or_none()
    if row is None:
        return None
    if row.fingerprint != fingerprint:
        raise CommandIdReused(command_id)
    return Appended(stream=row.stream, version=row.version, position=row.position, answer=row.answer, replayed=True)


def stream_version(connection: Connection, stream: str) -> int:
    """Return the version of the newest fact of `stream`, 0 if it has none."""
    newest = select(func.max(events_table.c.version)).where(events_table.c.stream == stream)
    return int(connection.execute(newest).scalar_one() or 0)


def _take_positions(connection: Connection, count: int) -> int:
    counter = event_counter_table.c
    taken = update(event_counter_table).where(counter.id == 1).values(position=counter.position + count)
    return int(connection.execute(taken.returning(counter.position)).scalar_one())


def _explain(engine: Engine, error: IntegrityError, batch: Batch) -> None:
    """Name what a broken UNIQUE means. The counter's lock rules it out, unless somebody writes around it."""
    with named_errors(), engine.connect() as connection:
        version = stream_version(connection, batch.stream)
        counter = connection.execute(select(event_counter_table.c.position)).scalar_one()
        newest = connection.execute(select(func.max(events_table.c.position))).scalar_one() or 0
    if version != batch.expected_version:
        raise VersionConflict(batch.stream, batch.expected_version, version) from error
    if newest > counter:
        raise CounterBehindLog(counter, newest) from error


def _event_rows(batch: Batch, last: Appended) -> list[dict[str, Any]]:
    return [
        {
            "position": last.position - behind,
            "stream": last.stream,
            "version": last.version - behind,
            "name": fact.name,
            "fact_version": fact.version,
            "payload": fact.payload.decode(),
            "actor": batch.provenance.actor,
            "recorded_at": batch.provenance.recorded_at,
            "command_id": batch.command.command_id if batch.command else "",
        }
        for behind, fact in zip(range(len(batch.facts) - 1, -1, -1), batch.facts, strict=True)
    ]


def _command_row(command: Command, answer: Appended, provenance: Provenance) -> dict[str, Any]:
    return {
        "command_id": command.command_id,
        "fingerprint": command.fingerprint,
        "stream": answer.stream,
        "version": answer.version,
        "position": answer.position,
        "answer": answer.answer,
        "recorded_at": provenance.recorded_at,
    }
