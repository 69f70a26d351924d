"""The agent: it keeps a server's directory of config documents as the config topic has them.

Services on that server read the files and nothing else. With the broker down, the files stay as they are.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from threading import Event
from typing import Any

from consumers.config_files import ConfigFiles, Document, UnusableDocument, decoded, position_in, read_document
from consumers.relay_records import HEARTBEAT_KEY
from streams.messages import Message, TopicPartition
from streams.ports import Broker, BrokerAway, UnknownTopic
from streams.topics import CONFIGS

_log = logging.getLogger(__name__)


class Agent:
    """Reads the whole config topic from its beginning and follows it. For one thread, and one a directory.

    It is ready once it has read up to the end that the topic had when the agent first saw it: from then on, what the
    directory holds is no older than the agent's start. The file `.agent.json` in the directory says so:

        ready         whether that end was reached since this agent started
        position      the highest position among the documents and the heartbeats
        heartbeat_at  when the relay last said that it is alive, by the relay's clock; null before the first time
    """

    def __init__(self, broker: Broker, directory: Path, *, batch_size: int = 1000) -> None:
        self._files = ConfigFiles(directory)
        self._reader = broker.log_reader(CONFIGS)
        self._batch_size = batch_size
        self._ends: Mapping[TopicPartition, int] | None = None
        self._ready = False
        earlier = self._files.read_state()
        self._heartbeat_position = _number(earlier.get("position"))
        self._heartbeat_at = _text(earlier.get("heartbeat_at"))
        self._written: Mapping[str, Any] = {}
        self._write_state()

    @property
    def ready(self) -> bool:
        """Whether the end that was seen at the start has been reached."""
        return self._ready

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
            if document is not None and (
                document.key not in newest or document.position > newest[document.key].position
            ):
                newest[document.key] = document
        changed = sum([self._files.apply(document) for document in newest.values()])
        if changed:
            self._files.sync()
        self._ready = self._ready or self._end_is_reached()
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
        position = position_in(fields)
        # By position first: a relay that lost its lead may still get an old heartbeat through.
        if position >= self._heartbeat_position:
            self._heartbeat_position = position
            self._heartbeat_at = max(self._heartbeat_at, _text(fields.get("at")))

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
            "position": max(self._files.newest_position, self._heartbeat_position),
            "heartbeat_at": self._heartbeat_at or None,
        }
        if state != self._written:
            self._files.write_state(state)
            self._written = state


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
