"""One suite over every warehouse: memory, DuckDB, PostgreSQL, ClickHouse (its engine in this process)."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest

from warehouse.clickhouse_hits import ClickHouseHits
from warehouse.duckdb_hits import DuckDbHits
from warehouse.errors import Fenced, WarehouseRefused
from warehouse.hits import HITS_SCHEMA, HitRetention, HitWarehouse, OffsetRange
from warehouse.memory_hits import MemoryHits
from warehouse.postgres_hits import PostgresHits

MOMENT = datetime(2026, 5, 3, 12, 30, 15, 123456, tzinfo=UTC)
TOPIC = "hits"


@pytest.fixture(params=["memory", "duckdb", "clickhouse", pytest.param("postgresql", marks=pytest.mark.real_postgres)])
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[HitWarehouse]:
    made: HitWarehouse
    if request.param == "memory":
        made = MemoryHits()
    elif request.param == "duckdb":
        made = DuckDbHits(tmp_path / "bi.duckdb")
    elif request.param == "clickhouse":
        made = ClickHouseHits(request.getfixturevalue("clickhouse_url"))
    else:
        made = PostgresHits(request.getfixturevalue("postgres_url"))
    made.prepare()
    yield made
    made.close()


def hit_id(number: int) -> str:
    return str(UUID(int=(7 << 76) | (2 << 62) | number))


def row(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "hit_id": hit_id(number),
        "occurred_at": MOMENT + timedelta(seconds=number),
        "test_key": "green_button",
        "settings_group": 3,
        "variant": "red",
        "unit_type": "user",
        "unit_id": str(number),
        "split_group": 1,
        "environment": "production",
        "platform": "",
        "country": "",
        "app": "",
        "host": "",
        "forced": False,
        "sdk_version": "",
        "attributes": "{}",
    } | fields


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=HITS_SCHEMA)


def part(first: int, following: int, partition: int = 0) -> OffsetRange:
    return OffsetRange(topic=TOPIC, partition=partition, first=first, next=following)


def test_a_new_warehouse_knows_no_offsets_and_no_hits(warehouse: HitWarehouse) -> None:
    warehouse.ping()
    assert dict(warehouse.offsets(TOPIC)) == {}
    assert warehouse.hits_per_variant() == []


def test_preparing_twice_keeps_what_is_there(warehouse: HitWarehouse) -> None:
    warehouse.store(table(row(1)), [part(0, 1)])
    warehouse.prepare()
    assert dict(warehouse.offsets(TOPIC)) == {0: 1}


def test_rows_and_offsets_of_several_partitions_are_stored_together(warehouse: HitWarehouse) -> None:
    new = warehouse.store(table(row(1), row(2), row(3)), [part(0, 2), part(7, 8, partition=1)])
    assert new == 3
    assert dict(warehouse.offsets(TOPIC)) == {0: 2, 1: 8}
    assert dict(warehouse.offsets("another topic")) == {}


def test_counts_are_kept_per_test_settings_group_variant_and_environment(warehouse: HitWarehouse) -> None:
    hits = table(
        row(1),
        row(2, unit_id="1"),
        row(3, unit_id="1", unit_type="guest"),
        row(4, variant="control"),
        row(5, settings_group=4),
        row(6, environment="devel"),
        row(7, test_key="Zebra"),
    )
    warehouse.store(hits, [part(0, 7)])
    found = warehouse.hits_per_variant("green_button")
    counted = [(line.settings_group, line.variant, line.environment, line.hits, line.units) for line in found]
    assert counted == [
        (3, "control", "production", 1, 1),
        (3, "red", "devel", 1, 1),
        (3, "red", "production", 3, 2),
        (4, "red", "production", 1, 1),
    ]
    assert (found[2].first_at, found[2].last_at) == (MOMENT + timedelta(seconds=1), MOMENT + timedelta(seconds=3))
    assert [line.test_key for line in warehouse.hits_per_variant()] == ["Zebra", *["green_button"] * 4]
    assert warehouse.hits_per_variant("unknown") == []


def test_hits_of_clocks_that_are_wrong_by_ages_are_stored_at_the_time_they_say(warehouse: HitWarehouse) -> None:
    first, last = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    moments = [first, MOMENT, datetime(2100, 2, 28, tzinfo=UTC), last]
    hits = [row(number, occurred_at=moment) for number, moment in enumerate(moments)]
    assert warehouse.store(table(*hits), [part(0, 4)]) == 4
    (line,) = warehouse.hits_per_variant()
    assert (line.first_at, line.last_at) == (first, last)


def test_a_hit_id_is_stored_once_within_a_batch_and_across_batches(warehouse: HitWarehouse) -> None:
    assert warehouse.store(table(row(2), row(1), row(2)), [part(0, 3)]) == 2
    assert warehouse.store(table(row(1), row(3), row(2)), [part(3, 6)]) == 1
    assert [line.hits for line in warehouse.hits_per_variant()] == [3]
    assert dict(warehouse.offsets(TOPIC)) == {0: 6}


def test_what_is_new_in_a_batch_of_old_hits_is_stored_as_it_came(warehouse: HitWarehouse) -> None:
    old = [row(number, variant="old") for number in range(40)]
    warehouse.store(table(*old), [part(0, 40)])
    new = [row(100 + number, variant="new", unit_id=f"{number}: {'long' * number}") for number in range(40)]
    mixed = [one for pair in zip(old, new, strict=True) for one in pair]
    assert warehouse.store(table(*mixed, *mixed), [part(40, 200)]) == 40
    counted = {line.variant: (line.hits, line.units) for line in warehouse.hits_per_variant()}
    assert counted == {"old": (40, 40), "new": (40, 40)}
    assert warehouse.store(table(*new), [part(200, 240)]) == 0


def test_ids_that_come_again_after_many_batches_without_any_are_stored_once_too(warehouse: HitWarehouse) -> None:
    for at in range(30):
        assert warehouse.store(table(row(3 * at), row(3 * at + 1)), [part(2 * at, 2 * at + 2)]) == 2
    assert warehouse.store(table(row(4), row(100), row(0)), [part(60, 63)]) == 1
    assert warehouse.store(table(row(100), row(101)), [part(63, 65)]) == 1
    assert [line.hits for line in warehouse.hits_per_variant()] == [62]


def test_forgotten_offsets_start_again_and_count_no_hit_twice(warehouse: HitWarehouse) -> None:
    warehouse.store(table(row(1), row(2)), [part(0, 2), part(0, 5, partition=1)])
    warehouse.forget_offsets("another topic")
    assert dict(warehouse.offsets(TOPIC)) == {0: 2, 1: 5}
    warehouse.forget_offsets(TOPIC)
    assert dict(warehouse.offsets(TOPIC)) == {}
    assert warehouse.store(table(row(1), row(3)), [part(0, 2)]) == 1
    assert [line.hits for line in warehouse.hits_per_variant()] == [3]


def test_a_range_that_does_not_go_on_where_the_warehouse_stands_writes_nothing(warehouse: HitWarehouse) -> None:
    warehouse.store(table(row(1)), [part(0, 1), part(0, 1, partition=1)])
    for stale in (part(0, 2), part(5, 6)):
        with pytest.raises(Fenced, match="stands at 1"):
            warehouse.store(table(row(9)), [part(1, 2, partition=1), stale])
    assert dict(warehouse.offsets(TOPIC)) == {0: 1, 1: 1}
    assert [line.hits for line in warehouse.hits_per_variant()] == [1]
    warehouse.store(table(row(2)), [part(1, 2)])


def test_a_partition_that_was_never_seen_may_start_anywhere(warehouse: HitWarehouse) -> None:
    warehouse.store(table(row(1)), [part(4711, 4712)])
    assert dict(warehouse.offsets(TOPIC)) == {0: 4712}


def test_offsets_move_without_hits(warehouse: HitWarehouse) -> None:
    assert warehouse.store(table(), [part(0, 5)]) == 0
    assert dict(warehouse.offsets(TOPIC)) == {0: 5}


def test_texts_that_look_like_syntax_are_kept_as_they_are(warehouse: HitWarehouse) -> None:
    odd = ['a,"b"\n', "\\N", "", "NULL", "ünï 🥥", "'; DROP TABLE hits; --", "\\.", " x\t"]
    warehouse.store(table(*[row(number, variant=text) for number, text in enumerate(odd)]), [part(0, len(odd))])
    assert sorted(line.variant for line in warehouse.hits_per_variant()) == sorted(odd)


def test_hits_before_a_moment_are_forgotten_and_the_offsets_stay(warehouse: HitWarehouse) -> None:
    retention: Any = warehouse
    forget: HitRetention = retention
    warehouse.store(table(row(1), row(2), row(3)), [part(0, 3)])
    assert forget.forget_hits(MOMENT + timedelta(seconds=2)) == 1
    assert forget.forget_hits(MOMENT + timedelta(seconds=2)) == 0
    assert [line.hits for line in warehouse.hits_per_variant()] == [2]
    assert dict(warehouse.offsets(TOPIC)) == {0: 3}
    # A forgotten id is new again: what docs/bi.md warns of.
    assert warehouse.store(table(row(1), row(2)), [part(3, 5)]) == 1


def test_an_id_that_is_no_uuid_is_refused_and_nothing_is_stored(
    warehouse: HitWarehouse,
) -> None:
    if isinstance(warehouse, MemoryHits):
        pytest.skip("memory keeps ids as they are")
    for wrong in ("", "x" * 36, hit_id(1).upper().replace("7", "G"), hit_id(1) + "0"):
        with pytest.raises(WarehouseRefused):
            warehouse.store(table(row(1), row(2, hit_id=wrong)), [part(0, 2)])
    assert dict(warehouse.offsets(TOPIC)) == {}
    assert warehouse.hits_per_variant() == []


def test_exposures_are_the_first_hits_of_units_and_days_are_those_of_utc(warehouse: HitWarehouse) -> None:
    night = datetime(2026, 5, 3, 23, 30, tzinfo=UTC)
    stored = table(
        row(1, occurred_at=night + timedelta(minutes=10), unit_id="u", variant="control"),
        row(2, occurred_at=night, unit_id="u", variant="red"),
        row(3, occurred_at=night + timedelta(hours=1), unit_id="u", variant="red"),
        row(4, occurred_at=night, unit_id="u", variant="blue", forced=True),
        row(5, occurred_at=night, unit_id="u", unit_type="guest", variant="blue"),
        row(6, occurred_at=night, unit_id="u", variant="blue", settings_group=4),
    )
    warehouse.store(stored, [part(0, 6)])
    assert sorted(asked(warehouse, EXPOSURES)) == [
        (3, "guest", "blue", 1, 1),
        (3, "user", "red", 3, 2),
        (4, "user", "blue", 1, 1),
    ]
    assert sorted(asked(warehouse, PER_DAY)) == [
        ("2026-05-03", 3, "blue", 1, 1),
        ("2026-05-03", 3, "control", 1, 1),
        ("2026-05-03", 3, "red", 1, 1),
        ("2026-05-03", 4, "blue", 1, 1),
        ("2026-05-04", 3, "red", 1, 1),
    ]


EXPOSURES = "SELECT settings_group, unit_type, variant, hits, variants FROM exposures"
PER_DAY = "SELECT CAST(day AS VARCHAR), settings_group, variant, hits, units FROM hits_per_day"


def asked(warehouse: HitWarehouse, query: str) -> list[tuple[Any, ...]]:
    """Ask in SQL, as BI does; there is none of it in memory."""
    if isinstance(warehouse, DuckDbHits):
        return warehouse.cursor().execute(query).fetchall()
    if isinstance(warehouse, ClickHouseHits):
        return warehouse.ask(query.replace("VARCHAR", "String"))
    if isinstance(warehouse, PostgresHits):
        return warehouse._ask(query, [])
    pytest.skip("memory has no views")
