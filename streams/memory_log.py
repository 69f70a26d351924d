"""Topics in memory: what the in-memory producer appends to, and its readers read from."""

import zlib
from collections.abc import Mapping, Sequence
from itertools import count
from threading import Condition

from streams.messages import Message, OutgoingMessage, Topic, TopicPartition
from streams.ports import OffsetOutOfRange, UnknownTopic


class _Partition:
    """The messages of one partition, of which the oldest may be gone."""

    def __init__(self) -> None:
        self.first_offset = 0
        self.messages: list[Message] = []

    @property
    def end_offset(self) -> int:
        return self.first_offset + len(self.messages)


class MemoryTopics:
    """Topics, partitions, messages. Every method is safe to call from any thread; `changed` tells waiting readers."""

    def __init__(self) -> None:
        self.changed = Condition()
        self._topics: dict[str, list[_Partition]] = {}
        self._turn = count()

    def ensure(self, topics: Sequence[Topic]) -> None:
        """Create the topics that are missing."""
        with self.changed:
            for topic in topics:
                self._topics.setdefault(topic.name, [_Partition() for _ in range(topic.partitions)])
            self.changed.notify_all()

    def partitions_of(self, topic: str) -> list[TopicPartition]:
        """Return the partitions of `topic`, none if there is no such topic."""
        with self.changed:
            return [(topic, number) for number in range(len(self._topics.get(topic, ())))]

    def append(self, outgoing: OutgoingMessage) -> None:
        """Append a message to the partition that its key, or the next turn, gives.

        Raises:
            UnknownTopic: the topic was never created.
        """
        with self.changed:
            partitions = self._topics.get(outgoing.topic)
            if partitions is None:
                raise UnknownTopic(outgoing.topic)
            draw = next(self._turn) if outgoing.key is None else zlib.crc32(outgoing.key)
            number = draw % len(partitions)
            partition = partitions[number]
            partition.messages.append(
                Message(
                    topic=outgoing.topic,
                    partition=number,
                    offset=partition.end_offset,
                    key=outgoing.key,
                    value=outgoing.value,
                    headers=outgoing.headers,
                )
            )
            self.changed.notify_all()

    def end_offsets(self, topic: str) -> dict[TopicPartition, int]:
        """Return the offset after the last message of each partition.

        Raises:
            UnknownTopic: the topic was never created.
        """
        with self.changed:
            if topic not in self._topics:
                raise UnknownTopic(topic)
            return {(topic, number): found.end_offset for number, found in enumerate(self._topics[topic])}

    def first_offset(self, partition: TopicPartition) -> int:
        """Return the offset of the oldest message that is still there."""
        with self.changed:
            return self._topics[partition[0]][partition[1]].first_offset

    def read(self, positions: Mapping[TopicPartition, int], *, max_messages: int) -> list[Message]:
        """Return at most `max_messages` from `positions` on, in order within each partition.

        Raises:
            OffsetOutOfRange: a position is before the oldest message, or after the end.
        """
        found: list[Message] = []
        with self.changed:
            for (topic, number), offset in positions.items():
                partition = self._topics[topic][number]
                if not partition.first_offset <= offset <= partition.end_offset:
                    raise OffsetOutOfRange(topic, number, offset)
                start = offset - partition.first_offset
                found.extend(partition.messages[start : start + max_messages - len(found)])
        return found

    def drop_before(self, partition: TopicPartition, offset: int) -> None:
        """Forget the messages below `offset`, as retention does."""
        with self.changed:
            found = self._topics[partition[0]][partition[1]]
            del found.messages[: max(0, offset - found.first_offset)]
            found.first_offset = max(found.first_offset, offset)
