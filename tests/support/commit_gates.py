"""Gates just before the commit, on both databases, at which a test stops the transactions of one writer.

They stand in the database and its driver, not in the store: what is stopped there is the store as it is shipped.
"""

import sqlite3
from collections.abc import Callable
from threading import Event
from types import TracebackType
from typing import Any, Protocol, Self
from uuid import uuid4

from sqlalchemy import Engine, event, make_url, text

from events.database import _SqliteConnection, open_database

PATIENCE_SECONDS = 60

_INSTALL = """
CREATE FUNCTION stop_at_the_gate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF starts_with(current_setting('application_name'), 'gate-') THEN
        PERFORM pg_advisory_xact_lock(substr(current_setting('application_name'), 6)::bigint);
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER gate AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION stop_at_the_gate();
CREATE CONSTRAINT TRIGGER gate AFTER INSERT ON commands DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION stop_at_the_gate();
"""


class RolledBackByTest(Exception):
    """The test chose this end for a transaction that stood at the gate."""


class CommitGate(Protocol):
    """A gate at which every transaction of one engine stops."""

    engine: Engine

    def reached(self, *, within_seconds: float = PATIENCE_SECONDS) -> bool:
        """Tell whether a transaction stands at the gate, waiting for one."""
        ...

    def keeps_waiting_elsewhere(self) -> bool:
        """Tell whether the engine's transaction, just begun, waits for another one instead of coming to the gate."""
        ...

    def open(self) -> None:
        """Let this transaction and all later ones commit."""
        ...

    def roll_back(self) -> None:
        """End the transaction at the gate without its commit."""
        ...

    def close(self) -> None:
        """Take the gate away."""
        ...


class PostgresCommitGate:
    """Deferred triggers run between the last statement and the commit: there they wait for a lock the gate holds."""

    def __init__(self, url: str) -> None:
        self._number = uuid4().int % 2**31
        self._watching = open_database(url).connect().execution_options(isolation_level="AUTOCOMMIT")
        if not self._ask("SELECT count(*) FROM pg_trigger WHERE tgname = 'gate'"):
            self._watching.exec_driver_sql(_INSTALL)
        self._ask("SELECT pg_advisory_lock(:number)")
        self.url = make_url(url).update_query_dict({"application_name": self._name}).render_as_string(False)  # noqa: FBT003 - hide_password
        self.engine = open_database(self.url)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def reached(self, *, within_seconds: float = PATIENCE_SECONDS) -> bool:
        """See `CommitGate`."""
        at_gate = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = :number AND NOT granted"
        return self._becomes_true(at_gate, within_seconds)

    def keeps_waiting_elsewhere(self) -> bool:
        """See `CommitGate`."""
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = :name"
            " AND wait_event_type = 'Lock' AND wait_event <> 'advisory'"
        )
        return self._becomes_true(waiting, PATIENCE_SECONDS)

    def open(self) -> None:
        """See `CommitGate`."""
        self._ask("SELECT pg_advisory_unlock(:number)")

    def roll_back(self) -> None:
        """See `CommitGate`. The session is cut off, as an administrator or a dying server would."""
        self._ask("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = :name")

    def close(self) -> None:
        """See `CommitGate`."""
        self._watching.close()
        self._watching.engine.dispose()
        self.engine.dispose()

    @property
    def _name(self) -> str:
        return f"gate-{self._number}"

    def _becomes_true(self, question: str, within_seconds: float) -> bool:
        pause = Event()
        for _ in range(max(1, int(within_seconds * 100))):
            if self._ask(question):
                return True
            pause.wait(0.01)
        return False

    def _ask(self, question: str) -> Any:
        return self._watching.execute(text(question), {"number": self._number, "name": self._name}).scalar()


class _GatedConnection(_SqliteConnection):
    before_commit: Callable[[], None]

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if sql == "COMMIT":
            self.before_commit()
        return super().execute(sql, parameters)

    def commit(self) -> None:
        if self.in_transaction:
            self.before_commit()
        super().commit()


def before_every_commit(engine: Engine, act: Callable[[], None]) -> None:
    """Call `act` before every commit of this SQLite engine, whether SQLAlchemy commits or a statement does."""

    def connect(dialect: Any, record: Any, arguments: Any, parameters: Any) -> sqlite3.Connection:
        del dialect, record
        connection: _GatedConnection = sqlite3.connect(*arguments, **(parameters | {"factory": _GatedConnection}))
        # Connecting itself commits nothing here: the file exists and has its journal mode.
        connection.before_commit = act
        return connection

    event.listen(engine, "do_connect", connect)


class SqliteCommitGate:
    """The driver's connection itself, made to stop before a COMMIT."""

    def __init__(self, url: str) -> None:
        self.engine = open_database(url)
        self._at_gate, self._opened = Event(), Event()
        self._rolls_back = False
        before_every_commit(self.engine, self._stop)

    def reached(self, *, within_seconds: float = PATIENCE_SECONDS) -> bool:
        """See `CommitGate`."""
        return self._at_gate.wait(within_seconds)

    def keeps_waiting_elsewhere(self) -> bool:
        """See `CommitGate`. SQLite shows nobody who waits for BEGIN IMMEDIATE: not through after a while has to do."""
        return not self.reached(within_seconds=0.3)

    def open(self) -> None:
        """See `CommitGate`."""
        self._opened.set()

    def roll_back(self) -> None:
        """See `CommitGate`."""
        self._rolls_back = True
        self._opened.set()

    def close(self) -> None:
        """See `CommitGate`."""
        self._opened.set()
        self.engine.dispose()

    def _stop(self) -> None:
        self._at_gate.set()
        self._opened.wait(PATIENCE_SECONDS)
        if self._rolls_back:
            raise RolledBackByTest


def commit_gate(url: str) -> CommitGate:
    """Return a gate of the kind that the database at `url` needs. Make all gates before a transaction stands at one."""
    return PostgresCommitGate(url) if url.startswith("postgresql") else SqliteCommitGate(url)
