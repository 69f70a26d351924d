"""Consumer groups in memory: who owns which partition, and the member that reads them.

As with Kafka's cooperative assignor, a partition moves only after its owner's `revoked` listener has returned, and the
partitions that stay are not disturbed.
"""

from collections.abc import Mapping, Sequence
from time import monotonic

from streams.memory_log import MemoryTopics
from streams.messages import Message, TopicPartition
from streams.ports import AssignedListener, PartitionsListener, StreamError


class MemoryGroup:
    """The members of one consumer group, in the order in which they joined."""

    def __init__(self, topics: MemoryTopics) -> None:
        self._topics = topics
        self._members: list[MemorySource] = []
        self._owners: dict[TopicPartition, MemorySource] = {}
        self.committed: dict[TopicPartition, int] = {}

    @property
    def size(self) -> int:
        """How many members there are."""
        with self._topics.changed:
            return len(self._members)

    def join(self, member: "MemorySource") -> set[TopicPartition]:
        """Count `member` among those who share the partitions, and return its share: every n-th partition."""
        share: set[TopicPartition] = set()
        with self._topics.changed:
            if member not in self._members:
                self._members.append(member)
            for topic in member.topics:
                readers = [candidate for candidate in self._members if topic in candidate.topics]
                share.update(self._topics.partitions_of(topic)[readers.index(member) :: len(readers)])
        return share

    def leave(self, member: "MemorySource") -> None:
        """Take away what `member` owns and share it among the others."""
        with self._topics.changed:
            if member in self._members:
                self._members.remove(member)
            self.release(member, [owned for owned, owner in self._owners.items() if owner is member])

    def owned_by(self, member: "MemorySource") -> set[TopicPartition]:
        """Return the partitions that nobody else reads."""
        with self._topics.changed:
            return {partition for partition, owner in self._owners.items() if owner is member}

    def release(self, member: "MemorySource", partitions: Sequence[TopicPartition]) -> None:
        """Give `partitions` back."""
        with self._topics.changed:
            for partition in partitions:
                if self._owners.get(partition) is member:
                    del self._owners[partition]
            self._topics.changed.notify_all()

    def claim(self, member: "MemorySource", partitions: set[TopicPartition]) -> list[TopicPartition]:
        """Make `member` the owner of those `partitions` that are free, and return them."""
        with self._topics.changed:
            free = sorted(partition for partition in partitions if partition not in self._owners)
            self._owners.update(dict.fromkeys(free, member))
            return free


class MemorySource:
    """A `streams.ports.Source` over `MemoryTopics`."""

    def __init__(self, topics: MemoryTopics, group: MemoryGroup) -> None:
        self.topics: tuple[str, ...] = ()
        self._topics = topics
        self._group = group
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._closed = False
        self._assigned: AssignedListener = _start_at_the_beginning
        self._revoked: PartitionsListener = _ignore
        self._lost: PartitionsListener = _ignore

    def subscribe(
        self,
        topics: Sequence[str],
        *,
        assigned: AssignedListener,
        revoked: PartitionsListener,
        lost: PartitionsListener,
    ) -> None:
        """See `Source.subscribe`."""
        self.topics = tuple(topics)
        self._assigned, self._revoked, self._lost = assigned, revoked, lost
        self._group.join(self)

    def poll(self, *, max_messages: int, timeout_seconds: float) -> list[Message]:
        """See `Source.poll`."""
        if self._closed:
            raise StreamError("the source is closed; ask the broker for a new one")
        deadline = monotonic() + timeout_seconds
        while True:
            self._rebalance()
            with self._topics.changed:
                messages = self._read(max_messages)
                remaining = deadline - monotonic()
                if messages or remaining <= 0:
                    return messages
                self._topics.changed.wait(min(remaining, 0.05))

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        """See `Source.pause`."""
        self._paused.update(partitions)

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        """See `Source.resume`."""
        self._paused.difference_update(partitions)

    def unread(self) -> int:
        """See `Source.unread`."""
        ends = {place: end for topic in self.topics for place, end in self._topics.end_offsets(topic).items()}
        return sum(max(0, ends.get(place, 0) - at) for place, at in self._positions.items())

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """See `Source.commit`. From a member that lost the partition it is ignored, as Kafka refuses it."""
        owned = self._group.owned_by(self)
        self._group.committed.update({partition: offset for partition, offset in offsets.items() if partition in owned})

    def close(self) -> None:
        """See `Source.close`."""
        if self._closed:
            return
        self._closed = True
        self._drop_lost()
        try:
            if self._positions:
                self._revoked(sorted(self._positions))
        finally:
            self._positions.clear()
            self._group.leave(self)

    def expel(self) -> None:
        """Lose the membership, as after a session timeout; may be called from any thread. The next poll joins again."""
        self._group.leave(self)

    def _rebalance(self) -> None:
        if not self.topics:
            return
        self._drop_lost()
        share = self._group.join(self)
        if leaving := sorted(self._positions.keys() - share):
            self._revoked(leaving)
            self._forget(leaving)
            self._group.release(self, leaving)
        if new := self._group.claim(self, share - self._positions.keys()):
            starts = self._assigned(new)
            for partition in new:
                start = starts.get(partition)
                self._positions[partition] = self._topics.first_offset(partition) if start is None else start

    def _drop_lost(self) -> None:
        if gone := sorted(self._positions.keys() - self._group.owned_by(self)):
            self._lost(gone)
            self._forget(gone)

    def _forget(self, partitions: Sequence[TopicPartition]) -> None:
        for partition in partitions:
            del self._positions[partition]
            self._paused.discard(partition)

    def _read(self, max_messages: int) -> list[Message]:
        wanted = {partition: at for partition, at in self._positions.items() if partition not in self._paused}
        messages = self._topics.read(wanted, max_messages=max_messages)
        for message in messages:
            # The partition just read goes to the end of the queue, so that a busy one does not starve the others.
            self._positions.pop((message.topic, message.partition))
            self._positions[message.topic, message.partition] = message.offset + 1
        return messages


def _start_at_the_beginning(partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
    del partitions
    return {}


def _ignore(partitions: Sequence[TopicPartition]) -> None:
    del partitions
