"""Consumer groups as operators look at them: how far behind their topics they are, and how many members they have."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupStanding:
    """How a consumer group stands to a topic.

    Attributes:
        behind: how many messages of the topic come after the offsets that the group committed; all that the topic
            holds where it never committed.
        members: how many members it has now; None where the broker cannot tell.
    """

    behind: int
    members: int | None


class ConsumerGroups(Protocol):
    """Tells how consumer groups stand, without joining them. Safe to share between threads."""

    def standing(self, group: str, topic: str) -> GroupStanding:
        """Return how `group` stands to `topic`. A group that never was is behind by all that is there.

        Raises:
            streams.ports.BrokerAway: nobody answered in time.
            streams.ports.UnknownTopic: the topic is not there (yet).
            streams.ports.StreamError: anything else that the broker refuses.
        """
        ...

    def unread(self, topic: str, offsets: Mapping[int, int]) -> int:
        """Return how many messages of `topic` a reader has not read that keeps its offsets elsewhere, by partition.

        Raises:
            streams.ports.StreamError: as `standing`.
        """
        ...
