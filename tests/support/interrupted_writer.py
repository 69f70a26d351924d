"""A program that appends under a command id and never replies, to be killed there.

Usage: python interrupted_writer.py DATABASE_URL before_commit|after_commit

It says "hanging" before it hangs. On PostgreSQL the commit belongs to the server: there, `before_commit` needs a URL
whose transactions stop at a `PostgresCommitGate`.
"""

import sys
from threading import Event

from events.database import open_database
from events.facts import REGISTRY
from events.sql_store import SqlEventStore
from tests.support.commit_gates import before_every_commit
from tests.support.event_stores import BY_ANNA, ORDER, some_facts


def say_so() -> None:
    """Say that the moment has come."""
    sys.stdout.write("hanging\n")
    sys.stdout.flush()


def hang() -> None:
    """Say that the moment has come, and stay in it."""
    say_so()
    Event().wait()


def main() -> None:
    """Append two facts, and hang before or after the commit."""
    _, url, moment = sys.argv
    engine = open_database(url)
    if moment == "before_commit" and url.startswith("sqlite"):
        before_every_commit(engine, hang)
    elif moment == "before_commit":
        say_so()
    SqlEventStore(engine, REGISTRY).append(
        "stream", some_facts(2), expected_version=0, provenance=BY_ANNA, command=ORDER
    )
    hang()


if __name__ == "__main__":
    main()
