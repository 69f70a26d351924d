"""The notifier: follows the event log and tells people what they wait for. Now: the code of a test is deployed.

Promises and their prices:

- Never lost: the checkpoint `notifier` stays below the oldest notification that was not accepted; that one is tried
  again, ever more slowly, for as long as it takes.
- One that fails does not hold up the others: they are told, and each told ahead of the checkpoint is remembered under
  a checkpoint of its own (`notifier:<event id>`), so that a restart does not tell it again.
- Told once, unless the process dies between telling and remembering; then again with the same event id, by which the
  receiver can know it. Run one notifier: a second one would tell everything too, before it loses the compare-and-set
  and stops.
"""

from collections.abc import Callable
from dataclasses import dataclass
from logging import INFO, WARNING, getLogger
from threading import Event
from time import monotonic
from typing import Final

from sqlalchemy import Engine

from consumers.outages import DATABASE_AWAY
from consumers.repeated import Repeated
from events.checkpoints import move, position_of
from events.database import write_transaction
from events.facts import CodeDeployed, DraftDiscarded
from events.registry import FactRegistry
from events.store import EventStore, StoredEvent, require_next
from notifications.notifier import Notification, NotificationFailed, Notifier
from projections import test_list
from projections.errors import ProjectionsError
from projections.test_list import ListedSplitTest

CHECKPOINT: Final = "notifier"

_log = getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class _Pending:
    event: StoredEvent
    due_at: float
    wait_seconds: float


class _ListBehind(NotificationFailed):
    """The list of tests, which knows the managers, does not know of the fact yet."""


class NotifierFollower:
    """Follows the log and tells people. One thread only, and one process."""

    def __init__(  # noqa: PLR0913 - the parts it is put together from, each by name
        self,
        *,
        engine: Engine,
        store: EventStore,
        registry: FactRegistry,
        notifier: Notifier,
        clock: Callable[[], float] = monotonic,
        first_retry_seconds: float = 1.0,
        last_retry_seconds: float = 300.0,
        max_pending: int = 1000,
    ) -> None:
        self._engine = engine
        self._store = store
        self._registry = registry
        self._notifier = notifier
        self._clock = clock
        self._first_retry_seconds = first_retry_seconds
        self._last_retry_seconds = last_retry_seconds
        self._max_pending = max_pending
        self._names = registry.names()
        self._pending: dict[int, _Pending] = {}
        self._checkpoint: int | None = None
        self._read_to = 0

    def run(self, stop: Event, *, poll_interval_seconds: float = 0.5) -> None:
        """Follow the log until `stop` is set. A database that does not answer is asked again.

        Raises:
            CheckpointMoved: another notifier is at work.
            PositionGap: the log has a hole. Nothing behind it is told, or what is missing would never be.
        """
        told = Repeated()
        while not stop.is_set():
            try:
                self.step()
            except DATABASE_AWAY as error:
                if told.is_due(str(error)):
                    _log.warning("notifier: the database does not answer, asking again: %s", error)
            stop.wait(poll_interval_seconds)

    def step(self) -> int:
        """Read what the log has anew, tell what is due, and return how many notifications were accepted.

        Blocks while the notifier does. Each telling is remembered in a transaction of its own.
        """
        if self._checkpoint is None:
            with self._engine.connect() as connection:
                self._checkpoint = self._read_to = position_of(connection, CHECKPOINT)
        self._read()
        told = sum(self._tell(position) for position in sorted(self._pending))
        self._move()
        return told

    def _read(self) -> None:
        while len(self._pending) < self._max_pending:
            events = self._store.read(after=self._read_to, limit=500)
            if not events:
                return
            require_next(events, after=self._read_to)
            for event in events:
                if event.encoded.name == CodeDeployed.__name__ and not self._was_told(event):
                    self._pending[event.position] = _Pending(
                        event=event, due_at=self._clock(), wait_seconds=self._first_retry_seconds
                    )
            self._read_to = events[-1].position

    def _was_told(self, event: StoredEvent) -> bool:
        with self._engine.connect() as connection:
            return position_of(connection, _mark(event)) > 0

    def _tell(self, position: int) -> bool:
        pending = self._pending[position]
        if self._clock() < pending.due_at:
            return False
        try:
            told = self._tell_of(pending.event)
        except NotificationFailed as error:
            # A list that is a moment behind is nobody's trouble; one that is still behind at the next try is.
            is_usual = isinstance(error, _ListBehind) and pending.wait_seconds == self._first_retry_seconds
            _log.log(
                INFO if is_usual else WARNING,
                "notifier: %s is tried again in %.0f s: %s",
                pending.event.event_id,
                pending.wait_seconds,
                error,
            )
            pending.due_at = self._clock() + pending.wait_seconds
            pending.wait_seconds = min(2 * pending.wait_seconds, self._last_retry_seconds)
            return False
        del self._pending[position]
        if told and any(earlier < position for earlier in self._pending):
            with write_transaction(self._engine) as connection:
                move(connection, _mark(pending.event), expected=0, to=1)
        else:
            self._move()
        return told

    def _tell_of(self, event: StoredEvent) -> bool:
        fact = self._registry.decode(event.encoded)
        later = self._store.read_stream(event.stream, after_version=event.version)
        if any(each.encoded.name == DraftDiscarded.__name__ for each in later):
            _log.info("notifier: %s is about a test that was discarded meanwhile, nobody is told", event.event_id)
            return False
        try:
            with self._engine.connect() as connection:
                line = test_list.get(connection, fact.key)
        except ProjectionsError as error:
            raise NotificationFailed(f"the managers are not known: {error}") from error
        if line is None or line.version < event.version:
            raise _ListBehind(f"the list of tests has not caught up with {event.event_id}; is a projector running?")
        self._notifier.notify(_code_deployed(event, fact, line))
        return True

    def _move(self) -> None:
        # Below the oldest one that waits, or at the end of what was read.
        reached = min(self._pending, default=self._read_to + 1) - 1
        if self._checkpoint is not None and reached > self._checkpoint:
            with write_transaction(self._engine) as connection:
                move(connection, CHECKPOINT, expected=self._checkpoint, to=reached)
            self._checkpoint = reached


def _mark(event: StoredEvent) -> str:
    return f"{CHECKPOINT}:{event.event_id}"


def _code_deployed(event: StoredEvent, fact: CodeDeployed, line: ListedSplitTest) -> Notification:
    where = fact.host or fact.app or "production"
    return Notification(
        event_id=event.event_id,
        key=fact.key,
        recipients=line.managers,
        subject=f"The code of {fact.key} is deployed",
        text=f"The code of {fact.key} ({line.name}) is deployed on {where}; it can be started.",
        chat_room=line.chat_room,
    )
