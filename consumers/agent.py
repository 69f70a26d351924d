"""The agent: it keeps a server's directory of config documents as the config topic has them.

Services on that server read the files and nothing else. With the broker down, the files stay as they are.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple, TypeGuard

from consumers.config_files import ConfigFiles, Document, UnusableDocument, decoded, position_in, read_document
from consumers.relay_records import HEARTBEAT_KEY
from streams.messages import Message, TopicPartition
from streams.ports import Broker, BrokerAway, UnknownTopic
from streams.topics import CONFIGS

_log = logging.getLogger(__name__)


def _untold(position: int, tests: Mapping[str, int]) -> None:
    del position, tests


class _Heartbeat(NamedTuple):
    position: int
    at: str


class Agent:
    """Reads the whole config topic from its beginning and follows it. For one thread, and one a directory.

    It is ready once it has read up to the end that the topic had when the agent first saw it: from then on, what the
    directory holds is no older than the agent's start, and damaged files are repaired: the topic wins over what a hand
    or a disk did, see `ConfigFiles`. The file `.agent.json` in the directory says so:

        ready         whether that end was reached since this agent started
        position      the highest position among the documents and the heartbeats
        heartbeat_at  when the relay last said that it is alive, by the relay's clock; null before the first time

    Args:
        broker: where the config topic is.
        directory: where the files are; made if it is missing.
        tell: told the position and the position of each test's document, at the start and whenever they change.
        batch_size: how many records are taken at a time.
    """

    def __init__(
        self,
        broker: Broker,
        directory: Path,
        *,
        tell: Callable[[int, Mapping[str, int]], None] = _untold,
        batch_size: int = 1000,
    ) -> None:
        self._files = ConfigFiles(directory)
        self._reader = broker.log_reader(CONFIGS)
        self._tell = tell
        self._batch_size = batch_size
        self._ends: Mapping[TopicPartition, int] | None = None
        self._ready = False
        earlier = self._files.read_state()
        # What an earlier run wrote is shown until the topic was read, and like a file it is not believed any longer.
        at = earlier.get("heartbeat_at")
        self._remembered = _Heartbeat(_number(earlier.get("position")), at if _is_moment(at) else "")
        self._read_heartbeat: _Heartbeat | None = None
        self._written: Mapping[str, Any] = {}
        self._write_state()

    @property
    def ready(self) -> bool:
        """Whether the end that was seen at the start has been reached."""
        return self._ready

    @property
    def position(self) -> int:
        """The highest position among the documents and the heartbeats."""
        return max(self._files.newest_position, self._heartbeat.position)

    @property
    def heartbeat_at(self) -> str:
        """When the relay last said that it is alive, by the relay's clock (RFC 3339), empty before the first time."""
        return self._heartbeat.at

    @property
    def files(self) -> int:
        """How many tests have a file."""
        return len(self._files.positions)

    def step(self, *, timeout_seconds: float = 0.5) -> int:
        """Take the records that are there, after at most about `timeout_seconds`; return how many files changed.

        Raises:
            OffsetOutOfRange: the topic was made anew. Start the agent again: it reads everything from the beginning.
            OSError: the directory cannot be written. Nothing was skipped: a new start reads the topic again.
        """
        self._learn_ends()
        messages = self._reader.poll(max_messages=self._batch_size, timeout_seconds=timeout_seconds)
        newest: dict[str, Document] = {}
        for message in messages:
            document = self._read(message)
            # Of two at one position the later is the newer one: the same facts, sent again after a new rendering.
            if document is not None and (
                document.key not in newest or document.position >= newest[document.key].position
            ):
                newest[document.key] = document
        changed = sum([self._files.apply(document) for document in newest.values()])
        ready = self._ready or self._end_is_reached()
        if ready:
            changed += self._files.settle()
        if changed:
            self._files.sync()
        self._ready = ready
        if changed:
            self._tell(self.position, self._files.positions)
        self._write_state()
        return changed

    def run(self, stop: Event) -> None:
        """Follow the topic until `stop` is set. A broker that is away is waited for."""
        try:
            while not stop.is_set():
                self.step()
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the connection; the files stay. Idempotent."""
        self._reader.close()

    def _read(self, message: Message) -> Document | None:
        try:
            if message.key == HEARTBEAT_KEY:
                self._take_heartbeat(message.value or b"")
                return None
            return read_document(message.key, message.value)
        except UnusableDocument as error:
            place = f"{message.topic}, partition {message.partition}, offset {message.offset}"
            _log.warning("the record at %s is ignored: %s", place, error)
            return None

    def _take_heartbeat(self, value: bytes) -> None:
        fields = decoded(value)
        position, at = position_in(fields), fields.get("at")
        if not _is_moment(at):
            raise UnusableDocument(f"its time is {at!r}, not a moment with a zone")
        # By position: a relay that lost its lead may still get an old heartbeat through. Of one position the last one
        # counts, whatever it says: a relay whose clock was in the future for a moment would seem alive for ever.
        if self._read_heartbeat is None or position >= self._read_heartbeat.position:
            self._read_heartbeat = _Heartbeat(position, at)

    @property
    def _heartbeat(self) -> _Heartbeat:
        if self._read_heartbeat is None:
            return self._remembered
        if self._ready:
            return self._read_heartbeat
        return max(self._read_heartbeat, self._remembered)

    def _learn_ends(self) -> None:
        if self._ends is None:
            try:
                self._ends = self._reader.end_offsets()
            except (BrokerAway, UnknownTopic) as error:
                _log.info("the files stay as they are until Kafka answers: %s", error)

    def _end_is_reached(self) -> bool:
        if self._ends is None:
            return False
        position = self._reader.position()
        return all(position.get(partition, 0) >= end for partition, end in self._ends.items())

    def _write_state(self) -> None:
        state = {
            "ready": self._ready,
            "position": self.position,
            "heartbeat_at": self.heartbeat_at or None,
        }
        if state != self._written:
            self._files.write_state(state)
            self._written = state
            self._tell(self.position, self._files.positions)


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _is_moment(value: object) -> TypeGuard[str]:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False
