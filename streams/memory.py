"""Kafka in memory: the shipped stand-in for tests, under the same contract suite as the real one."""

from collections.abc import Mapping, Sequence
from threading import Event
from time import monotonic

from streams.groups import GroupStanding
from streams.memory_group import MemoryGroup, MemorySource
from streams.memory_log import MemoryTopics
from streams.messages import Message, OutgoingMessage, Topic, TopicPartition
from streams.ports import DeliveryFailed, StreamError, UnknownTopic


class MemoryBroker:
    """A `streams.ports.Broker` that forgets everything with its process. Safe to share between threads."""

    def __init__(self) -> None:
        self._topics = MemoryTopics()
        self._groups: dict[str, MemoryGroup] = {}

    def ensure_topics(self, topics: Sequence[Topic]) -> None:
        """See `Broker.ensure_topics`."""
        self._topics.ensure(topics)

    def producer(self) -> "MemoryProducer":
        """See `Broker.producer`."""
        return MemoryProducer(self._topics)

    def source(self, group: str, *, member: str = "") -> MemorySource:
        """See `Broker.source`. Nobody dies in memory, so a name means nothing here."""
        del member
        return MemorySource(self._topics, self._group(group))

    def log_reader(self, topic: str) -> "MemoryLogReader":
        """See `Broker.log_reader`."""
        return MemoryLogReader(self._topics, topic)

    def committed(self, group: str) -> Mapping[TopicPartition, int]:
        """Return the offsets that the members of `group` committed."""
        return dict(self._group(group).committed)

    def groups(self) -> "MemoryBroker":
        """Return what tells how consumer groups stand."""
        return self

    def standing(self, group: str, topic: str) -> GroupStanding:
        """See `streams.groups.ConsumerGroups.standing`."""
        found = self._group(group)
        offsets = {number: at for (name, number), at in found.committed.items() if name == topic}
        return GroupStanding(behind=self.unread(topic, offsets), members=found.size)

    def unread(self, topic: str, offsets: Mapping[int, int]) -> int:
        """See `streams.groups.ConsumerGroups.unread`."""
        return sum(
            max(end - max(offsets.get(partition[1], 0), self._topics.first_offset(partition)), 0)
            for partition, end in self._topics.end_offsets(topic).items()
        )

    def drop_before(self, partition: TopicPartition, offset: int) -> None:
        """Forget the messages of `partition` below `offset`, as retention does."""
        self._topics.drop_before(partition, offset)

    def _group(self, name: str) -> MemoryGroup:
        with self._topics.changed:
            return self._groups.setdefault(name, MemoryGroup(self._topics))


class MemoryProducer:
    """A `streams.ports.Producer` over `MemoryTopics`."""

    def __init__(self, topics: MemoryTopics) -> None:
        self._topics = topics
        self._closed = False

    def send(self, messages: Sequence[OutgoingMessage], *, give_up: Event | None = None) -> None:
        """See `Producer.send`."""
        del give_up  # nothing here ever waits
        if self._closed:
            raise StreamError("the producer is closed; ask the broker for a new one")
        try:
            for message in messages:
                self._topics.append(message)
        except UnknownTopic as error:
            raise DeliveryFailed(str(error)) from error

    def close(self) -> None:
        """See `Producer.close`."""
        self._closed = True


class MemoryLogReader:
    """A `streams.ports.LogReader` over `MemoryTopics`."""

    def __init__(self, topics: MemoryTopics, topic: str) -> None:
        self._topics = topics
        self._topic = topic
        self._positions: dict[TopicPartition, int] = {}
        self._closed = False

    def end_offsets(self) -> Mapping[TopicPartition, int]:
        """See `LogReader.end_offsets`."""
        return self._topics.end_offsets(self._topic)

    def poll(self, *, max_messages: int, timeout_seconds: float) -> list[Message]:
        """See `LogReader.poll`."""
        if self._closed:
            raise StreamError("the log reader is closed; ask the broker for a new one")
        deadline = monotonic() + timeout_seconds
        while True:
            with self._topics.changed:
                for partition in self._topics.partitions_of(self._topic):
                    self._positions.setdefault(partition, self._topics.first_offset(partition))
                messages = self._topics.read(self._positions, max_messages=max_messages)
                self._positions.update({(read.topic, read.partition): read.offset + 1 for read in messages})
                remaining = deadline - monotonic()
                if messages or remaining <= 0:
                    return messages
                self._topics.changed.wait(remaining)

    def position(self) -> Mapping[TopicPartition, int]:
        """See `LogReader.position`."""
        return dict(self._positions)

    def close(self) -> None:
        """See `LogReader.close`."""
        self._closed = True
