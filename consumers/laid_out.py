"""The consumer that keeps the tables of `projections.laid_out`: what servers report, and which of them fell silent."""

import logging
from collections.abc import Callable
from datetime import datetime
from threading import Event
from time import monotonic

from sqlalchemy import Engine

from consumers.config_files import UnusableDocument
from consumers.laid_out_reports import read_report
from consumers.leadership import LeaderLock, Leadership, leader_lock
from events.database import write_transaction
from projections import laid_out
from projections.laid_out import Report
from streams.messages import Message
from streams.ports import Broker, BrokerAway, LogReader, UnknownTopic
from streams.topics import LAID_OUT

LOCK = "laid-out"
"""The name of the leader lock: two that add up silence would make servers fall silent in half the time."""

_log = logging.getLogger(__name__)


class LaidOutFollower:
    """Follows the reports of the agents. For one thread; any number of processes may stand by.

    It reads the whole topic at its start, which holds one report a server and the unfinished segment of today.

    Args:
        engine: the application's database.
        broker: where the reports are.
        now: the clock, for people to read: nothing is decided by it.
        silent_after: seconds without a word after which a server is not live any more.
        forget_after: seconds without a word after which a server is forgotten.
        look_every: seconds between two looks at who is silent.
        clock: seconds that never jump.
        lock: who follows; by default the lock of the database.
    """

    def __init__(  # noqa: PLR0913 - a process is assembled from its parts in one place
        self,
        *,
        engine: Engine,
        broker: Broker,
        now: Callable[[], datetime],
        silent_after: float = 300.0,
        forget_after: float = 7 * 24 * 3600.0,
        look_every: float = 5.0,
        clock: Callable[[], float] = monotonic,
        lock: LeaderLock | None = None,
    ) -> None:
        self._engine = engine
        self._broker = broker
        self._now = now
        self._silent_after = silent_after
        self._forget_after = forget_after
        self._look_every = look_every
        self._clock = clock
        self._leadership = Leadership(LOCK, lock or leader_lock(engine, LOCK))
        self._reader: LogReader | None = None
        self._heard_until = 0.0

    def run(self, stop: Event) -> None:
        """Follow until `stop` is set. A broker or a database that is away is waited for.

        Raises:
            OffsetOutOfRange: the topic was made anew. Start the process again: it reads everything from the beginning.
        """

        def work(over: Event) -> None:
            try:
                while not over.is_set():
                    if self.step() == 0 and self._reader is None:
                        over.wait(1.0)
            finally:
                self.close()

        self._leadership.run(stop, work)

    def step(self, *, timeout_seconds: float = 0.5) -> int:
        """Take in the reports that are there, look who is silent if it is time; return how many reports were new.

        Blocks for about `timeout_seconds`. Commits its own transactions; reports that come again change nothing.

        Raises:
            OffsetOutOfRange: see `run`.
            sqlalchemy.exc.OperationalError: the database did not answer. Close, and begin again.
        """
        reader = self._reader or self._begin()
        if reader is None:
            return 0
        messages = reader.poll(max_messages=200, timeout_seconds=timeout_seconds)
        reports = {message.key: (message.offset, report) for message in messages if (report := _read(message))}
        taken = 0
        if reports:
            with write_transaction(self._engine) as connection:
                at = self._now()
                taken = sum(laid_out.record(connection, report, offset=n, at=at) for n, report in reports.values())
        if self._clock() - self._heard_until >= self._look_every:
            self._look(reader)
        return taken

    def close(self) -> None:
        """Let go of the connection to Kafka. Idempotent."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _begin(self) -> LogReader | None:
        """Open the topic, and notice whether it is another one than the last time; None while Kafka is away."""
        reader = self._broker.log_reader(LAID_OUT)
        try:
            ends = reader.end_offsets()
        except (BrokerAway, UnknownTopic) as error:
            _log.info("what servers have laid out is not known anew until Kafka answers: %s", error)
            reader.close()
            return None
        self._reader, self._heard_until = reader, self._clock()
        with write_transaction(self._engine) as connection:
            if laid_out.newest_offset(connection) >= max(ends.values(), default=0):
                laid_out.begin_anew(connection)
        return reader

    def _look(self, reader: LogReader) -> None:
        """Add the time since the last look to everybody's silence, if it is sure that all who spoke were heard."""
        try:
            ends = reader.end_offsets()
        except (BrokerAway, UnknownTopic):
            self._heard_until = self._clock()  # nobody could be heard: that is no silence of theirs
            return
        position = reader.position()
        if any(position.get(partition, 0) < end for partition, end in ends.items()):
            return
        now = self._clock()
        # A process that was frozen has not listened all that time.
        listened = min(now - self._heard_until, 2 * self._look_every)
        self._heard_until = now
        with write_transaction(self._engine) as connection:
            laid_out.add_silence(
                connection,
                listened,
                at=self._now(),
                silent_after=self._silent_after,
                forget_after=self._forget_after,
            )


def _read(message: Message) -> Report | None:
    try:
        return read_report(message.value)
    except UnusableDocument as error:
        place = f"{message.topic}, partition {message.partition}, offset {message.offset}"
        _log.warning("the record at %s is ignored: %s", place, error)
        return None
