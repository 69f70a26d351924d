"""The port of the BI warehouse: hits in, counts out; and what every implementation promises.

Promises, each held by the contract suite `tests/contract/test_hit_warehouse.py`:

1. Rows and offsets move in one transaction: what is stored below an offset is all there is below it, even if the
   process is killed at any instruction.
2. Offsets move by compare-and-set: a consumer that lost its partitions without knowing writes nothing.
3. A hit_id is stored once, however often and in however many batches it comes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

SCHEMA_VERSION: Final = 2
"""The version of the tables. A warehouse with a higher one is refused, one with a lower one is brought up."""

# Views: what was read of a message need not be copied on its way to the database.
_TEXT: Final = pa.string_view()

HITS_SCHEMA: Final[Any] = pa.schema(
    [
        pa.field("hit_id", _TEXT, nullable=False),
        pa.field("occurred_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("test_key", _TEXT, nullable=False),
        pa.field("settings_group", pa.int32(), nullable=False),
        pa.field("variant", _TEXT, nullable=False),
        pa.field("unit_type", _TEXT, nullable=False),
        pa.field("unit_id", _TEXT, nullable=False),
        pa.field("split_group", pa.int32(), nullable=False),
        pa.field("environment", _TEXT, nullable=False),
        pa.field("platform", _TEXT, nullable=False),
        pa.field("country", _TEXT, nullable=False),
        pa.field("app", _TEXT, nullable=False),
        pa.field("host", _TEXT, nullable=False),
        pa.field("forced", pa.bool_(), nullable=False),
        pa.field("sdk_version", _TEXT, nullable=False),
        pa.field("attributes", _TEXT, nullable=False),
    ]
)
"""A batch of hits, in the order of the table's columns (docs/bi.md). `hit_id` is a UUID in its canonical text form."""

COLUMNS: Final[tuple[str, ...]] = tuple(HITS_SCHEMA.names)


def chosen(hits: pa.Table, which: NDArray[np.bool_]) -> pa.Table:
    """Return those of `hits` (of `HITS_SCHEMA`) for which `which` says so, in their order."""
    # By polars: pyarrow filters no string views.
    frame = pl.DataFrame(hits).filter(pl.Series(which))
    return frame.to_arrow(compat_level=pl.CompatLevel.newest()).cast(HITS_SCHEMA)


@dataclass(frozen=True, slots=True, kw_only=True)
class OffsetRange:
    """The part of a partition that a batch covers: offsets from `first` up to, but without, `next`."""

    topic: str
    partition: int
    first: int
    next: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HitsPerVariant:
    """Hits of one variant of one settings group in one environment, and how many different units they were shown to.

    `first_at` and `last_at` are aware UTC, by the clocks of the services.
    """

    test_key: str
    settings_group: int
    variant: str
    environment: str
    hits: int
    units: int
    first_at: datetime
    last_at: datetime


class HitWarehouse(Protocol):
    """Where hits end up for BI. Its database is another one than the event store's. Safe to use from many threads."""

    def prepare(self) -> None:
        """Create what is missing of the tables. Several processes may call it at once.

        Raises:
            WarehouseTooNew: the tables are a newer release's.
            WarehouseDown: see there, as in every method below.
        """
        ...

    def ping(self) -> None:
        """Return if the warehouse answers.

        Raises:
            WarehouseDown: it does not.
        """
        ...

    def offsets(self, topic: str) -> Mapping[int, int]:
        """Return the next offset to read of every partition of `topic` from which something was stored."""
        ...

    def forget_offsets(self, topic: str) -> None:
        """Start `topic` from its beginning: it was deleted and made anew, and the offsets of old mean nothing in it.

        The hits stay, and their ids keep a hit that comes again from being counted twice.
        """
        ...

    def store(self, hits: pa.Table, ranges: Sequence[OffsetRange]) -> int:
        """Store `hits` (of `HITS_SCHEMA`) and move the offsets of `ranges`, in one transaction, or nothing of it.

        A partition that the warehouse has never seen starts wherever its first range starts: the beginning of a topic
        may have been deleted by its retention.

        Returns:
            How many of the hits were new; the others' ids were there before.

        Raises:
            Fenced: a partition's stored offset is not its range's `first`.
            WarehouseDown: nothing was stored, or, if the connection broke in the commit, everything: trying again with
                the same ranges ends in success or in `Fenced`, never in a hit lost or stored twice.
            WarehouseRefused: the database will not have these rows; trying again cures nothing.
        """
        ...

    def hits_per_variant(self, key: str | None = None) -> list[HitsPerVariant]:
        """Return the counts of the test `key`, or of all tests, sorted by their first four fields."""
        ...

    def close(self) -> None:
        """Let go of the database. Idempotent."""
        ...


class HitRetention(Protocol):
    """What ends the life of hits. Every warehouse of this package has it."""

    def forget_hits(self, before: datetime) -> int:
        """Delete the hits that occurred before `before` (aware) and return how many they were.

        Their ids are forgotten with them: a hit that comes again after that is stored again. So keep hits for longer
        than the topic does (seven days), and than dead letters wait to be replayed (ninety).

        Raises:
            WarehouseDown: it does not answer now; nothing was deleted.
        """
        ...
