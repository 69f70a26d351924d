"""The first answers to changes that are no facts (of accounts, API tokens and projections), to be given once more.

The log keeps the answers to its own commands. These changes are done in one transaction with the row that says they
were, so that a repeated request finds it after a crash, and in every process: either both are there, or neither. Rows
are kept for `KEPT`: who repeats a request, does it within the hour.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Integer,
    MetaData,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from events.database import UtcDateTime, write_transaction
from events.errors import CommandIdReused

KEPT: Final = timedelta(hours=24)

metadata = MetaData()

first_answers_table = Table(
    "first_answers",
    metadata,
    # Each person has keys of their own: nobody learns from a refusal that somebody else used one.
    Column("actor", Text, primary_key=True),
    Column("idempotency_key", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("headers", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("until", UtcDateTime, nullable=False, index=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What somebody asks for, perhaps a second time.

    Attributes:
        key: the Idempotency-Key, empty where a second time is to be done a second time.
        fingerprint: makes it this change and no other.
    """

    actor: str
    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstAnswer:
    """What was answered: a status, JSON or nothing, and headers."""

    status: int
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class AnsweredMeanwhile(Exception):
    """The same request was at work in another thread or process, and is done now: its answer is there."""


class Deed:
    """One transaction in which a change is made. It begins when it is first written in, and claims the errand then.

    Attributes:
        answer: how it is to be answered, also to whoever asks again.
    """

    answer: FirstAnswer

    def __init__(self, begin: Callable[[], AbstractContextManager[Connection]], stack: ExitStack) -> None:
        self._begin = begin
        self._stack = stack
        self._connection: Connection | None = None

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield its connection.

        Raises:
            AnsweredMeanwhile: see there; nothing may be changed then.
        """
        if self._connection is None:
            self._connection = self._stack.enter_context(self._begin())
        yield self._connection


class FirstAnswers:
    """The answers in the database.

    Args:
        engine: the database.
        now: the clock.
    """

    def __init__(self, engine: Engine, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._now = now

    def of(self, errand: Errand) -> FirstAnswer | None:
        """Return how the errand was answered first, None if it is new.

        Raises:
            CommandIdReused: the key is known for another change.
        """
        if not errand.key:
            return None
        query = select(first_answers_table).where(*_is(errand), first_answers_table.c.until > self._now())
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        if row.fingerprint != errand.fingerprint:
            raise CommandIdReused(errand.key)
        return FirstAnswer(status=row.status, body=row.body, headers=msgspec.json.decode(row.headers))

    @contextmanager
    def deed(self, errand: Errand) -> Iterator[Deed]:
        """Yield the transaction of what is asked; what is written in it and its answer are there after it, or neither.

        Raises:
            AnsweredMeanwhile: see there.
        """
        with ExitStack() as stack:
            deed = Deed(lambda: self._claimed(errand), stack)
            yield deed
            if errand.key:
                with deed.writing() as connection:
                    _keep(connection, errand, deed.answer)

    @contextmanager
    def _claimed(self, errand: Errand) -> Iterator[Connection]:
        if errand.key:
            with write_transaction(self._engine) as connection:
                connection.execute(delete(first_answers_table).where(first_answers_table.c.until <= self._now()))
        with write_transaction(self._engine) as connection:
            if errand.key:
                self._claim(connection, errand)
            yield connection

    def _claim(self, connection: Connection, errand: Errand) -> None:
        row = {
            "actor": errand.actor,
            "idempotency_key": errand.key,
            "fingerprint": errand.fingerprint,
            "status": 0,
            "headers": "{}",
            "body": "",
            "until": self._now() + KEPT,
        }
        try:
            # Whoever has the same errand at this moment waits here until the first one is done or undone.
            connection.execute(insert(first_answers_table).values(row))
        except IntegrityError as error:
            raise AnsweredMeanwhile from error


def _keep(connection: Connection, errand: Errand, answer: FirstAnswer) -> None:
    headers = msgspec.json.encode(answer.headers).decode()
    values = {"status": answer.status, "headers": headers, "body": answer.body}
    connection.execute(update(first_answers_table).where(*_is(errand)).values(values))


def _is(errand: Errand) -> tuple[ColumnElement[bool], ...]:
    return first_answers_table.c.actor == errand.actor, first_answers_table.c.idempotency_key == errand.key
