"""The port of BI's dimensions: what was tested, on whom, and who changed what; beside the hits, to be joined with them.

Promises, each held by the contract suite `tests/contract/test_dimension_warehouse.py`:

1. Rows and offsets move in one transaction, offsets by compare-and-set: as `warehouse.hits` has it.
2. A row that comes again takes the place of the one with its key: what is stored twice is there once.
3. The views show nothing of a test or a user group that is a Draft: a Draft is invisible to others.
4. A table that a newer release adds is filled from the beginning of the topic.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from warehouse.hits import OffsetRange


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitTestRow:
    """A split test as it is now. Moments are aware UTC, by the application's clock; None: it did not happen."""

    test_key: str
    name: str
    type: str
    author: str
    issue_key: str
    status: str
    settings_group: int
    created_at: datetime
    published_at: datetime | None
    code_deployed_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    resulting_variant: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsGroupRow:
    """A version of a test's settings. `state` is proposed, prepared or failed; `conditions` JSON text."""

    test_key: str
    settings_group: int
    state: str
    proposed_at: datetime
    proposed_by: str
    prepared_at: datetime | None
    starts_at: datetime
    ends_at: datetime
    conditions: str
    kept_groups: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantRow:
    """A variant of a settings group. `groups` counts its split groups, `users` the users estimated to carry them."""

    test_key: str
    settings_group: int
    variant: str
    is_control: bool
    groups: int
    users: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitGroupRow:
    """A split group and the variant that owns it in a settings group."""

    test_key: str
    settings_group: int
    split_group: int
    variant: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRow:
    """A line of the changelog. `settings_group` is the one it is about, else the one that was current, 0 for none."""

    position: int
    changed_at: datetime
    actor: str
    test_key: str
    kind: str
    settings_group: int
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UserGroupRow:
    """A user group as it is now. `settings_group` is the number of the conditions in force, 0 for none.

    Of moments the last one counts: when it was last activated, and last switched off.
    """

    group_key: str
    name: str
    author: str
    status: str
    settings_group: int
    created_at: datetime
    activated_at: datetime | None
    switched_off_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserGroupConditionsRow:
    """A version of a user group's conditions, JSON text. `users` met them when they were counted last, at that time."""

    group_key: str
    settings_group: int
    in_force_at: datetime
    changed_by: str
    conditions: str
    users: int | None
    counted_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserGroupChangeRow:
    """A line of a user group's changelog. `settings_group` is what it is about, else the one in force, 0 for none."""

    position: int
    changed_at: datetime
    actor: str
    group_key: str
    kind: str
    settings_group: int
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HitReportRow:
    """A hit report of a service: the counters of one process (docs/bi.md), as they stood at `reported_at` by its clock.

    `waiting` is what was on its way or on the disk, `dropped_other` what was dropped for reasons unknown here.
    """

    process: str
    report_id: str
    counting_since: datetime
    reported_at: datetime
    is_final: bool
    app: str
    environment: str
    host: str
    sdk_version: str
    accepted: int
    recovered: int
    delivered: int
    waiting: int
    dropped: int
    dropped_buffer_full: int
    dropped_closed: int
    dropped_encoding_failed: int
    dropped_delivery_failed: int
    dropped_close_deadline: int
    dropped_spool_full: int
    dropped_spool_damaged: int
    dropped_other: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DimensionRows:
    """What is new since the last store.

    Of the tests in `discarded`, and of the user groups in `discarded_user_groups`, everything that was stored before is
    deleted first.
    """

    discarded: Sequence[str] = ()
    discarded_user_groups: Sequence[str] = ()
    split_tests: Sequence[SplitTestRow] = ()
    settings_groups: Sequence[SettingsGroupRow] = ()
    variants: Sequence[VariantRow] = ()
    split_groups: Sequence[SplitGroupRow] = ()
    changes: Sequence[ChangeRow] = ()
    user_groups: Sequence[UserGroupRow] = ()
    user_group_conditions: Sequence[UserGroupConditionsRow] = ()
    user_group_changes: Sequence[UserGroupChangeRow] = ()
    hit_reports: Sequence[HitReportRow] = ()


class DimensionWarehouse(Protocol):
    """Where the dimensions are, and what services reported of their hits: in one database with the hits.

    Safe to use beside the sink that writes those.
    """

    def prepare(self, topic: str) -> None:
        """Create what is missing of the tables and views, those of the hits among them.

        Where tables of an older release are there and others are not, the offsets of `topic` are forgotten: what the
        new ones lack was read long ago, and is read again. Rows that are there take the same values once more.

        Raises:
            WarehouseTooNew: the tables are a newer release's.
            WarehouseDown: see there, as in every method below.
        """
        ...

    def offsets(self, topic: str) -> Mapping[int, int]:
        """See `HitWarehouse.offsets`."""
        ...

    def store(self, rows: DimensionRows, ranges: Sequence[OffsetRange]) -> None:
        """Store `rows` and move the offsets of `ranges`, in one transaction, or nothing of it.

        Raises:
            Fenced, WarehouseDown, WarehouseRefused: see `HitWarehouse.store`.
        """
        ...
