"""When API tokens were used last: which one nobody sends any more, and which one somebody would miss.

No request waits for it and none writes. What was noted is written behind their backs, a token at most once an hour and
process, so the moment is that of the hour's first use. A process that is killed forgets what it noted a moment before.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Event, Lock
from typing import Final

from sqlalchemy import Engine, or_, update
from sqlalchemy.exc import SQLAlchemyError

from accounts.tables import tokens_table
from events.database import write_transaction

NOTED_EVERY: Final = timedelta(hours=1)
"""The grain: how old the moment may be of a token that is used all the time."""

_WRITE_EVERY_SECONDS: Final = 2.0

_log = logging.getLogger(__name__)


class TokenUses:
    """Notes uses, and writes them. Safe to share between threads.

    Args:
        engine: the database.
        now: the clock.
    """

    def __init__(self, engine: Engine, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._now = now
        self._lock = Lock()
        # By token id; of tokens that were valid only, so there are never more than tokens were made.
        self._noted: dict[str, datetime] = {}
        self._unwritten: dict[str, datetime] = {}

    def note(self, token_id: str) -> None:
        """Note that a token is used now. It asks nobody and waits for nobody."""
        moment = self._now()
        with self._lock:
            last = self._noted.get(token_id)
            if last is None or moment - last >= NOTED_EVERY:
                self._noted[token_id] = self._unwritten[token_id] = moment

    def write(self) -> None:
        """Write what was noted since; without anything new the database is not asked. It blocks.

        Raises:
            SQLAlchemyError: the database does not answer; what was noted is kept for the next time.
        """
        with self._lock:
            writing = dict(self._unwritten)
        if not writing:
            return
        table = tokens_table.c
        with write_transaction(self._engine) as connection:
            # In one order: two processes that write the same tokens must not wait for each other in a circle.
            for token_id, moment in sorted(writing.items()):
                is_older = or_(table.last_used_at.is_(None), table.last_used_at < moment)
                query = update(tokens_table).where(table.token_id == token_id, is_older)
                connection.execute(query.values(last_used_at=moment))
        with self._lock:
            for token_id, moment in writing.items():
                if self._unwritten[token_id] == moment:
                    del self._unwritten[token_id]

    def follow(self, stop: Event) -> None:
        """Write every few seconds until `stop` is set, and once more then. An outage of the database is waited out."""
        while not stop.wait(_WRITE_EVERY_SECONDS):
            self._try_to_write()
        self._try_to_write()

    def _try_to_write(self) -> None:
        try:
            self.write()
        except SQLAlchemyError as error:
            _log.warning("uses of API tokens could not be written, they wait: %s", error)
