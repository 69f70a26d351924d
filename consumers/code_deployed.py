"""Code deployed: the first production hit of a test In Dev becomes the fact CodeDeployed, once.

It follows the hits topic in its own group. Hits from other environments and forced ones do not count, and poison is the
BI sink's business. To stay cheap, hits are only gathered by test and settings group (the first of each); twice a second
the keys are held against the read model's tests In Dev whose code is not deployed yet, and the command is given for
those alone. It does not count a hit of a settings group of before the key was discarded and used again. Nothing is
cached between two looks, so a test that was just published is not missed.

Offsets are kept in the application's database, one checkpoint a partition (`code_deployed:<topic>:<partition>`), moved
after the commands by compare-and-set. A crash in between repeats a command that then finds nothing to record: at least
once here, once in the log. Kafka's own commits only show the lag.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from logging import getLogger
from threading import Event
from time import monotonic
from typing import Any, Final

import polars as pl
from sqlalchemy import Engine

from commands.split_tests import Request, SplitTestCommands
from consumers.hit_decoding import decode_hits
from consumers.outages import DATABASE_AWAY
from domain.people import Actor
from events.checkpoints import move, position_of
from events.database import write_transaction
from events.errors import VersionConflict
from projections import test_list
from projections.errors import ProjectionsError
from streams.messages import Message, TopicPartition
from streams.ports import Source, StreamError
from streams.topics import HITS

GROUP: Final = "usersplit.code-deployed"
"""The consumer group that shares the partitions among the replicas of this consumer."""

CHECKPOINTS: Final = "code_deployed:"
"""What the names of its checkpoints start with."""

ACTOR: Final = Actor(name="code-deployed")
"""Who the changelog says it was."""

_NEEDED: Final = ("test_key", "hit_id", "occurred_at", "app", "host", "settings_group")
_FIRST_OF: Final = ("test_key", "settings_group")
_ASK_LATER: Final[tuple[type[Exception], ...]] = (*DATABASE_AWAY, ProjectionsError)
_LONGEST_RETRY_SECONDS: Final = 10.0

_log = getLogger(__name__)


class CodeDeployedWatcher:
    """Watches the hits for tests whose code has reached production. One thread only."""

    def __init__(
        self,
        *,
        source: Source,
        engine: Engine,
        commands: SplitTestCommands,
        freshness_seconds: float = 0.5,
        clock: Callable[[], float] = monotonic,
        topic: str = HITS,
    ) -> None:
        self._source = source
        self._engine = engine
        self._commands = commands
        self._freshness_seconds = freshness_seconds
        self._clock = clock
        self._topic = topic
        self._stop = Event()
        self._first_hits: dict[str, dict[int, Mapping[str, Any]]] = {}
        self._stored: dict[TopicPartition, int] = {}
        self._reached: dict[TopicPartition, int] = {}
        self._next_look = 0.0
        self._retry_seconds = freshness_seconds

    def run(self, stop: Event) -> None:
        """Watch until `stop` is set, then leave the group.

        Raises:
            CheckpointMoved: another watcher owns the partitions; OffsetOutOfRange: a person must decide.
        """
        self._stop = stop
        self.start()
        try:
            while not stop.is_set():
                self.step()
        finally:
            self.close()

    def start(self) -> None:
        """Join the group."""
        self._source.subscribe([self._topic], assigned=self._assigned, revoked=self._revoked, lost=self._lost)

    def close(self) -> None:
        """Record what was seen and leave the group. Idempotent."""
        self._source.close()

    def step(self) -> int:
        """Read once, look at the tests if it is time, and return how many facts were recorded.

        Blocks for the freshness target at most, and while the database does. A database that does not answer, or a read
        model that is not there yet, is asked again later, while reading goes on: what is kept is one hit a settings
        group.
        """
        self._gather(self._source.poll(max_messages=50_000, timeout_seconds=self._freshness_seconds))
        if not self._reached or self._clock() < self._next_look:
            return 0
        try:
            recorded = self._look()
        except _ASK_LATER as error:
            self._retry_seconds = min(2 * self._retry_seconds, _LONGEST_RETRY_SECONDS)
            self._next_look = self._clock() + self._retry_seconds
            _log.warning("code deployed: the tests In Dev cannot be read, trying again later: %s", error)
            return 0
        self._retry_seconds = self._freshness_seconds
        self._next_look = self._clock() + self._freshness_seconds
        return recorded

    def _gather(self, messages: Sequence[Message]) -> None:
        messages = [message for message in messages if (message.topic, message.partition) in self._stored]
        if not messages:
            return
        decoded = decode_hits([message.value for message in messages])
        hits = pl.DataFrame(decoded.hits.select([*_NEEDED, "environment", "forced"]))
        counting = hits.filter((pl.col("environment") == "production") & ~pl.col("forced"))
        for hit in counting.unique(_FIRST_OF, keep="first", maintain_order=True).iter_rows(named=True):
            self._first_hits.setdefault(hit["test_key"], {}).setdefault(hit["settings_group"], hit)
        self._reached.update({(message.topic, message.partition): message.offset + 1 for message in messages})

    def _look(self) -> int:
        recorded = 0
        for key in self._waiting_for_code() if self._first_hits else ():
            try:
                recorded += any(self._record(key, hit) for hit in self._first_hits.get(key, {}).values())
            except VersionConflict:
                # Somebody changed the test at this moment: it is decided anew at the next look, offsets stay.
                _log.info("code deployed: %s was changed at the same moment, looking again", key)
                return recorded
        with write_transaction(self._engine) as connection:
            for partition, reached in self._reached.items():
                move(connection, _checkpoint(partition), expected=self._stored[partition], to=reached)
        with suppress(StreamError):  # it shows the lag, nothing else
            self._source.commit(self._reached)
        self._stored.update(self._reached)
        self._reached.clear()
        self._first_hits.clear()
        return recorded

    def _waiting_for_code(self) -> list[str]:
        with self._engine.connect() as connection:
            in_dev = test_list.rows(connection, status="in_dev")
        return [line.key for line in in_dev if line.code_deployed_at is None]

    def _record(self, key: str, hit: Mapping[str, Any]) -> bool:
        appended = self._commands.record_code_deployed(
            Request(actor=ACTOR),
            key,
            hit_id=hit["hit_id"],
            occurred_at=hit["occurred_at"],
            app=hit["app"],
            host=hit["host"],
            settings_group=hit["settings_group"],
        )
        return appended is not None

    def _assigned(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        wait = self._freshness_seconds
        while not self._stop.is_set():
            try:
                with self._engine.connect() as connection:
                    stored = {partition: position_of(connection, _checkpoint(partition)) for partition in partitions}
            except DATABASE_AWAY as error:
                _log.warning("code deployed: the database does not answer, asking again in %.1f s: %s", wait, error)
                self._stop.wait(wait)
                wait = min(2 * wait, _LONGEST_RETRY_SECONDS)
            else:
                self._stored.update(stored)
                # 0 is "never moved": the partition's beginning may be gone already.
                return {partition: position for partition, position in stored.items() if position > 0}
        return {}

    def _revoked(self, partitions: Sequence[TopicPartition]) -> None:
        if self._reached:
            try:
                self._look()
            except Exception as error:  # noqa: BLE001 - the next owner meets the same hits, whatever went wrong here
                _log.warning("code deployed: partitions are left to another one with hits not looked at: %s", error)
        self._lost(partitions)

    def _lost(self, partitions: Sequence[TopicPartition]) -> None:
        # Hits of theirs that wait for the next look may stay: recording twice records once.
        for partition in partitions:
            self._stored.pop(partition, None)
            self._reached.pop(partition, None)


def _checkpoint(partition: TopicPartition) -> str:
    return f"{CHECKPOINTS}{partition[0]}:{partition[1]}"
