"""Offsets in ClickHouse, which has no transactions: announced before rows are written, moved after (docs/adr/0010).

Two tables of maxima. What is written to them late or twice changes nothing, and no value ever falls:

- `hit_claims`: for each partition the newest announcement: its number, who made it, and the range in doubt;
- `hit_offsets`: for each partition the offset below which all is stored.

A topic that is forgotten starts a new epoch, so that a consumer that still works on the old one cannot move the new
one's offsets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
from clickhouse_connect.driver.client import Client

from warehouse.errors import Fenced, Overtaken
from warehouse.hits import OffsetRange

TABLES: Final = (
    """
    CREATE TABLE IF NOT EXISTS hit_offsets (
        topic String, `partition` Int32, epoch UInt32, next_offset SimpleAggregateFunction(max, Int64)
    ) ENGINE = AggregatingMergeTree ORDER BY (topic, `partition`, epoch)
    """,
    """
    CREATE TABLE IF NOT EXISTS hit_claims (
        topic String, `partition` Int32, epoch UInt32,
        claim SimpleAggregateFunction(max, Tuple(number UInt64, writer String, first Int64, next Int64))
    ) ENGINE = AggregatingMergeTree ORDER BY (topic, `partition`, epoch)
    """,
)

PLAIN_INSERT: Final = {"async_insert": 0, "max_partitions_per_insert_block": 0}
"""Settings of every insert here. An asynchronous one, the default of newer servers, may be answered before it is done
and does not look at deduplication tokens; and hits of services with wrong clocks lie in many months."""

# The mark of an epoch, which no partition has as its number.
_NO_PARTITION: Final = -1

_OFFSETS: Final = """
    SELECT topic, `partition`, epoch, max(next_offset) FROM hit_offsets WHERE topic IN {topics:Array(String)}
    GROUP BY topic, `partition`, epoch
"""
_CLAIMS: Final = """
    SELECT topic, `partition`, epoch, max(claim).1, max(claim).2, max(claim).3, max(claim).4
    FROM hit_claims WHERE topic IN {topics:Array(String)} GROUP BY topic, `partition`, epoch
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a consumer announced: that it stores `ranges`, each in its topic's epoch. `done`: it has stored them."""

    number: int
    ranges: tuple[OffsetRange, ...]
    epochs: Mapping[str, int]
    done: bool

    @property
    def name(self) -> str:
        """Return the ranges as text: the same for the same ranges of the same incarnation of their topics."""
        return ",".join(
            f"{part.topic}/{self.epochs[part.topic]}:{part.partition}:{part.first}-{part.next}" for part in self.ranges
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """What is stored and announced in the topics' present epochs, and the highest number of any epoch."""

    epochs: Mapping[str, int]
    numbers: Mapping[tuple[str, int], int]
    offsets: Mapping[tuple[str, int], int]
    claims: Mapping[tuple[str, int], tuple[int, str, int, int]]


class ClickHouseOffsets:
    """The offsets that one writer moves; `writer` is a name that no other one has. Raises ClickHouse's own errors."""

    def __init__(self, client: Client, writer: str) -> None:
        self._client = client
        self._writer = writer

    def stored(self, topic: str) -> dict[int, int]:
        """Return the next offset of every partition of `topic`."""
        state = self._state([topic])
        return {partition: offset for (_, partition), offset in state.offsets.items()}

    def forget(self, topic: str) -> None:
        """Let `topic` begin anew."""
        following = self._state([topic]).epochs[topic] + 1
        self._put_offsets([(topic, _NO_PARTITION, following, 0)])

    def claim(self, ranges: Sequence[OffsetRange]) -> Claim:
        """Announce that `ranges` are stored now.

        Raises:
            Fenced, Overtaken: see there.
        """
        state = self._state({part.topic for part in ranges})
        ordered = tuple(sorted(ranges, key=lambda part: (part.topic, part.partition)))
        newest = max((state.numbers.get(_place(part), 0) for part in ordered), default=0)
        if ordered and all(self._is_done(state, part) for part in ordered):
            return Claim(number=newest, ranges=ordered, epochs=state.epochs, done=True)
        claim = Claim(number=newest + 1, ranges=ordered, epochs=state.epochs, done=False)
        for part in ordered:
            _compare(state, part)
        self._announce(claim)
        # Two that announce at once both look again, and the one with the lower announcement sees it.
        self.check(claim)
        return claim

    def check(self, claim: Claim) -> None:
        """Return if nobody has announced to store these partitions since.

        Raises:
            Fenced, Overtaken: see there.
        """
        state = self._state(set(claim.epochs))
        for part in claim.ranges:
            if state.epochs[part.topic] != claim.epochs[part.topic]:
                raise Fenced(part.topic, part.partition, expected=part.first, stored=None)
            _compare(state, part)
            if state.claims.get(_place(part), ())[:2] != (claim.number, self._writer):
                raise Overtaken(part.topic, part.partition, expected=part.first)

    def finish(self, claim: Claim) -> None:
        """Move the offsets: everything of the claim is stored."""
        self._put_offsets([(part.topic, part.partition, claim.epochs[part.topic], part.next) for part in claim.ranges])

    def _is_done(self, state: _State, part: OffsetRange) -> bool:
        """Tell whether it was this writer that stored `part`, and its answer that got lost."""
        _, writer, first, following = state.claims.get(_place(part), (0, "", -1, -1))
        stored = state.offsets.get(_place(part))
        return (writer, first, following, stored) == (self._writer, part.first, part.next, part.next)

    def _state(self, topics: "set[str] | Sequence[str]") -> _State:
        parameters = {"topics": sorted(topics)}
        rows = self._client.query(_OFFSETS, parameters=parameters).result_rows
        epochs = dict.fromkeys(parameters["topics"], 0)
        for topic, _, epoch, _ in rows:
            epochs[topic] = max(epochs[topic], epoch)
        offsets = {
            (topic, partition): offset
            for topic, partition, epoch, offset in rows
            if epoch == epochs[topic] and partition != _NO_PARTITION
        }
        announced = self._client.query(_CLAIMS, parameters=parameters).result_rows
        numbers: dict[tuple[str, int], int] = {}
        for topic, partition, _, number, *_ in announced:
            numbers[topic, partition] = max(numbers.get((topic, partition), 0), number)
        claims = {
            (topic, partition): (number, writer, first, following)
            for topic, partition, epoch, number, writer, first, following in announced
            if epoch == epochs[topic]
        }
        return _State(epochs=epochs, numbers=numbers, offsets=offsets, claims=claims)

    def _announce(self, claim: Claim) -> None:
        if claim.ranges:
            rows = [
                (
                    part.topic,
                    part.partition,
                    claim.epochs[part.topic],
                    (claim.number, self._writer, part.first, part.next),
                )
                for part in claim.ranges
            ]
            self._client.insert("hit_claims", rows, settings=PLAIN_INSERT)

    def _put_offsets(self, rows: Sequence[tuple[str, int, int, int]]) -> None:
        if rows:
            names = ("topic", "partition", "epoch", "next_offset")
            types = (pa.string(), pa.int32(), pa.uint32(), pa.int64())
            columns = {
                name: pa.array(column, kind)
                for name, kind, column in zip(names, types, zip(*rows, strict=True), strict=True)
            }
            self._client.insert_arrow("hit_offsets", pa.table(columns), settings=PLAIN_INSERT)


def _place(part: OffsetRange) -> tuple[str, int]:
    return part.topic, part.partition


def _compare(state: _State, part: OffsetRange) -> None:
    stored = state.offsets.get(_place(part))
    if stored not in {None, part.first}:
        raise Fenced(part.topic, part.partition, expected=part.first, stored=stored)
