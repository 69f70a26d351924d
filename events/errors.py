"""What can go wrong between facts and bytes, and between a writer and the store."""

from datetime import datetime


class EventsError(Exception):
    """The root of this room's errors.

    EventsError
    ├── UnregisteredFact     a class that was never given a name and a version
    ├── UnreadableFact       a fact with values its own type forbids: it could be stored, but never read again
    ├── NaiveMoment          a time without a zone
    ├── UnstorableText       a name or an id with characters that no database keeps
    ├── UnknownFact          stored by a newer program, or by nobody we know
    ├── CorruptPayload       bytes that are no payload of the fact they claim to be
    ├── VersionConflict      somebody else wrote to the stream first
    ├── CommandIdReused      one command id, two different commands
    ├── PositionGap          a reader was handed positions with a hole
    ├── VersionGap           a stream has a hole
    ├── LogCutShort          the log ends before the counter says so
    ├── DamagedRow           a row of the database that is not what was written there
    ├── CheckpointMoved      another follower of the same name did the work first
    ├── MalformedEvent       bytes of the lifecycle topic that are no event
    ├── CounterBehindLog     the event counter gives out positions that are taken
    ├── SchemaMissing        a database that was never migrated
    └── DatabaseUnavailable  a database that cannot be reached, or is locked for too long
    """


class UnregisteredFact(EventsError):
    """The class is not in the registry: register it with a name and a version before storing it."""

    def __init__(self, class_name: str) -> None:
        super().__init__(f"{class_name} is not a registered fact; decorate it with REGISTRY.register(name, version=…)")


class UnreadableFact(EventsError):
    """A fact's values are not of the types its class declares. Stored, it would be poison for ever."""

    def __init__(self, class_name: str, detail: str) -> None:
        super().__init__(f"this {class_name} could not be read again: {detail}; give it values of the declared types")


class NaiveMoment(EventsError):
    """A time without a zone is not a moment: the same digits are another hour elsewhere."""

    def __init__(self, moment: datetime) -> None:
        super().__init__(f"{moment.isoformat()} has no time zone; pass an aware datetime, best in UTC")


class UnstorableText(EventsError):
    """A text with a NUL or half a surrogate pair. PostgreSQL refuses both; SQLite would cut its dumps at them."""

    def __init__(self, what: str, text: str) -> None:
        super().__init__(f"the {what} {text!r} holds a NUL or a lone surrogate, which cannot be stored; take it out")
        self.what = what


class UnknownFact(EventsError):
    """A stored name or version that this program does not know: it was written by a newer one."""

    def __init__(self, name: str, version: int) -> None:
        super().__init__(f"unknown fact {name} version {version}: run a release that knows it")
        self.name = name
        self.version = version


class CorruptPayload(EventsError):
    """Stored bytes that do not decode as the fact they claim to be."""

    def __init__(self, name: str, version: int, detail: str) -> None:
        super().__init__(f"the stored payload of {name} version {version} does not decode: {detail}")
        self.name = name
        self.version = version


class VersionConflict(EventsError):
    """The stream moved on since it was read. Never retried blindly: read again and decide again."""

    def __init__(self, stream: str, expected: int, actual: int) -> None:
        super().__init__(f"{stream} is at version {actual}, not {expected}: somebody changed it first; look again")
        self.stream = stream
        self.expected = expected
        self.actual = actual


class CommandIdReused(EventsError):
    """The command id was used for a command with another body; its first answer is not an answer to this one."""

    def __init__(self, command_id: str) -> None:
        super().__init__(f"command id {command_id} was used for a different command; take a new id")
        self.command_id = command_id


class PositionGap(EventsError):
    """A batch does not continue where the reader stands. Applying it would lose a fact."""

    def __init__(self, expected: int, found: int) -> None:
        super().__init__(f"expected position {expected}, found {found}: the log has a hole")
        self.expected = expected
        self.found = found


class VersionGap(EventsError):
    """A stream lacks a fact between others. Whatever is decided or answered by the rest may be wrong."""

    def __init__(self, stream: str, expected: int, found: int) -> None:
        super().__init__(
            f"{stream} should go on with version {expected} and goes on with {found}: the log has a hole; restore what "
            "is missing from a dump"
        )
        self.stream = stream


class LogCutShort(EventsError):
    """The counter gave out positions that the log does not hold: facts at its end are gone."""

    def __init__(self, end: int, counter: int) -> None:
        super().__init__(
            f"the log ends at position {end} and event_counter stands at {counter}: facts at the end of the log were "
            "lost; stop all writers and restore them from a dump"
        )
        self.end = end
        self.counter = counter


class DamagedRow(EventsError):
    """A row holds what no program of ours writes, as after bits have flipped on a disk. SQLite does not notice."""

    def __init__(self, detail: str) -> None:
        super().__init__(f"a row of the database is damaged ({detail}); restore it from a dump")


class CheckpointMoved(EventsError):
    """A follower's checkpoint is not where it left it: another one with its name is at work."""

    def __init__(self, name: str, expected: int, actual: int) -> None:
        super().__init__(
            f"the checkpoint of {name} is at {actual}, not {expected}: another process moved it; "
            "roll back and go on from there"
        )
        self.name = name
        self.expected = expected
        self.actual = actual


class MalformedEvent(EventsError):
    """Bytes that are no lifecycle event of ours: another producer writes to the topic, or they were damaged."""

    def __init__(self, detail: str) -> None:
        super().__init__(f"these bytes are not a lifecycle event: {detail}; find out who wrote them to the topic")


class CounterBehindLog(EventsError):
    """The counter row was restored or edited apart from the log, and would give out positions a second time."""

    def __init__(self, counter: int, newest: int) -> None:
        super().__init__(
            f"event_counter stands at {counter} but the log already holds position {newest}; stop all writers and "
            "set event_counter.position to the highest position in events"
        )


class SchemaMissing(EventsError):
    """The tables are not there."""

    def __init__(self, detail: str) -> None:
        super().__init__(f"the database lacks a table ({detail}); run the migrations first")


class DatabaseUnavailable(EventsError):
    """The database did not answer. A write may have been committed or not: retry it with the same command id."""

    def __init__(self, detail: str) -> None:
        super().__init__(f"the database does not answer ({detail}); retry later, with the same command id")
