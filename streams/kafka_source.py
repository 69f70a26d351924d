"""A member of a consumer group that starts each partition where the listener says, and never resets silently."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException
from confluent_kafka import Message as KafkaMessage
from confluent_kafka import TopicPartition as KafkaPartition

from streams.kafka_errors import logs_errors, offset_is_gone, time_cures, translated
from streams.messages import Message, TopicPartition
from streams.ports import AssignedListener, OffsetOutOfRange, PartitionsListener, StreamError

_log = logging.getLogger(__name__)

_SETTINGS: dict[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    # Only the partitions that move are taken away; the sinks of the others write on.
    "partition.assignment.strategy": "cooperative-sticky",
    # What a reader has fetched and nobody has asked for yet is bounded in bytes, whatever the messages' size.
    "queued.max.messages.kbytes": 16384,
}


class KafkaSource:
    """A `streams.ports.Source` over Kafka."""

    def __init__(self, settings: Mapping[str, Any], group: str) -> None:
        self._consumer = Consumer(
            {
                **_SETTINGS,
                "group.id": group,
                "error_cb": logs_errors(f"member of {group}"),
                "on_commit": _log_failed_commit,
                **settings,
            }
        )
        self._owned: set[TopicPartition] = set()
        self._moved: set[TopicPartition] = set()
        self._failure: StreamError | None = None
        self._closed = False

    def subscribe(
        self,
        topics: Sequence[str],
        *,
        assigned: AssignedListener,
        revoked: PartitionsListener,
        lost: PartitionsListener,
    ) -> None:
        """See `Source.subscribe`."""

        def on_assign(consumer: Consumer, partitions: list[KafkaPartition]) -> None:
            names = _names(partitions)
            starts = assigned(names) if names else {}
            consumer.incremental_assign(
                [
                    KafkaPartition(topic, number, starts.get((topic, number), OFFSET_BEGINNING))
                    for topic, number in names
                ]
            )
            self._owned.update(names)
            self._moved.update(names)

        def on_revoke(consumer: Consumer, partitions: list[KafkaPartition]) -> None:
            take_away(consumer, partitions, revoked)

        def on_lost(consumer: Consumer, partitions: list[KafkaPartition]) -> None:
            take_away(consumer, partitions, lost)

        def take_away(consumer: Consumer, partitions: list[KafkaPartition], listener: PartitionsListener) -> None:
            names = _names(partitions)
            if names:
                listener(names)
            consumer.incremental_unassign(partitions)
            self._owned.difference_update(names)
            self._moved.update(names)

        self._consumer.subscribe(list(topics), on_assign=on_assign, on_revoke=on_revoke, on_lost=on_lost)

    def poll(self, *, max_messages: int, timeout_seconds: float) -> list[Message]:
        """See `Source.poll`. After an error that retrying does not cure, it raises that error again."""
        if self._closed:
            raise StreamError("the source is closed; ask the broker for a new one")
        if self._failure is not None:
            raise self._failure
        # confluent_kafka waits the whole time for a full batch; waiting for the first message alone keeps us quick.
        found = self._consume(1, timeout_seconds)
        if found and max_messages > 1:
            self._moved.clear()
            more = self._consume(max_messages - 1, 0)
            # A partition that moved in between starts again where its listener said: this message is not its first.
            found = [message for message in found if (message.topic, message.partition) not in self._moved]
            found.extend(more)
        return found

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        """See `Source.pause`."""
        self._consumer.pause([KafkaPartition(*partition) for partition in partitions])

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        """See `Source.resume`."""
        self._consumer.resume([KafkaPartition(*partition) for partition in partitions])

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """See `Source.commit`. Nobody waits for the answer; a failed commit is logged."""
        if offsets:
            positions = [KafkaPartition(*partition, offset) for partition, offset in offsets.items()]
            try:
                self._consumer.commit(offsets=positions, asynchronous=True)
            except KafkaException as error:
                _log_failed_commit(error.args[0], [])

    def close(self) -> None:
        """See `Source.close`."""
        if not self._closed:
            self._closed = True
            self._consumer.close()

    def _consume(self, max_messages: int, timeout_seconds: float) -> list[Message]:
        try:
            found = self._consumer.consume(max_messages, timeout_seconds)
        except KafkaException as refused:
            raise translated(refused.args[0], "reading as a member of a group") from refused
        messages: list[Message] = []
        for raw in found:
            error = raw.error()
            if error is None:
                messages.append(read_message(raw))
            elif not time_cures(error):
                self._failure = self._failure or failure_of(raw, error)
            else:
                _log.info("reading waits: %s", error.str())
        if self._failure is not None and not messages:
            raise self._failure
        return [message for message in messages if (message.topic, message.partition) in self._owned]


def read_message(raw: KafkaMessage) -> Message:
    """Return a message of confluent_kafka's as ours. For `streams.kafka_*` only."""
    # Any: the stubs of confluent_kafka give these two more shapes than they have.
    moment: Any = raw.timestamp()
    headers: Any = raw.headers() or ()
    return Message(
        topic=raw.topic() or "",
        partition=_number(raw.partition()),
        offset=_number(raw.offset()),
        key=_bytes(raw.key()),
        value=_bytes(raw.value()),
        headers=tuple((name, _bytes(value) or b"") for name, value in headers),
        timestamp_ms=max(moment[1], 0),
    )


def failure_of(raw: KafkaMessage, error: KafkaError) -> StreamError:
    """Return the error that came in a message's place as one of ours. For `streams.kafka_*` only."""
    if offset_is_gone(error):
        return OffsetOutOfRange(raw.topic() or "", _number(raw.partition()), _number(raw.offset()))
    return translated(error, f"reading {raw.topic()}, partition {raw.partition()}")


def _names(partitions: Sequence[KafkaPartition]) -> list[TopicPartition]:
    return [(partition.topic, partition.partition) for partition in partitions]


def _number(value: int | None) -> int:
    return -1 if value is None else value


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _log_failed_commit(error: KafkaError | None, partitions: Sequence[KafkaPartition]) -> None:
    del partitions
    if error is not None:
        _log.info("an offset commit failed, the shown lag is stale until the next one: %s", error.str())
