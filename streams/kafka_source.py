"""A member of a consumer group that starts each partition where the listener says, and never resets silently."""

import logging
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException
from confluent_kafka import Message as KafkaMessage
from confluent_kafka import TopicPartition as KafkaPartition
from numpy.typing import NDArray

from streams.kafka_errors import logs_errors, made, offset_is_gone, time_cures, translated
from streams.messages import Message, MessageRun, TopicPartition
from streams.ports import AssignedListener, OffsetOutOfRange, PartitionsListener, StreamError

_log = logging.getLogger(__name__)

_SETTINGS: dict[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    # Only the partitions that move are taken away; the sinks of the others write on.
    "partition.assignment.strategy": "cooperative-sticky",
    # A member that was killed holds its partitions so long, by default 45 seconds, in which charts stand still. Brokers
    # take no less than 6 (group.min.session.timeout.ms).
    "session.timeout.ms": 10_000,
    "heartbeat.interval.ms": 2_000,
    # What a reader has fetched and nobody has asked for yet is bounded in bytes, whatever the messages' size.
    "queued.max.messages.kbytes": 16384,
    # One answer of the broker comes on top of that. Its default is 50 MiB.
    "fetch.max.bytes": 16 * 1024 * 1024,
    # A reader that had filled its queue fetches again this soon after it has room. The default of a second made a
    # reader of small messages wait half of the time (measured: 0.2 against 0.6-0.8 million messages a second).
    "fetch.queue.backoff.ms": 10,
}
# So many a call, so that the caller's turn comes soon.
_RUN_MESSAGES = 5000
# And so many of confluent_kafka's objects at once, of which only the bytes are kept: Python looks for garbage among all
# that it has whenever 700 objects have been made and not let go of, which doubled the price of a message (measured).
_OBJECTS = 500


class KafkaSource:
    """A `streams.ports.Source` over Kafka."""

    def __init__(self, settings: Mapping[str, Any], group: str) -> None:
        self._consumer = made(
            Consumer,
            {
                **_SETTINGS,
                "group.id": group,
                "error_cb": logs_errors(f"member of {group}"),
                "on_commit": _log_failed_commit,
                **settings,
            },
        )
        # Of every partition that is ours, the offset that it started from.
        self._owned: dict[TopicPartition, int] = {}
        self._moved: set[TopicPartition] = set()
        self._only_topic = ""
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
            owned = {name: starts.get(name, OFFSET_BEGINNING) for name in names}
            consumer.incremental_assign([KafkaPartition(*name, start) for name, start in owned.items()])
            self._owned.update(owned)
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
            for name in names:
                self._owned.pop(name, None)
            self._moved.update(names)

        self._only_topic = topics[0] if len(topics) == 1 else ""
        self._consumer.subscribe(list(topics), on_assign=on_assign, on_revoke=on_revoke, on_lost=on_lost)

    def poll(self, *, max_messages: int, timeout_seconds: float) -> list[Message]:
        """See `Source.poll`. After an error that retrying does not cure, it raises that error again."""
        return [read_message(raw) for raw in self._read(max_messages, timeout_seconds)]

    def poll_runs(self, *, max_messages: int, timeout_seconds: float) -> list[MessageRun]:
        """See `RunSource.poll_runs`."""
        left = min(max_messages, _RUN_MESSAGES)
        asked = min(left, _OBJECTS)
        runs, given = self._in_runs(self._read(asked, timeout_seconds))
        while given == asked < left:
            left -= asked
            asked = min(left, _OBJECTS)
            more, given = self._in_runs(self._next(asked, 0))
            if self._moved:
                runs = [run for run in runs if (run.topic, run.partition) not in self._moved]
            runs += more
        return runs

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        """See `Source.pause`."""
        self._consumer.pause([KafkaPartition(*partition) for partition in partitions])

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        """See `Source.resume`."""
        self._consumer.resume([KafkaPartition(*partition) for partition in partitions])

    def unread(self) -> int:
        """See `Source.unread`. What the client has fetched already counts as unread."""
        if self._closed:
            return 0
        places = self._consumer.position([KafkaPartition(*partition) for partition in self._owned])
        return sum(map(self._unread_of, places))

    def _unread_of(self, place: KafkaPartition) -> int:
        first, following = self._consumer.get_watermark_offsets(place, cached=True)
        # Below zero: nothing of it was given yet.
        position = place.offset if place.offset >= 0 else max(first, self._owned[place.topic, place.partition])
        return max(0, following - position)

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

    def _read(self, max_messages: int, timeout_seconds: float) -> list[KafkaMessage]:
        if self._closed:
            raise StreamError("the source is closed; ask the broker for a new one")
        self._check()
        # confluent_kafka waits the whole time for a full batch; waiting for the first message alone keeps us quick.
        found = self._next(1, timeout_seconds)
        if found and max_messages > 1:
            more = self._next(max_messages - 1, 0)
            if self._moved:
                # What moved in between starts again where its listener said: the message before is not its first.
                found = [raw for raw in found if _place(raw) not in self._moved]
            found.extend(more)
        if not found:
            self._check()
        return found

    def _in_runs(self, found: Sequence[KafkaMessage]) -> tuple[list[MessageRun], int]:
        """Return messages as runs, and how many they are: the objects themselves are let go of."""
        if not found:
            return [], 0
        numbers: list[int | None] = list(map(KafkaMessage.partition, found))
        places: NDArray[np.int64] = np.array(numbers, dtype=np.int64)
        if not self._only_topic:
            topics = list(map(KafkaMessage.topic, found))
            known = {place: at for at, place in enumerate(set(zip(topics, numbers, strict=True)))}
            places = np.array([known[place] for place in zip(topics, numbers, strict=True)])
        bounds = [0, *(np.flatnonzero(places[1:] != places[:-1]) + 1).tolist(), len(found)]
        return [_run(found[start:stop]) for start, stop in pairwise(bounds) if start < stop], len(found)

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _next(self, max_messages: int, timeout_seconds: float) -> list[KafkaMessage]:
        """Take what there is. `_moved` is what was given or taken away meanwhile."""
        self._moved.clear()
        try:
            found = self._consumer.consume(max_messages, timeout_seconds)
        except KafkaException as refused:
            raise translated(refused.args[0], "reading as a member of a group") from refused
        if any(map(KafkaMessage.error, found)):
            found = [raw for raw in found if not self._takes_error(raw)]
        return [raw for raw in found if _place(raw) in self._owned] if self._moved else found

    def _takes_error(self, raw: KafkaMessage) -> bool:
        error = raw.error()
        if error is not None and time_cures(error):
            _log.info("reading waits: %s", error.str())
        elif error is not None:
            self._failure = self._failure or failure_of(raw, error)
        return error is not None


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


def _run(found: Sequence[KafkaMessage]) -> MessageRun:
    last = read_message(found[-1])
    # Any: the stubs give keys and values as str as well; a consumer without deserializers gives bytes.
    keys: Any = list(map(KafkaMessage.key, found))
    values: Any = list(map(KafkaMessage.value, found))
    return MessageRun(
        topic=last.topic,
        partition=last.partition,
        offsets=_offsets(found),
        keys=keys,
        values=values,
        last_timestamp_ms=last.timestamp_ms,
    )


def _offsets(found: Sequence[KafkaMessage]) -> Sequence[int]:
    first, last = _number(found[0].offset()), _number(found[-1].offset())
    # They rise within a run, so that ends as far apart as there are messages leave none out.
    return range(first, last + 1) if last - first == len(found) - 1 else [_number(raw.offset()) for raw in found]


def _place(raw: KafkaMessage) -> TopicPartition:
    return raw.topic() or "", _number(raw.partition())


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
