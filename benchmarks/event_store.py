"""Appending: UserSplit's event store beside the one of `eventsourcing` (PyPI), on one PostgreSQL with fsync on.

Compared is what an application waits for: the call that appends to one aggregate and returns after the commit.

- *UserSplit*: `SqlEventStore.append`, which also writes each fact as JSON and reads it back once to check it.
- *eventsourcing*: `insert_events` of its PostgreSQL application recorder, as its factory makes it, with its defaults:
  its table is locked for the length of an append, so that its readers miss nothing either. It is handed the same JSON
  as bytes ready-made, so its own mapper and transcoder cost it nothing here. (Its database function is faster and
  does not lock: a reader can miss an event then, which is not the same promise.)

Both sides have a database of their own on the same server, warm connections, aggregates of up to 100 events, and
neither records a command id. Eight writers are eight threads of one process, as those that serve the API are, with one
store between them; and, beside it, eight processes with a store each, which cannot commit together. Rounds alternate,
and a ratio is the median of the rounds' own ratios: what else the machine does in a round slows both sides.

The *floor* is the fewest round trips that keep the promise with a commit an append, in a bare loop over psycopg: the
same single statement; and, for 100 events, the counter and a COPY in a transaction.
"""

import json
import multiprocessing
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from typing import Any, Protocol
from uuid import uuid4

import psycopg
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresFactory
from sqlalchemy import make_url, text

from events.database import open_database
from events.facts import REGISTRY, CodeDeployed
from events.postgres_statements import statement_for
from events.sql_append import Batch
from events.sql_store import SqlEventStore
from events.store import Provenance
from migrations.run import upgrade
from tests.support.postgres import PostgresServer, running_postgres

ROUNDS = 9
SECONDS = 0.5
WRITERS = 8
STREAM_LENGTH = 100

FACT = CodeDeployed(
    key="green_button",
    hit_id="0196a3c0-7b1e-7a4e-8f1b-2a6d5c3e9f10",
    occurred_at=datetime(2026, 5, 3, 14, 5, 6, 789012, tzinfo=UTC),
    app="store",
    host="web-3",
)
BY_ANNA = Provenance(actor="anna", recorded_at=datetime(2026, 5, 3, 14, 5, 7, tzinfo=UTC))


@dataclass(frozen=True, slots=True, kw_only=True)
class Urls:
    """The SQLAlchemy URLs of both sides' databases."""

    usersplit: str
    eventsourcing: str


class Side(Protocol):
    """One writer of one of the compared stores."""

    def __call__(self, aggregate: int, version: int, count: int) -> None:
        """Append `count` events to this writer's `aggregate`, which is at `version`; return when they are committed."""
        ...


NewWriter = Callable[[], Side]
"""Make one more writer of a process: a thread's own, on the store that the threads share."""


def usersplit(urls: Urls) -> NewWriter:
    """Return writers of UserSplit's store."""
    store = SqlEventStore(open_database(urls.usersplit), REGISTRY)

    def new_writer() -> Side:
        writer = uuid4().hex

        def append(aggregate: int, version: int, count: int) -> None:
            store.append(f"{writer}/{aggregate}", [FACT] * count, expected_version=version, provenance=BY_ANNA)

        return append

    return new_writer


def eventsourcing(urls: Urls, *, creates_tables: bool = False) -> NewWriter:
    """Return writers of the recorder of `eventsourcing`. Two at once cannot create its tables."""
    url = make_url(urls.eventsourcing)
    environment = {
        "POSTGRES_DBNAME": str(url.database),
        "POSTGRES_HOST": str(url.query.get("host", url.host)),
        "POSTGRES_PORT": str(url.port or 5432),
        "POSTGRES_USER": str(url.username),
        "POSTGRES_PASSWORD": str(url.password or ""),
        "CREATE_TABLE": "yes" if creates_tables else "no",
    }
    recorder = PostgresFactory(environment).application_recorder()
    payload = REGISTRY.encode(FACT).payload

    def new_writer() -> Side:
        aggregates = dict.fromkeys([0], uuid4())

        def append(aggregate: int, version: int, count: int) -> None:
            originator = aggregates.setdefault(aggregate, uuid4())
            recorder.insert_events(
                [
                    StoredEvent(
                        originator_id=originator,
                        originator_version=version + number,
                        topic="events.facts:CodeDeployed",
                        state=payload,
                    )
                    for number in range(1, count + 1)
                ]
            )

        return append

    return new_writer


def _bare_connection(urls: Urls, *, autocommit: bool) -> psycopg.Connection[Any]:
    url = make_url(urls.usersplit).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(url, autocommit=autocommit)


def bare_statement(urls: Urls) -> Side:
    """Return the same single statement as `SqlEventStore` sends, and nothing around it."""
    connection = _bare_connection(urls, autocommit=True)
    writer, encoded = uuid4().hex, REGISTRY.encode(FACT)

    def append(aggregate: int, version: int, count: int) -> None:
        batch = Batch(
            stream=f"{writer}/{aggregate}",
            facts=[encoded] * count,
            expected_version=version,
            provenance=BY_ANNA,
            command=None,
        )
        statement, values = statement_for(batch)
        assert connection.execute(statement, values, prepare=True).fetchone()

    return append


def bare_copy(urls: Urls) -> Side:
    """Return a transaction of counter, version check, COPY and commit."""
    connection = _bare_connection(urls, autocommit=False)
    writer, encoded = uuid4().hex, REGISTRY.encode(FACT)
    payload = encoded.payload.decode()
    columns = "position, stream, version, name, fact_version, payload, actor, recorded_at, command_id"
    counter = "UPDATE event_counter SET position = position + %s WHERE id = 1 RETURNING position"

    def append(aggregate: int, version: int, count: int) -> None:
        stream = f"{writer}/{aggregate}"
        with connection.transaction(), connection.cursor() as cursor:
            row = cursor.execute(counter, (count,)).fetchone()
            assert row
            cursor.execute("SELECT coalesce(max(version), 0) FROM events WHERE stream = %s", (stream,))
            assert cursor.fetchone() == (version,)
            with cursor.copy(f"COPY events ({columns}) FROM STDIN") as copy:
                for number in range(1, count + 1):
                    copy.write_row(
                        (
                            row[0] - count + number,
                            stream,
                            version + number,
                            encoded.name,
                            encoded.version,
                            payload,
                            BY_ANNA.actor,
                            BY_ANNA.recorded_at,
                            "",
                        )
                    )

    return append


SIDES: dict[str, Callable[[Urls], NewWriter]] = {
    "usersplit": usersplit,
    "eventsourcing": eventsourcing,
    "bare_statement": lambda urls: lambda: bare_statement(urls),
    "bare_copy": lambda urls: lambda: bare_copy(urls),
}


class Writer:
    """One thread's writers of all sides, each at its place in an aggregate of its own."""

    def __init__(self, new_writers: dict[str, NewWriter]) -> None:
        self._sides = {name: new_writer() for name, new_writer in new_writers.items()}
        self._places = dict.fromkeys(self._sides, (0, 0))
        for name in self._sides:
            for count in (1, 1, 1, 1, 1, 1, 100):
                self._append(name, count)
                self._places[name] = (self._places[name][0] + 1, 0)

    def write(self, name: str, count: int, start: float, end: float) -> int:
        """Append `count` events again and again from `start` to `end` (monotonic); return how many were appended."""
        time.sleep(max(0.0, start - time.monotonic()))
        appended = 0
        while time.monotonic() < end:
            self._append(name, count)
            appended += count
        return appended

    def _append(self, name: str, count: int) -> None:
        aggregate, version = self._places[name]
        self._sides[name](aggregate, version, count)
        version += count
        self._places[name] = (aggregate, version) if version + count <= STREAM_LENGTH else (aggregate + 1, 0)


def write_when_told(orders: Connection, urls: Urls, threads: int) -> None:
    """Be a process of writers: for every order (threads, side, events a commit, start, end) append; say how much."""
    new_writers = {name: make(urls) for name, make in SIDES.items()}
    writers = [Writer(new_writers) for _ in range(threads)]
    orders.send(None)
    with ThreadPoolExecutor(threads) as pool:
        while order := orders.recv():
            many, *what = order
            orders.send(sum(pool.map(lambda writer: writer.write(*what), writers[:many])))  # noqa: B023 - ends here


def events_per_second(processes: Sequence[Connection], threads: int, name: str, count: int) -> float:
    """Have `threads` writers in each of `processes` append at once for a while."""
    start = time.monotonic() + 0.05
    for process in processes:
        process.send((threads, name, count, start, start + SECONDS))
    return sum(int(process.recv()) for process in processes) / SECONDS


def compare(processes: Sequence[Connection], threads: int, count: int, names: Sequence[str]) -> dict[str, list[float]]:
    """Return each side's figures, round by round."""
    figures: dict[str, list[float]] = {name: [] for name in names}
    for number in range(ROUNDS):
        for name in names if number % 2 == 0 else reversed(names):
            figures[name].append(events_per_second(processes, threads, name, count))
    return figures


def check_what_was_written(urls: Urls) -> None:
    """Raise unless the log is gapless, and as durable as the benchmark says."""
    with open_database(urls.usersplit).connect() as connection:
        counted, highest = connection.execute(text("SELECT count(*), max(position) FROM events")).one()
        assert counted == highest == connection.execute(text("SELECT position FROM event_counter")).scalar_one()
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert connection.execute(text(f"SHOW {setting}")).scalar_one() == "on", f"{setting} is off"


def ratio(figures: dict[str, list[float]]) -> float:
    """Return how many times as fast as `eventsourcing` UserSplit is: the median of the rounds."""
    pairs = zip(figures["usersplit"], figures["eventsourcing"], strict=True)
    return round(statistics.median(ours / theirs for ours, theirs in pairs), 2)


def run(server: PostgresServer) -> dict[str, float]:
    """Run every comparison and return the figures."""
    context = multiprocessing.get_context("spawn")
    result: dict[str, float] = {}
    with server.new_database() as ours, server.new_database() as theirs:
        urls = Urls(usersplit=ours, eventsourcing=theirs)
        upgrade(ours)
        eventsourcing(urls, creates_tables=True)
        connections: list[Connection] = []
        processes = []
        for number in range(WRITERS):
            mine, its = context.Pipe()
            threads = WRITERS if number == 0 else 1
            process = context.Process(target=write_when_told, args=(its, urls, threads), daemon=True)
            process.start()
            connections.append(mine)
            processes.append(process)
        for connection in connections:
            connection.recv()  # it is warm
        for key, many, threads, count, floors in (
            ("append_1", 1, 1, 1, ["bare_statement"]),
            ("append_8", 1, WRITERS, 1, ["bare_statement"]),
            ("append_8_processes", WRITERS, 1, 1, ["bare_statement"]),
            ("append_100", 1, 1, 100, ["bare_statement", "bare_copy"]),
        ):
            figures = compare(connections[:many], threads, count, ["usersplit", "eventsourcing", *floors])
            result[f"{key}_ratio"] = ratio(figures)
            for name, rounds in figures.items():
                result[f"{key}_{name}_events_per_second"] = round(statistics.median(rounds))
            print(
                f"{many} process(es) of {threads} writer(s), {count} event(s) an append:",
                f"{result[f'{key}_ratio']} times eventsourcing;",
                ", ".join(f"{name} {statistics.median(rounds):,.0f}/s" for name, rounds in figures.items()),
                flush=True,
            )
        for connection, process in zip(connections, processes, strict=True):
            connection.send(None)
            process.join()
        check_what_was_written(urls)
    return result


def main() -> None:
    """Print the figures; the last line is JSON."""
    with running_postgres() as server:
        print(f"PostgreSQL: {server.origin}")
        result = run(server)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
