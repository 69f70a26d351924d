"""The way of every command: replay, load, decide, append. All facts of a command are appended, or none."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from commands.fingerprints import fingerprint
from domain.people import Actor
from events.errors import VersionConflict
from events.facts import Fact
from events.registry import FactRegistry
from events.store import Appended, Command, EventStore, Provenance, require_storable, require_whole

State = TypeVar("State")
"""Of an aggregate: `SplitTest`, `UserGroup`, `Overrides`. A `Callable[[State | None], Sequence[Fact]]` decides: from
the state to what happens to it, or a named error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Who asks.

    Attributes:
        command_id: made by the caller; a replay with the same id is given the first answer. Empty: no replay is known.
        expected_version: the version of the test or user group that the person saw. None: whatever it is now.
    """

    actor: Actor
    command_id: str = ""
    expected_version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One command on its way: who asks, what it is called, the key of what it is about, and its arguments."""

    request: Request
    name: str
    key: str
    arguments: Mapping[str, object]

    def fingerprint(self) -> str:
        """Return what makes it this command and no other."""
        return fingerprint(command=self.name, key=self.key, arguments=self.arguments, actor=self.request.actor.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate(Generic[State]):
    """One kind of things that commands are about.

    Attributes:
        stream: the name of the stream that holds the facts of a key.
        load: from the facts of a stream, in order, to the state; None if there are none.
        require_visible: returns if the actor may know of the thing with this state and key, else raises.
    """

    stream: Callable[[str], str]
    load: Callable[[Iterable[Any]], State | None]
    require_visible: Callable[[State | None, str, Actor], object]


class Execution(Generic[State]):
    """Carries out orders on the streams of one kind of things. Holds no state; safe to share between threads."""

    def __init__(
        self, aggregate: Aggregate[State], *, store: EventStore, registry: FactRegistry, now: Callable[[], datetime]
    ) -> None:
        self._aggregate = aggregate
        self._store = store
        self._registry = registry
        self._now = now

    def change(self, order: Order, decide: Callable[[State | None], Sequence[Fact]]) -> Appended:
        """Carry out `order` on something that its actor can see.

        Raises:
            SplitTestNotFound, UserGroupNotFound: the actor cannot see it. Said before anything else, for a conflict of
                versions would tell a stranger that the Draft exists.
            VersionConflict: it is not at the version expected, or somebody else wrote at the same moment.
            CommandIdReused: the command id belongs to another command.
        """
        if (first := self.first_answer(order)) is not None:
            return first
        state, version = self.load(order.key)
        self._aggregate.require_visible(state, order.key, order.request.actor)
        return self._append(order, state, version, decide)

    def change_anything(self, order: Order, decide: Callable[[State | None], Sequence[Fact]]) -> Appended:
        """Carry out `order` on something that may not exist yet, or on behalf of the system, which sees everything.

        Raises:
            VersionConflict, CommandIdReused: see `change`.
        """
        if (first := self.first_answer(order)) is not None:
            return first
        state, version = self.load(order.key)
        return self._append(order, state, version, decide)

    def record(self, order: Order, decide: Callable[[State | None], Sequence[Fact]]) -> Appended | None:
        """Carry out `order` on behalf of the system where something is to be recorded; None where nothing is.

        Raises:
            VersionConflict, CommandIdReused: see `change`.
        """
        if (first := self.first_answer(order)) is not None:
            return first
        state, version = self.load(order.key)
        facts = decide(state)
        return self._append(order, state, version, lambda _: facts) if facts else None

    def first_answer(self, order: Order) -> Appended | None:
        """Return the answer that `order` was given before, None if it is new.

        Asked before anything is decided: the replay of a command that succeeded would break a rule now.
        """
        if not order.request.command_id:
            return None
        return self._store.answered(order.request.command_id, order.fingerprint())

    def load(self, key: str) -> tuple[State | None, int]:
        """Return the state of `key`, None if there never was such a thing, and the version of its stream.

        Raises:
            UnstorableText: no stream can be called so.
            UnknownFact, CorruptPayload: see `FactRegistry.decode`; nothing is decided on half a history.
            VersionGap: likewise.
        """
        require_storable("key", key)
        events = self._store.read_stream(self._aggregate.stream(key))
        require_whole(events)
        state = self._aggregate.load(self._registry.decode(event.encoded) for event in events)
        return state, events[-1].version if events else 0

    def _append(
        self,
        order: Order,
        state: State | None,
        version: int,
        decide: Callable[[State | None], Sequence[Fact]],
    ) -> Appended:
        request, stream = order.request, self._aggregate.stream(order.key)
        if request.expected_version is not None and request.expected_version != version:
            raise VersionConflict(stream, request.expected_version, version)
        command_id = request.command_id
        return self._store.append(
            stream,
            decide(state),
            expected_version=version,
            provenance=Provenance(actor=request.actor.name, recorded_at=self._now()),
            command=Command(command_id=command_id, fingerprint=order.fingerprint()) if command_id else None,
        )
