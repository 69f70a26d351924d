"""The port of the event store: streams of facts under one gapless order, and what every implementation promises.

Promises, each held by the contract suite `tests/contract/test_event_store.py`:

1. Position order is commit order: a reader that saw position n has seen everything below n, for ever.
2. Positions and versions have no gaps; a rolled-back append leaves none.
3. `expected_version` is mandatory, and a stale one appends nothing.
4. A command id answers a replay with its first answer, and refuses another body; two at once get the same answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import msgspec

from events.errors import NaiveMoment, PositionGap, UnstorableText, VersionGap
from events.registry import EncodedFact, FactRegistry


class StoredEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A fact in the log, still as bytes, with its place and its provenance.

    Attributes:
        position: its place in the whole log, 1, 2, 3 … without gaps, in commit order.
        version: its place in its stream, likewise.
        actor: who caused it.
        recorded_at: when, by the writer's clock (aware, UTC). Clocks jump; positions do not.
        command_id: the command that caused it, empty when none was given.
    """

    position: int
    stream: str
    version: int
    encoded: EncodedFact
    actor: str
    recorded_at: datetime
    command_id: str = ""

    @property
    def event_id(self) -> str:
        """Unique for ever: a stream never holds two facts at one version."""
        return f"{self.stream}@{self.version}"


class RecordedFact(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A decoded fact with its place and its provenance: what projections and consumers are given.

    A Struct, as `StoredEvent` is: a rebuild makes one per event, and a frozen dataclass takes five times as long.
    """

    position: int
    stream: str
    version: int
    fact: Any
    actor: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Who appends, and when (aware; kept as UTC, to the microsecond).

    Raises:
        NaiveMoment: `recorded_at` has no time zone.
        UnstorableText: the actor's name cannot be stored.
    """

    actor: str
    recorded_at: datetime

    def __post_init__(self) -> None:
        require_zone(self.recorded_at)
        require_storable("actor", self.actor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command's identity: its id, a fingerprint of its body, and the answer to give to a replay.

    Raises:
        ValueError: the id is empty. Without an id there is no command to remember: pass None instead of a Command.
        UnstorableText: one of its texts cannot be stored.
    """

    command_id: str
    fingerprint: str
    answer: str = ""

    def __post_init__(self) -> None:
        if not self.command_id:
            raise ValueError("a command needs an id; pass no Command at all where none was given")
        require_storable("command id", self.command_id)
        require_storable("fingerprint", self.fingerprint)
        require_storable("answer", self.answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """Where an append ended: the stream's version and the log's position after it.

    `replayed` says that the command was answered before and nothing was appended now.
    """

    stream: str
    version: int
    position: int
    answer: str = ""
    replayed: bool = False


class EventStore(Protocol):
    """Streams of facts under one gapless order. See the promises at the top of this module."""

    def append(
        self,
        stream: str,
        facts: Sequence[object],
        *,
        expected_version: int,
        provenance: Provenance,
        command: Command | None = None,
    ) -> Appended:
        """Append `facts` in one transaction, or nothing. No facts and a command: only its answer is recorded.

        Raises:
            VersionConflict: the stream is not at `expected_version` (0 = the stream does not exist yet).
            CommandIdReused: the command's id is known with another fingerprint.
            UnregisteredFact: a fact has no name.
            UnreadableFact: a fact holds values that its type forbids.
            UnstorableText: the stream's name holds a NUL or a lone surrogate.
            DatabaseUnavailable: it is not known whether anything was appended; retry with the same command id.
        """
        ...

    def answered(self, command_id: str, fingerprint: str) -> Appended | None:
        """Return the first answer to the command, None if it is new.

        Raises:
            CommandIdReused: the id is known with another fingerprint.
        """
        ...

    def read_stream(self, stream: str, *, after_version: int = 0) -> Sequence[StoredEvent]:
        """Return the stream's events in order, those after `after_version`; empty if there is no such stream."""
        ...

    def read(self, *, after: int, limit: int) -> Sequence[StoredEvent]:
        """Return at most `limit` events with a position above `after`, in order, contiguous."""
        ...

    def head(self) -> int:
        """Return the last committed position, 0 for an empty log."""
        ...

    def position_at(self, moment: datetime) -> int:
        """Return where the log stood at `moment`: everything up to that position counts as recorded by then.

        As long as clocks never went back, that is the last position recorded at or before the moment; 0 if there is
        none. But clocks jump, and positions do not follow them. So it is defined as the cut of the log that puts the
        fewest facts on the wrong side of the moment (those up to it that were recorded later, and those after it that
        were recorded by then), and the highest position of several such cuts. So one fact with a wrong time sways the
        answer only for moments right beside its place, and a later moment never gets a lower position.

        Raises:
            NaiveMoment: it has no time zone.
        """
        ...


def require_storable(what: str, text: str) -> None:
    """Check a text that goes into a column of its own, before a database sees it.

    Raises:
        UnstorableText: it holds a NUL, or half a surrogate pair, which is no text in UTF-8.
    """
    # isascii() settles nearly every text without encoding it.
    if "\0" in text or not (text.isascii() or text.encode(errors="replace").decode() == text):
        raise UnstorableText(what, text)


def require_whole(events: Sequence[StoredEvent]) -> None:
    """Check a stream that was read from its beginning.

    Raises:
        VersionGap: an event is missing between others. Of one that is missing at the end only the positions tell.
    """
    for expected, event in enumerate(events, start=1):
        if event.version != expected:
            raise VersionGap(event.stream, expected, event.version)


def require_next(events: Sequence[StoredEvent], *, after: int) -> None:
    """Check what was read of the log behind the position `after`.

    Raises:
        PositionGap: an event is missing.
    """
    for expected, event in enumerate(events, start=after + 1):
        if event.position != expected:
            raise PositionGap(expected, event.position)


def require_zone(moment: datetime) -> None:
    """Check a moment.

    Raises:
        NaiveMoment: it has no time zone.
    """
    if moment.tzinfo is None:
        raise NaiveMoment(moment)


def recorded(event: StoredEvent, registry: FactRegistry) -> RecordedFact:
    """Decode `event`.

    Raises:
        UnknownFact: see `FactRegistry.decode`.
        CorruptPayload: see `FactRegistry.decode`.
    """
    return RecordedFact(
        position=event.position,
        stream=event.stream,
        version=event.version,
        fact=registry.decode(event.encoded),
        actor=event.actor,
        recorded_at=event.recorded_at,
    )
