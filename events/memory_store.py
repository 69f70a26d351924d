"""The event store in memory: the shipped stand-in for tests and trials, under the same contract as the real ones."""

from collections.abc import Sequence
from datetime import UTC, datetime
from threading import Lock

from events.errors import CommandIdReused, VersionConflict
from events.registry import FactRegistry
from events.store import Appended, Command, Provenance, StoredEvent, require_storable, require_zone


class MemoryEventStore:
    """An `events.store.EventStore` that forgets everything with its process. Safe to share between threads."""

    def __init__(self, registry: FactRegistry) -> None:
        self._registry = registry
        self._lock = Lock()
        self._log: list[StoredEvent] = []
        self._streams: dict[str, list[StoredEvent]] = {}
        self._answers: dict[str, tuple[str, Appended]] = {}

    def append(
        self,
        stream: str,
        facts: Sequence[object],
        *,
        expected_version: int,
        provenance: Provenance,
        command: Command | None = None,
    ) -> Appended:
        """See `EventStore.append`."""
        require_storable("stream", stream)
        encoded = [self._registry.encode(fact) for fact in facts]
        with self._lock:
            if command and (first := self._first_answer(command.command_id, command.fingerprint)):
                return first
            version = len(self._streams.get(stream, ()))
            if version != expected_version:
                raise VersionConflict(stream, expected_version, version)
            events = [
                StoredEvent(
                    position=len(self._log) + offset,
                    stream=stream,
                    version=version + offset,
                    encoded=fact,
                    actor=provenance.actor,
                    recorded_at=provenance.recorded_at.astimezone(UTC),
                    command_id=command.command_id if command else "",
                )
                for offset, fact in enumerate(encoded, start=1)
            ]
            self._log.extend(events)
            self._streams.setdefault(stream, []).extend(events)
            answer = Appended(
                stream=stream,
                version=version + len(events),
                position=len(self._log),
                answer=command.answer if command else "",
            )
            if command:
                self._answers[command.command_id] = (command.fingerprint, answer)
            return answer

    def answered(self, command_id: str, fingerprint: str) -> Appended | None:
        """See `EventStore.answered`."""
        with self._lock:
            return self._first_answer(command_id, fingerprint)

    def read_stream(self, stream: str, *, after_version: int = 0) -> Sequence[StoredEvent]:
        """See `EventStore.read_stream`."""
        with self._lock:
            return self._streams.get(stream, [])[max(after_version, 0) :]

    def read(self, *, after: int, limit: int) -> Sequence[StoredEvent]:
        """See `EventStore.read`."""
        with self._lock:
            start = max(after, 0)
            return self._log[start : start + limit]

    def head(self) -> int:
        """See `EventStore.head`."""
        with self._lock:
            return len(self._log)

    def position_at(self, moment: datetime) -> int:
        """See `EventStore.position_at`."""
        require_zone(moment)
        with self._lock:
            log = list(self._log)
        best, best_balance, balance = 0, 0, 0
        for event in log:
            balance += 1 if event.recorded_at <= moment else -1
            if balance >= best_balance:
                best, best_balance = event.position, balance
        return best

    def _first_answer(self, command_id: str, fingerprint: str) -> Appended | None:
        known = self._answers.get(command_id)
        if known is None:
            return None
        if known[0] != fingerprint:
            raise CommandIdReused(command_id)
        first = known[1]
        return Appended(
            stream=first.stream, version=first.version, position=first.position, answer=first.answer, replayed=True
        )
