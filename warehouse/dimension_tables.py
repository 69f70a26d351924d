"""The tables and views of the dimensions, in SQL that DuckDB and PostgreSQL both read."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import pyarrow as pa

from warehouse.dimensions import DimensionRows
from warehouse.hit_accounting import REPORT_COUNTERS

_TEXT: Final = pa.large_string()
_MOMENT: Final = pa.timestamp("us", tz="UTC")
_SQL_TYPES: Final = {
    _TEXT: "TEXT",
    _MOMENT: "TIMESTAMPTZ",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.bool_(): "BOOLEAN",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DimensionOwner:
    """What rows belong to: the view that has one row for each, the column with its key, who of them were discarded."""

    view: str
    key: str
    discarded: Callable[[DimensionRows], Sequence[str]]


SPLIT_TESTS: Final = DimensionOwner(view="split_tests", key="test_key", discarded=lambda rows: rows.discarded)
USER_GROUPS: Final = DimensionOwner(
    view="user_groups", key="group_key", discarded=lambda rows: rows.discarded_user_groups
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DimensionTable:
    """A table: the view's name, the columns, and which of them are its key. The table itself has a name of its own.

    `owner` is whose rows these are: what is told of a test, or of a user group, is shown and deleted with it. Rows
    without one are always shown.
    """

    view: str
    columns: dict[str, Any]
    key: tuple[str, ...]
    owner: DimensionOwner | None

    @property
    def name(self) -> str:
        """Return the name of the table, which holds Drafts as well."""
        return f"dimension_{self.view}"

    @property
    def schema(self) -> pa.Schema:
        """Return the columns for Arrow."""
        return pa.schema(list(self.columns.items()))

    def create(self) -> Iterator[str]:
        """Yield the statements that make the table, if it is not there, and the view.

        No key is declared: DuckDB would refuse a row that is deleted and inserted in one transaction.
        """
        columns = ", ".join(f"{name} {_SQL_TYPES[kind]}" for name, kind in self.columns.items())
        yield f"CREATE TABLE IF NOT EXISTS {self.name} ({columns})"
        yield f"CREATE OR REPLACE VIEW {self.view} AS SELECT * FROM {self.name}{self.shown()}"  # noqa: S608 - constants

    def shown(self, final: str = "") -> str:
        """Return the clause that leaves out what belongs to a Draft, if anything can. `final` is ClickHouse's FINAL."""
        if (owner := self.owner) is None:
            return ""
        published = f"SELECT {owner.key} FROM dimension_{owner.view}{final} WHERE status <> 'draft'"  # noqa: S608 - constants
        return f" WHERE {owner.key} IN ({published})"

    def discarded(self, rows: DimensionRows) -> tuple[str, list[str]]:
        """Return the column with the owner's key, and the keys whose rows are to be deleted; mostly none."""
        return (self.owner.key, list(self.owner.discarded(rows))) if self.owner else ("", [])

    def replace(self) -> Iterator[str]:
        """Yield the statements that take the rows of the table new_rows in."""
        same = " AND ".join(f"{self.name}.{column} = new_rows.{column}" for column in self.key)
        yield f"DELETE FROM {self.name} USING new_rows WHERE {same}"  # noqa: S608 - constants
        yield f"INSERT INTO {self.name} SELECT * FROM new_rows"  # noqa: S608 - constants


TABLES: Final = (
    DimensionTable(
        view="split_tests",
        owner=SPLIT_TESTS,
        columns={
            "test_key": _TEXT,
            "name": _TEXT,
            "type": _TEXT,
            "author": _TEXT,
            "issue_key": _TEXT,
            "status": _TEXT,
            "settings_group": pa.int32(),
            "created_at": _MOMENT,
            "published_at": _MOMENT,
            "code_deployed_at": _MOMENT,
            "started_at": _MOMENT,
            "ended_at": _MOMENT,
            "resulting_variant": _TEXT,
        },
        key=("test_key",),
    ),
    DimensionTable(
        view="settings_groups",
        owner=SPLIT_TESTS,
        columns={
            "test_key": _TEXT,
            "settings_group": pa.int32(),
            "state": _TEXT,
            "proposed_at": _MOMENT,
            "proposed_by": _TEXT,
            "prepared_at": _MOMENT,
            "starts_at": _MOMENT,
            "ends_at": _MOMENT,
            "conditions": _TEXT,
            "kept_groups": pa.int32(),
        },
        key=("test_key", "settings_group"),
    ),
    DimensionTable(
        view="variants",
        owner=SPLIT_TESTS,
        columns={
            "test_key": _TEXT,
            "settings_group": pa.int32(),
            "variant": _TEXT,
            "is_control": pa.bool_(),
            "groups": pa.int32(),
            "users": pa.int64(),
        },
        key=("test_key", "settings_group", "variant"),
    ),
    DimensionTable(
        view="split_groups",
        owner=SPLIT_TESTS,
        columns={"test_key": _TEXT, "settings_group": pa.int32(), "split_group": pa.int32(), "variant": _TEXT},
        key=("test_key", "settings_group", "split_group"),
    ),
    DimensionTable(
        view="changes",
        owner=SPLIT_TESTS,
        columns={
            "position": pa.int64(),
            "changed_at": _MOMENT,
            "actor": _TEXT,
            "test_key": _TEXT,
            "kind": _TEXT,
            "settings_group": pa.int32(),
            "sentence": _TEXT,
        },
        key=("position",),
    ),
    DimensionTable(
        view="user_groups",
        owner=USER_GROUPS,
        columns={
            "group_key": _TEXT,
            "name": _TEXT,
            "author": _TEXT,
            "status": _TEXT,
            "settings_group": pa.int32(),
            "created_at": _MOMENT,
            "activated_at": _MOMENT,
            "switched_off_at": _MOMENT,
        },
        key=("group_key",),
    ),
    DimensionTable(
        view="user_group_conditions",
        owner=USER_GROUPS,
        columns={
            "group_key": _TEXT,
            "settings_group": pa.int32(),
            "in_force_at": _MOMENT,
            "changed_by": _TEXT,
            "conditions": _TEXT,
            "users": pa.int64(),
            "counted_at": _MOMENT,
        },
        key=("group_key", "settings_group"),
    ),
    DimensionTable(
        view="user_group_changes",
        owner=USER_GROUPS,
        columns={
            "position": pa.int64(),
            "changed_at": _MOMENT,
            "actor": _TEXT,
            "group_key": _TEXT,
            "kind": _TEXT,
            "settings_group": pa.int32(),
            "sentence": _TEXT,
        },
        key=("position",),
    ),
    DimensionTable(
        view="hit_reports",
        owner=None,
        columns={
            "process": _TEXT,
            "report_id": _TEXT,
            "counting_since": _MOMENT,
            "reported_at": _MOMENT,
            "is_final": pa.bool_(),
            "app": _TEXT,
            "environment": _TEXT,
            "host": _TEXT,
            "sdk_version": _TEXT,
            **dict.fromkeys(REPORT_COUNTERS, pa.int64()),
        },
        key=("process", "report_id"),
    ),
)


def is_of_an_older_release(existing: Collection[str]) -> bool:
    """Say whether some of the tables are there, by their names, and others are not."""
    return 0 < len({table.name for table in TABLES}.intersection(existing)) < len(TABLES)


def new_rows(rows: DimensionRows) -> Iterator[tuple[DimensionTable, pa.Table]]:
    """Yield each table for which there are new rows, with them."""
    for table in TABLES:
        found: Sequence[Any] = getattr(rows, table.view)
        if found:
            yield table, pa.Table.from_pylist([asdict(row) for row in found], schema=table.schema)
