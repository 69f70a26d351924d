"""One suite over the charts' answers of every engine: each equals what memory counts, row by row."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pytest

from warehouse.clickhouse_hits import ClickHouseHits
from warehouse.duckdb_hits import DuckDbHits
from warehouse.errors import WarehouseDown
from warehouse.hits import HITS_SCHEMA, HitWarehouse, OffsetRange
from warehouse.memory_hits import MemoryHits
from warehouse.memory_traffic import MemoryTraffic
from warehouse.postgres_hits import PostgresHits
from warehouse.sql_traffic import SqlTraffic
from warehouse.traffic import HitTraffic, Span, TooManyBuckets, UnitsShown, VariantTraffic

NOON = datetime(2026, 5, 3, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = Span(since=NOON, until=NOON + 24 * HOUR, bucket=HOUR)

Hits = tuple[HitWarehouse, HitTraffic]


@pytest.fixture(params=["memory", "duckdb", "clickhouse", pytest.param("postgresql", marks=pytest.mark.real_postgres)])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Hits]:
    if request.param == "memory":
        memory = MemoryHits()
        yield memory, MemoryTraffic(memory)
        return
    hits: DuckDbHits | PostgresHits | ClickHouseHits
    if request.param == "duckdb":
        hits = DuckDbHits(tmp_path / "bi.duckdb")
    elif request.param == "clickhouse":
        hits = ClickHouseHits(request.getfixturevalue("clickhouse_url"))
    else:
        hits = PostgresHits(request.getfixturevalue("postgres_url"))
    with closing(hits):
        hits.prepare()
        yield hits, SqlTraffic(hits)


def row(number: int, **fields: Any) -> dict[str, Any]:
    return (
        dict.fromkeys(HITS_SCHEMA.names, "")
        | {"hit_id": str(UUID(int=(7 << 76) | number)), "occurred_at": NOON, "test_key": "green", "settings_group": 1}
        | {"variant": "red", "unit_type": "user", "unit_id": str(number), "split_group": 1}
        | {"environment": "production", "forced": False}
        | fields
    )


def store(hits: HitWarehouse, rows: list[dict[str, Any]]) -> None:
    first = hits.offsets("hits").get(0, 0)
    part = OffsetRange(topic="hits", partition=0, first=first, next=first + len(rows))
    hits.store(pa.Table.from_pylist(rows, schema=HITS_SCHEMA), [part])


def test_without_hits_there_are_no_lines_and_no_units(made: Hits) -> None:
    _, traffic = made
    assert traffic.over_time("green", DAY) == []
    assert traffic.recent(DAY) == {}
    assert traffic.units("green", 1, DAY) == UnitsShown(per_variant={}, torn=0)


def test_hits_are_counted_by_bucket_and_the_ends_are_half_open(made: Hits) -> None:
    hits, traffic = made
    edge = timedelta(microseconds=1)
    moments = [NOON - edge, NOON, NOON + HOUR - edge, NOON + HOUR, DAY.until - edge, DAY.until]
    store(hits, [row(number, occurred_at=moment) for number, moment in enumerate(moments)])
    counts = [2, 1, *[0] * 21, 1]
    assert traffic.over_time("green", DAY) == [VariantTraffic(settings_group=1, variant="red", hits=counts)]
    assert traffic.recent(DAY) == {"green": counts}
    assert traffic.units("green", 1, DAY).per_variant == {"red": 4}


def test_a_last_bucket_that_is_cut_holds_what_is_in_it(made: Hits) -> None:
    hits, traffic = made
    store(hits, [row(1, occurred_at=NOON + 2 * HOUR), row(2, occurred_at=NOON + 3 * HOUR)])
    span = Span(since=NOON, until=NOON + timedelta(minutes=150), bucket=HOUR)
    assert traffic.recent(span) == {"green": [0, 0, 1]}
    assert span.starts()[-1] == NOON + 2 * HOUR


def test_forced_hits_and_other_environments_are_nobodys_traffic(made: Hits) -> None:
    hits, traffic = made
    store(hits, [row(1), row(2, forced=True), row(3, environment="devel"), row(4, test_key="blue", forced=True)])
    assert traffic.recent(DAY) == {"green": [1, *[0] * 23]}
    assert traffic.units("green", 1, DAY).per_variant == {"red": 1}
    devel = Span(since=DAY.since, until=DAY.until, bucket=DAY.bucket, environment="devel")
    assert [line.hits[0] for line in traffic.over_time("green", devel)] == [1]


def test_a_unit_counts_where_its_first_hit_was_and_torn_ones_are_told(made: Hits) -> None:
    hits, traffic = made
    store(
        hits,
        [
            row(1, unit_id="a", occurred_at=NOON + HOUR, variant="control"),
            row(2, unit_id="a", occurred_at=NOON, variant="red"),
            row(4, unit_id="b", variant="red"),
            row(3, unit_id="b", variant="control"),  # at the same moment, but made before
            row(5, unit_id="b", unit_type="guest", variant="control"),
            row(6, unit_id="c", variant="control", settings_group=2),
        ],
    )
    assert traffic.units("green", 1, DAY) == UnitsShown(per_variant={"red": 1, "control": 2}, torn=2)
    assert traffic.units("green", 2, DAY) == UnitsShown(per_variant={"control": 1}, torn=0)


def test_texts_that_look_like_syntax_are_only_texts(made: Hits) -> None:
    hits, traffic = made
    odd = "a'; DROP TABLE hits; -- {key} %s $1 \\"
    store(hits, [row(1, test_key=odd, variant=odd, environment=odd)])
    span = Span(since=DAY.since, until=DAY.until, bucket=DAY.bucket, environment=odd)
    assert [line.variant for line in traffic.over_time(odd, span)] == [odd]
    assert traffic.units(odd, 1, span).per_variant == {odd: 1}


def test_every_engine_counts_as_memory_does(made: Hits) -> None:
    hits, traffic = made
    generator = np.random.default_rng(3)
    rows = [
        row(
            number,
            occurred_at=NOON + timedelta(seconds=int(generator.integers(-9000, 100_000))),
            test_key=str(generator.choice(["green", "blue"])),
            settings_group=int(generator.integers(1, 3)),
            variant=str(generator.choice(["control", "red"])),
            unit_id=str(generator.integers(200)),
            environment=str(generator.choice(["production", "devel"])),
            forced=bool(generator.random() < 0.1),
        )
        for number in range(1000)
    ]
    store(hits, rows)
    memory = MemoryHits()
    store(memory, rows)
    wanted = MemoryTraffic(memory)
    for span in (DAY, Span(since=NOON, until=NOON + 26 * HOUR, bucket=timedelta(minutes=7))):
        assert traffic.recent(span) == wanted.recent(span)
        assert traffic.over_time("green", span) == wanted.over_time("green", span)
        assert traffic.units("blue", 2, span) == wanted.units("blue", 2, span)


@pytest.mark.parametrize(
    ("until", "bucket"),
    [(NOON, HOUR), (NOON - HOUR, HOUR), (NOON + HOUR, timedelta(0)), (NOON + 24 * HOUR, timedelta(seconds=1))],
)
def test_a_span_that_is_no_chart_is_refused(until: datetime, bucket: timedelta) -> None:
    with pytest.raises(TooManyBuckets, match="10,000 buckets at most"):
        Span(since=NOON, until=until, bucket=bucket)


def test_a_warehouse_that_is_away_is_told(made: Hits) -> None:
    hits, traffic = made
    if not isinstance(hits, MemoryHits):
        pytest.skip("the databases' own suites end their sessions")
    hits.down = True
    with pytest.raises(WarehouseDown):
        traffic.recent(DAY)
