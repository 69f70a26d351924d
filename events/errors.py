"""What can go wrong between facts and bytes, and between a writer and the store."""


class EventsError(Exception):
    """The root of this room's errors.

    EventsError
    ├── UnregisteredFact     a class that was never given a name and a version
    ├── UnknownFact          stored by a newer program, or by nobody we know
    ├── CorruptPayload       bytes that are no payload of the fact they claim to be
    ├── VersionConflict      somebody else wrote to the stream first
    ├── CommandIdReused      one command id, two different commands
    └── PositionGap          a reader was handed positions with a hole
    """


class UnregisteredFact(EventsError):
    """The class is not in the registry: register it with a name and a version before storing it."""

    def __init__(self, class_name: str) -> None:
        super().__init__(f"{class_name} is not a registered fact; decorate it with REGISTRY.register(name, version=…)")


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
