"""A reader of a whole topic, outside of any group, that knows when it has reached the end."""

from collections.abc import Mapping
from time import monotonic, sleep
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException
from confluent_kafka import Message as KafkaMessage
from confluent_kafka import TopicPartition as KafkaPartition

from streams.kafka_errors import logs_errors, made, time_cures, translated
from streams.kafka_source import failure_of, read_message
from streams.messages import Message, TopicPartition
from streams.ports import BrokerAway, StreamError, UnknownTopic

_SETTINGS: dict[str, Any] = {
    # confluent_kafka asks for a group; nothing is ever committed to it and nobody joins it.
    "group.id": "usersplit-log-reader",
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    # Said at the end of a partition, with its offset: the only way to learn that what is left there holds no message.
    "enable.partition.eof": True,
    "queued.max.messages.kbytes": 16384,
}
_ANSWER_TIMEOUT_SECONDS = 5.0
# A broker that has just started, or was away for a moment, leads its partitions again soon.
_ELECTING = frozenset({KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE})
_ELECTION_PAUSE_SECONDS = 0.1


class KafkaLogReader:
    """A `streams.ports.LogReader` over Kafka. Partitions that are added to the topic later are not seen."""

    def __init__(self, settings: Mapping[str, Any], topic: str) -> None:
        self._topic = topic
        self._consumer = made(Consumer, {**_SETTINGS, "error_cb": logs_errors(f"reader of {topic}"), **settings})
        self._positions: dict[TopicPartition, int] = {}
        self._failure: StreamError | None = None
        self._closed = False

    def end_offsets(self) -> Mapping[TopicPartition, int]:
        """See `LogReader.end_offsets`."""
        self._assign(_ANSWER_TIMEOUT_SECONDS)
        return {partition: self._end_offset(partition) for partition in self._positions}

    def poll(self, *, max_messages: int, timeout_seconds: float) -> list[Message]:
        """See `LogReader.poll`."""
        if self._closed:
            raise StreamError("the log reader is closed; ask the broker for a new one")
        if self._failure is not None:
            raise self._failure
        deadline = monotonic() + timeout_seconds
        if not self._positions:
            try:
                self._assign(max(timeout_seconds, 0.1))
            except (BrokerAway, UnknownTopic):
                self._consumer.poll(max(0.0, deadline - monotonic()))
                return []
        return self._read(max_messages, deadline)

    def position(self) -> Mapping[TopicPartition, int]:
        """See `LogReader.position`."""
        return dict(self._positions)

    def close(self) -> None:
        """See `LogReader.close`."""
        if not self._closed:
            self._closed = True
            self._consumer.close()

    def _read(self, max_messages: int, deadline: float) -> list[Message]:
        while True:
            # Waiting for one message and then taking what else is there: see `streams.kafka_source`.
            raw = self._consume(1, max(0.0, deadline - monotonic()))
            if raw and max_messages > 1:
                raw += self._consume(max_messages - 1, 0)
            messages = [read for found in raw if (read := self._take(found)) is not None]
            if messages:
                return messages
            if self._failure is not None:
                raise self._failure
            if monotonic() >= deadline:
                return []

    def _consume(self, max_messages: int, timeout_seconds: float) -> list[KafkaMessage]:
        try:
            return self._consumer.consume(max_messages, timeout_seconds)
        except KafkaException as error:
            raise translated(error.args[0], f"reading {self._topic}") from error

    def _take(self, raw: KafkaMessage) -> Message | None:
        error = raw.error()
        if error is None:
            message = read_message(raw)
            self._positions[message.topic, message.partition] = message.offset + 1
            return message
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own code
            self._positions[raw.topic() or "", raw.partition() or 0] = raw.offset() or 0
        elif not time_cures(error):
            self._failure = self._failure or failure_of(raw, error)
        return None

    def _assign(self, timeout_seconds: float) -> None:
        if self._positions:
            return
        doing = f"asking for the partitions of {self._topic}"
        try:
            found = self._consumer.list_topics(self._topic, timeout=timeout_seconds).topics[self._topic]
        except KafkaException as error:
            raise translated(error.args[0], doing) from error
        if found.error is not None:
            missing = found.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART
            raise UnknownTopic(self._topic) if missing else translated(found.error, doing)
        self._positions = {(self._topic, number): 0 for number in found.partitions}
        self._consumer.assign([KafkaPartition(*partition, OFFSET_BEGINNING) for partition in self._positions])

    def _end_offset(self, partition: TopicPartition) -> int:
        deadline = monotonic() + _ANSWER_TIMEOUT_SECONDS
        while True:
            left = max(0.1, deadline - monotonic())
            try:
                _, end = self._consumer.get_watermark_offsets(KafkaPartition(*partition), timeout=left)
            except KafkaException as error:
                if error.args[0].code() not in _ELECTING or monotonic() >= deadline:
                    raise translated(error.args[0], f"asking for the end of {self._topic}") from error
                sleep(_ELECTION_PAUSE_SECONDS)
            else:
                return end
