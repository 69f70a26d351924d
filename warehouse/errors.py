"""What can go wrong at the warehouse; the drivers' own errors are translated where they enter."""

from typing import Final

LOCKED_HINT: Final = "stop the other process, or let both jobs run in one (DuckDB lets one process in at a time)"


class WarehouseError(Exception):
    """The root of this room's errors.

    WarehouseError
    ├── WarehouseDown        it does not answer now: try again later
    │   └── WarehouseLocked  another process holds the DuckDB file
    ├── WarehouseRefused     it answered and will not take this: retrying cures nothing
    ├── WarehouseTooNew      its tables were made by a newer release
    └── Fenced               somebody else moved the offsets: this consumer is not the owner any more
        └── Overtaken        somebody else is about to move them (ClickHouse, which has no transactions)
    """


class WarehouseDown(WarehouseError):
    """The warehouse cannot be reached or cannot write now (down, full, read-only). Nothing was stored; try again."""


class WarehouseLocked(WarehouseDown):
    """Another process holds the DuckDB file."""

    def __init__(self, path: str) -> None:
        super().__init__(f"the DuckDB file {path} is held by another process; {LOCKED_HINT}")
        self.path = path


class WarehouseRefused(WarehouseError):
    """The warehouse answered with an error that trying again does not cure. Nothing was stored."""


class WarehouseTooNew(WarehouseError):
    """The tables carry a version of the future: run the release that made them, or a later one."""

    def __init__(self, found: int, known: int) -> None:
        super().__init__(
            f"the warehouse's tables have version {found}, this release knows up to {known}; run a newer release"
        )
        self.found = found
        self.known = known


class Fenced(WarehouseError):
    """The stored offset is not the one this consumer started from: another one stored that range already."""

    def __init__(self, topic: str, partition: int, *, expected: int, stored: int | None) -> None:
        super().__init__(
            f"{topic}, partition {partition}: this consumer wanted to go on from offset {expected}, but the warehouse "
            f"stands at {stored}; nothing was written, restart the consumer so that it goes on from there"
        )
        self.topic = topic
        self.partition = partition
        self.expected = expected
        self.stored = stored


class Overtaken(Fenced):
    """Another consumer announced after this one that it stores this partition: it is the owner now."""

    def __init__(self, topic: str, partition: int, *, expected: int) -> None:
        super().__init__(topic, partition, expected=expected, stored=expected)
        sentence = (
            f"{topic}, partition {partition}: another consumer has begun to store from offset {expected} on after this "
            "one had; this one moved no offset, restart it so that it goes on from where the other one is"
        )
        self.args = (sentence,)
