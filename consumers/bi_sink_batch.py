"""What the BI sink has in hand: messages as they came, and a batch decoded and ready to be stored."""

from collections.abc import Collection, Mapping, Sequence

import pyarrow as pa

from consumers.hit_decoding import decode_hits
from streams.messages import Message, TopicPartition
from warehouse.hits import OffsetRange


class Gathering:
    """Messages that wait to be stored, in the order in which they came."""

    def __init__(self, messages: Sequence[Message] = (), *, since: float = 0.0) -> None:
        self.messages = list(messages)
        self.size_bytes = _size(self.messages)
        self.since = since

    def add(self, messages: Sequence[Message], *, at: float) -> None:
        """Take `messages` in; `at` is the time of the first of them if there were none before."""
        if not self.messages:
            self.since = at
        self.messages.extend(messages)
        self.size_bytes += _size(messages)

    def without(self, partitions: Collection[TopicPartition]) -> "Gathering":
        """Return what remains when `partitions` are somebody else's."""
        return Gathering(_without(self.messages, partitions), since=self.since)


class ReadyBatch:
    """A decoded batch on its way into the warehouse. It is decoded once, however often storing is tried.

    Attributes:
        letters_written: its dead letters are acknowledged; until then its offsets may not be stored.
    """

    def __init__(self, messages: Sequence[Message], *, letters_written: bool = False) -> None:
        self.messages = messages
        self.letters_written = letters_written
        decoded = decode_hits([message.value for message in messages])
        self.hits: pa.Table = decoded.hits
        self.poison = [(bad.index, bad.reason) for bad in decoded.poison]

    @property
    def letters(self) -> list[tuple[Message, str]]:
        """The poisonous messages, each with its reason."""
        return [(self.messages[index], reason) for index, reason in self.poison]

    def ranges(self, positions: Mapping[TopicPartition, int | None]) -> list[OffsetRange]:
        """Return what of each partition the batch covers, from where the warehouse stands.

        Offsets that no message bears (the markers of transactions, what retention took) are covered as well. Where the
        warehouse never saw the partition, its first message is the beginning.
        """
        first: dict[TopicPartition, int] = {}
        following: dict[TopicPartition, int] = {}
        for message in self.messages:
            partition = (message.topic, message.partition)
            if partition not in first:
                position = positions[partition]
                first[partition] = message.offset if position is None else position
            following[partition] = message.offset + 1
        return [
            OffsetRange(topic=topic, partition=number, first=first[topic, number], next=end)
            for (topic, number), end in sorted(following.items())
        ]

    def without(self, partitions: Collection[TopicPartition]) -> "ReadyBatch | None":
        """Return what remains when `partitions` are somebody else's, None if it is nothing."""
        remaining = _without(self.messages, partitions)
        if len(remaining) == len(self.messages):
            return self
        return ReadyBatch(remaining, letters_written=self.letters_written) if remaining else None


def _size(messages: Sequence[Message]) -> int:
    return sum(len(message.value or b"") for message in messages)


def _without(messages: Sequence[Message], partitions: Collection[TopicPartition]) -> list[Message]:
    return [message for message in messages if (message.topic, message.partition) not in partitions]
