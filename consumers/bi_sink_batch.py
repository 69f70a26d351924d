"""What the BI sink has in hand: messages as they came, and a batch decoded and ready to be stored."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain
from typing import Final, cast

import numpy as np
import pyarrow as pa

from consumers.hit_decoding import decode_hits
from streams.messages import Message, MessageRun, TopicPartition
from warehouse.hits import OffsetRange, chosen

MESSAGE_OVERHEAD_BYTES: Final = 256
"""What a message takes beside its bytes: Python's objects before it is decoded, Arrow's offsets and numbers after."""


class Gathering:
    """Messages that wait to be handed over, in the order in which they came."""

    def __init__(self, runs: Sequence[MessageRun] = (), *, since: float = 0.0) -> None:
        self.runs = list(runs)
        self.messages = sum(len(run.values) for run in self.runs)
        self.size_bytes = sum(map(_size, self.runs))
        self.since = since

    def add(self, runs: Sequence[MessageRun], *, at: float) -> None:
        """Take `runs` in; `at` is the time of the first of them if there were none before."""
        if not self.runs:
            self.since = at
        self.runs.extend(runs)
        self.messages += sum(len(run.values) for run in runs)
        self.size_bytes += sum(map(_size, runs))

    def without(self, partitions: Collection[TopicPartition]) -> "Gathering":
        """Return what remains when `partitions` are somebody else's."""
        return Gathering([run for run in self.runs if _place(run) not in partitions], since=self.since)

    def ranges(self, positions: Mapping[TopicPartition, int | None]) -> list[OffsetRange]:
        """Return what of each partition the messages cover, from `positions` on.

        Offsets that no message bears (the markers of transactions, what retention took) are covered as well. Where the
        warehouse never saw the partition, its first message is the beginning.
        """
        first: dict[TopicPartition, int] = {}
        following: dict[TopicPartition, int] = {}
        for run in self.runs:
            place = _place(run)
            if place not in first:
                position = positions[place]
                first[place] = run.offsets[0] if position is None else position
            following[place] = run.offsets[-1] + 1
        return [
            OffsetRange(topic=topic, partition=number, first=first[topic, number], next=end)
            for (topic, number), end in sorted(following.items())
        ]


class ReadyBatch:
    """A decoded batch on its way into the warehouse. It is decoded once, however often storing is tried.

    Attributes:
        hits: what is stored.
        letters: the poisonous messages, each with its reason.
        ranges: the offsets that the batch covers.
        letters_written: its dead letters are acknowledged; until then its offsets may not be stored.
        poison: of each poisonous message its place in the batch as it was gathered, and the reason.
        messages: how many were gathered.
    """

    def __init__(self, runs: Sequence[MessageRun], ranges: Sequence[OffsetRange]) -> None:
        decoded = decode_hits(list(chain.from_iterable(run.values for run in runs)))
        self.hits: pa.Table = decoded.hits
        self.poison = [(bad.index, bad.reason) for bad in decoded.poison]
        self.letters = list(_letters(runs, self.poison))
        self.ranges = list(ranges)
        self.letters_written = False
        self.messages = sum(len(run.values) for run in runs)
        self._places = [_place(run) for run in runs]
        # Of every hit, the run that it came in.
        of_messages = np.repeat(np.arange(len(runs)), [len(run.values) for run in runs])
        self._origins = np.delete(of_messages, [index for index, _ in self.poison])

    def drop(self, partitions: Collection[TopicPartition]) -> None:
        """Forget what came from `partitions`: they are somebody else's."""
        dropped = [number for number, place in enumerate(self._places) if place in partitions]
        if not dropped:
            return
        kept = np.isin(self._origins, dropped, invert=True)
        self._origins = self._origins[kept]
        self.hits = chosen(self.hits, kept)
        self.letters = [found for found in self.letters if (found[0].topic, found[0].partition) not in partitions]
        self.ranges = [part for part in self.ranges if (part.topic, part.partition) not in partitions]


def _letters(runs: Sequence[MessageRun], poison: Sequence[tuple[int, str]]) -> Iterator[tuple[Message, str]]:
    start, left = 0, list(reversed(poison))
    for run in runs:
        while left and left[-1][0] < start + len(run.values):
            index, reason = left.pop()
            yield _message(run, index - start), reason
        start += len(run.values)


def _message(run: MessageRun, at: int) -> Message:
    return Message(
        topic=run.topic, partition=run.partition, offset=run.offsets[at], key=run.keys[at], value=run.values[at]
    )


def _size(run: MessageRun) -> int:
    return _bytes(run.values) + _bytes(run.keys) + MESSAGE_OVERHEAD_BYTES * len(run.values)


def _bytes(column: Sequence[bytes | None]) -> int:
    try:
        return sum(map(len, cast("Sequence[bytes]", column)))
    except TypeError:  # some are None
        return sum(len(value or b"") for value in column)


def _place(run: MessageRun) -> TopicPartition:
    return run.topic, run.partition
