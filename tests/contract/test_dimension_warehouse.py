"""One suite over the dimensions of every warehouse: memory, DuckDB, PostgreSQL, ClickHouse."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.support.hit_report_rows import A_REPORT
from warehouse.clickhouse_dimensions import ClickHouseDimensions
from warehouse.clickhouse_hits import ClickHouseHits
from warehouse.dimensions import (
    ChangeRow,
    DimensionRows,
    DimensionWarehouse,
    SettingsGroupRow,
    SplitGroupRow,
    SplitTestRow,
    UserGroupChangeRow,
    UserGroupConditionsRow,
    UserGroupRow,
    VariantRow,
)
from warehouse.duckdb_dimensions import DuckDbDimensions
from warehouse.duckdb_hits import DuckDbHits
from warehouse.errors import Fenced
from warehouse.hits import OffsetRange
from warehouse.memory_dimensions import MemoryDimensions
from warehouse.postgres_dimensions import PostgresDimensions
from warehouse.postgres_hits import PostgresHits

View: TypeAlias = Callable[[str], list[dict[str, Any]]]
TOPIC = "lifecycle"
MOMENT = datetime(2026, 5, 3, 12, 30, 15, 123456, tzinfo=UTC)
GREEN = SplitTestRow(
    test_key="green",
    name="Green; 'button'",
    type="web",
    author="anna",
    issue_key="",
    status="running",
    settings_group=1,
    created_at=MOMENT,
    published_at=MOMENT,
    code_deployed_at=None,
    started_at=MOMENT + timedelta(days=1),
    ended_at=None,
    resulting_variant="",
)
FIRST = SettingsGroupRow(
    test_key="green",
    settings_group=1,
    state="prepared",
    proposed_at=MOMENT,
    proposed_by="anna",
    prepared_at=MOMENT,
    starts_at=MOMENT,
    ends_at=MOMENT + timedelta(days=30),
    conditions='[{"filter": "is_test_user"}]',
    kept_groups=0,
)
RED = VariantRow(test_key="green", settings_group=1, variant="red", is_control=False, groups=2, users=None)
ONE = SplitGroupRow(test_key="green", settings_group=1, split_group=1, variant="red")
CHANGED = ChangeRow(
    position=7, changed_at=MOMENT, actor="anna", test_key="green", kind="X", settings_group=1, sentence="Started."
)
PAYERS = UserGroupRow(
    group_key="payers",
    name="Who 'pays'",
    author="anna",
    status="active",
    settings_group=1,
    created_at=MOMENT,
    activated_at=MOMENT,
    switched_off_at=None,
)
IN_FORCE = UserGroupConditionsRow(
    group_key="payers",
    settings_group=1,
    in_force_at=MOMENT,
    changed_by="anna",
    conditions="[]",
    users=1234567890123,
    counted_at=MOMENT,
)
GROUP_CHANGED = UserGroupChangeRow(
    position=8, changed_at=MOMENT, actor="anna", group_key="payers", kind="Y", settings_group=1, sentence="Activated."
)
REPORT = replace(A_REPORT, counting_since=MOMENT, reported_at=MOMENT)
ALL = DimensionRows(
    split_tests=[GREEN],
    settings_groups=[FIRST],
    variants=[RED],
    split_groups=[ONE],
    changes=[CHANGED],
    user_groups=[PAYERS],
    user_group_conditions=[IN_FORCE],
    user_group_changes=[GROUP_CHANGED],
    hit_reports=[REPORT],
)
OF_TESTS = ("split_tests", "settings_groups", "variants", "split_groups", "changes")
VIEWS = (*OF_TESTS, "user_groups", "user_group_conditions", "user_group_changes", "hit_reports")


@pytest.fixture(params=["memory", "duckdb", "clickhouse", pytest.param("postgresql", marks=pytest.mark.real_postgres)])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[DimensionWarehouse, View]]:
    if request.param == "memory":
        memory = MemoryDimensions()
        yield memory, memory.view
    elif request.param == "duckdb":
        with closing(DuckDbHits(tmp_path / "bi.duckdb")) as duckdb_hits:
            yield DuckDbDimensions(duckdb_hits), lambda view: _of_duckdb(duckdb_hits, view)
    elif request.param == "clickhouse":
        with closing(ClickHouseHits(request.getfixturevalue("clickhouse_url"))) as clickhouse_hits:
            yield ClickHouseDimensions(clickhouse_hits), lambda view: _of_clickhouse(clickhouse_hits, view)
    else:
        with closing(PostgresHits(request.getfixturevalue("postgres_url"))) as postgres_hits:
            yield PostgresDimensions(postgres_hits), lambda view: _of_postgres(postgres_hits, view)


@pytest.fixture
def warehouse(made: tuple[DimensionWarehouse, View]) -> DimensionWarehouse:
    made[0].prepare(TOPIC)
    return made[0]


@pytest.fixture
def view(made: tuple[DimensionWarehouse, View]) -> View:
    return made[1]


@pytest.fixture
def drop(made: tuple[DimensionWarehouse, View]) -> Callable[[str], None]:
    """Return what takes a table and its view away, as if a release without them had made the others."""
    dimensions, _ = made
    statements = ("DROP VIEW {}", "DROP TABLE dimension_{}")

    def dropped(name: str) -> None:
        if isinstance(dimensions, DuckDbDimensions | PostgresDimensions):
            with dimensions._hits.transaction() as connection:
                for statement in statements:
                    connection.execute(statement.format(name))
        elif isinstance(dimensions, ClickHouseDimensions):
            with dimensions._hits.writing() as client:
                for statement in statements:
                    client.command(statement.format(name))
        elif isinstance(dimensions, MemoryDimensions):
            del dimensions._rows[name]

    return dropped


def _of_duckdb(hits: DuckDbHits, view: str) -> list[dict[str, Any]]:
    rows = hits.cursor().table(view).to_arrow_table().to_pylist()
    return [{name: _utc(value) for name, value in row.items()} for row in rows]


def _of_clickhouse(hits: ClickHouseHits, view: str) -> list[dict[str, Any]]:
    names = [name for name, *_ in hits.ask(f"DESCRIBE TABLE {view}")]
    rows = hits.ask(f"SELECT * FROM {view}")  # noqa: S608 - a constant
    return [dict(zip(names, map(_clickhouse_utc, row), strict=True)) for row in rows]


def _clickhouse_utc(value: Any) -> Any:
    # ClickHouse's client gives moments in UTC without saying so.
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value


def _of_postgres(hits: PostgresHits, view: str) -> list[dict[str, Any]]:
    with hits.transaction() as connection:
        cursor = connection.execute(f"SELECT * FROM {view}".encode())  # noqa: S608 - a constant
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, map(_utc, row), strict=True)) for row in cursor.fetchall()]


def _utc(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def part(first: int, following: int) -> OffsetRange:
    return OffsetRange(topic=TOPIC, partition=0, first=first, next=following)


def test_what_was_stored_is_what_the_views_show(warehouse: DimensionWarehouse, view: View) -> None:
    assert [view(name) for name in VIEWS] == [[]] * len(VIEWS)
    warehouse.store(ALL, [part(0, 3)])
    stored = (GREEN, FIRST, RED, ONE, CHANGED, PAYERS, IN_FORCE, GROUP_CHANGED, REPORT)
    assert [view(name) for name in VIEWS] == [[asdict(row)] for row in stored]
    assert dict(warehouse.offsets(TOPIC)) == {0: 3}


def test_a_row_that_comes_again_takes_the_place_of_the_old_one(warehouse: DimensionWarehouse, view: View) -> None:
    warehouse.store(ALL, [part(0, 3)])
    warehouse.store(replace(ALL, variants=[replace(RED, users=300)]), [part(3, 6)])
    assert [len(view(name)) for name in VIEWS] == [1] * len(VIEWS)
    assert view("variants")[0]["users"] == 300


def test_preparing_twice_keeps_what_is_there(warehouse: DimensionWarehouse, view: View) -> None:
    warehouse.store(ALL, [part(0, 3)])
    warehouse.prepare(TOPIC)
    assert [len(view(name)) for name in VIEWS] == [1] * len(VIEWS)


def test_a_draft_is_shown_nowhere_until_it_is_published(warehouse: DimensionWarehouse, view: View) -> None:
    drafts = replace(ALL, split_tests=[replace(GREEN, status="draft")], user_groups=[replace(PAYERS, status="draft")])
    warehouse.store(drafts, [part(0, 3)])
    assert [len(view(name)) for name in VIEWS] == [0] * 8 + [1]
    warehouse.store(DimensionRows(split_tests=[replace(GREEN, status="in_dev")]), [part(3, 4)])
    assert [len(view(name)) for name in VIEWS] == [1] * 5 + [0] * 3 + [1]
    warehouse.store(DimensionRows(user_groups=[PAYERS]), [part(4, 5)])
    assert [len(view(name)) for name in VIEWS] == [1] * len(VIEWS)


def test_of_what_was_discarded_nothing_is_left_but_what_came_after(warehouse: DimensionWarehouse, view: View) -> None:
    warehouse.store(ALL, [part(0, 3)])
    warehouse.store(DimensionRows(discarded=["green"], split_tests=[GREEN]), [part(3, 9)])
    assert [len(view(name)) for name in VIEWS] == [1, 0, 0, 0, 0, 1, 1, 1, 1]
    warehouse.store(DimensionRows(discarded_user_groups=["payers", "green"], user_groups=[PAYERS]), [part(9, 12)])
    assert [len(view(name)) for name in VIEWS] == [1, 0, 0, 0, 0, 1, 0, 0, 1]


def test_a_range_that_does_not_go_on_where_the_warehouse_stands_writes_nothing(
    warehouse: DimensionWarehouse, view: View
) -> None:
    warehouse.store(ALL, [part(0, 3)])
    with pytest.raises(Fenced, match="stands at 3"):
        warehouse.store(DimensionRows(discarded=["green"]), [part(1, 4)])
    assert len(view("changes")) == 1
    assert dict(warehouse.offsets(TOPIC)) == {0: 3}


def test_a_table_that_a_newer_release_adds_lets_the_topic_be_read_anew(
    made: tuple[DimensionWarehouse, View], drop: Callable[[str], None]
) -> None:
    warehouse, view = made
    warehouse.prepare(TOPIC)
    warehouse.store(ALL, [part(0, 3), OffsetRange(topic="other", partition=0, first=0, next=9)])
    drop("user_group_conditions")
    warehouse.prepare(TOPIC)
    assert (dict(warehouse.offsets(TOPIC)), dict(warehouse.offsets("other"))) == ({}, {0: 9})
    renamed = replace(ALL, split_tests=[replace(GREEN, name="Renamed")])
    warehouse.store(renamed, [part(0, 4)])
    assert [len(view(name)) for name in VIEWS] == [1] * len(VIEWS)
    assert [row["name"] for row in view("split_tests")] == ["Renamed"]
    warehouse.prepare(TOPIC)
    assert dict(warehouse.offsets(TOPIC)) == {0: 4}
