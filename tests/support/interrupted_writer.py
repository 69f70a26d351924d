"""A program that appends under a command id and then hangs before it replies, to be killed there.

Usage: python interrupted_writer.py DATABASE_URL before_commit|after_commit
"""

import sys
from threading import Event
from typing import Any

from sqlalchemy import event

from events.database import open_database
from events.facts import REGISTRY
from events.sql_store import SqlEventStore
from tests.support.event_stores import BY_ANNA, ORDER, some_facts


def hang(*_: Any) -> None:
    """Say that the moment has come, and stay in it."""
    sys.stdout.write("hanging\n")
    sys.stdout.flush()
    Event().wait()


def main() -> None:
    """Append two facts, and hang before or after the commit."""
    _, url, moment = sys.argv
    engine = open_database(url)
    if moment == "before_commit":
        event.listen(engine, "commit", hang)
    SqlEventStore(engine, REGISTRY).append(
        "stream", some_facts(2), expected_version=0, provenance=BY_ANNA, command=ORDER
    )
    hang()


if __name__ == "__main__":
    main()
