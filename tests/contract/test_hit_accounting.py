"""The view `hit_accounting`, on all three engines: what services reported of each day, beside what BI has."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest

from tests.support.hit_report_rows import A_REPORT
from warehouse.clickhouse_dimensions import ClickHouseDimensions
from warehouse.clickhouse_hits import ClickHouseHits
from warehouse.dimensions import DimensionRows, DimensionWarehouse, HitReportRow
from warehouse.duckdb_dimensions import DuckDbDimensions
from warehouse.duckdb_hits import DuckDbHits
from warehouse.hit_accounting import DROPPED
from warehouse.hits import HITS_SCHEMA, HitWarehouse, OffsetRange
from warehouse.postgres_dimensions import PostgresDimensions
from warehouse.postgres_hits import PostgresHits

COLUMNS = ("accepted", "recovered", "delivered", "waiting", "dropped", *DROPPED)
FIRST_DAY = date(2026, 5, 3)
SECOND_DAY = date(2026, 5, 4)
# Late in the day, UTC: an engine that thinks in another zone puts it into the next one, or noon's into the one before.
EVENING = datetime(2026, 5, 3, 23, 59, 59, tzinfo=UTC)
EARLY = EVENING + timedelta(seconds=2)
REPORT = replace(
    A_REPORT,
    counting_since=EVENING - timedelta(days=1),
    reported_at=EVENING,
    recovered=10,
    delivered=60,
    waiting=15,
)
LATER = replace(
    REPORT,
    report_id="r2",
    reported_at=EARLY,
    is_final=True,
    accepted=140,
    delivered=110,
    waiting=0,
    dropped=30,
    dropped_spool_full=5,
)
OTHER = replace(REPORT, process="p2", report_id="r3", accepted=50, recovered=0, delivered=10)


@dataclass
class Bi:
    """A warehouse with the view."""

    dimensions: DimensionWarehouse
    hits: DuckDbHits | PostgresHits | ClickHouseHits
    stored: int = 0

    def tell(self, *reports: HitReportRow) -> None:
        part = OffsetRange(topic="reports", partition=0, first=self.stored, next=self.stored + 1)
        self.stored += 1
        self.dimensions.store(DimensionRows(hit_reports=reports), [part])

    def accounting(self) -> dict[tuple[date, str], dict[str, int]]:
        names = ("processes", *COLUMNS, "stored")
        query = f"SELECT day, host, {', '.join(names)} FROM hit_accounting"  # noqa: S608 - constants
        if isinstance(self.hits, PostgresHits):
            rows: Sequence[Any] = self.hits._ask(query, [])
        elif isinstance(self.hits, DuckDbHits):
            rows = self.hits.cursor().execute(query).fetchall()
        else:
            rows = self.hits.ask(query)
        found = {(day, host): dict(zip(names, numbers, strict=True)) for day, host, *numbers in rows}
        assert len(found) == len(rows)
        return found


@pytest.fixture(params=["duckdb", "clickhouse", pytest.param("postgresql", marks=pytest.mark.real_postgres)])
def bi(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bi]:
    if request.param == "duckdb":
        with closing(DuckDbHits(tmp_path / "bi.duckdb")) as duckdb_hits:
            yield prepared(Bi(DuckDbDimensions(duckdb_hits), duckdb_hits))
    elif request.param == "clickhouse":
        with closing(ClickHouseHits(request.getfixturevalue("clickhouse_url"))) as clickhouse_hits:
            yield prepared(Bi(ClickHouseDimensions(clickhouse_hits), clickhouse_hits))
    else:
        with closing(PostgresHits(request.getfixturevalue("postgres_url"))) as postgres_hits:
            yield prepared(Bi(PostgresDimensions(postgres_hits), postgres_hits))


def prepared(bi: Bi) -> Bi:
    bi.dimensions.prepare("lifecycle")
    return bi


def store_hits(hits: HitWarehouse, *, at: datetime, host: str, count: int, first: int, forced: bool = False) -> None:
    rows = [
        dict.fromkeys(HITS_SCHEMA.names, "")
        | {"hit_id": str(UUID(int=number)), "occurred_at": at, "settings_group": 1, "split_group": 1, "forced": forced}
        | {"environment": "production", "app": "shop", "host": host}
        for number in range(first, first + count)
    ]
    part = OffsetRange(topic="hits", partition=0, first=first, next=first + count)
    hits.store(pa.Table.from_pylist(rows, schema=HITS_SCHEMA), [part])


def holds(line: dict[str, int]) -> bool:
    """Say whether the accounting identity does."""
    return line["accepted"] == line["delivered"] + line["waiting"] + line["dropped"] and line["dropped"] == sum(
        line[reason] for reason in DROPPED
    )


def test_what_a_report_adds_to_the_one_before_counts_for_its_day_and_every_day_adds_up(bi: Bi) -> None:
    # The later one first, and one of them twice: the broker promises no more.
    bi.tell(LATER)
    bi.tell(REPORT, OTHER)
    bi.tell(REPORT)
    found = bi.accounting()
    first, second = found[FIRST_DAY, "web-1"], found[SECOND_DAY, "web-1"]
    assert len(found) == 2
    assert all(map(holds, found.values()))
    assert (first["processes"], first["accepted"], first["recovered"], first["dropped"]) == (2, 150, 10, 50)
    assert (second["processes"], second["accepted"], second["delivered"], second["waiting"]) == (1, 40, 50, -15)
    assert (second["dropped"], second["dropped_spool_full"], second["dropped_buffer_full"]) == (5, 5, 0)
    assert first["stored"] == second["stored"] == 0


def test_what_bi_has_stands_beside_what_was_reported_and_alone_where_nothing_was(bi: Bi) -> None:
    bi.tell(REPORT, LATER)
    store_hits(bi.hits, at=EVENING, host="web-1", count=3, first=0)
    store_hits(bi.hits, at=EARLY, host="web-1", count=2, first=3, forced=True)
    store_hits(bi.hits, at=EARLY, host="web-2", count=4, first=5)
    found = bi.accounting()
    assert {place: line["stored"] for place, line in found.items()} == {
        (FIRST_DAY, "web-1"): 3,
        (SECOND_DAY, "web-1"): 2,
        (SECOND_DAY, "web-2"): 4,
    }
    assert found[SECOND_DAY, "web-2"] == dict.fromkeys(("processes", *COLUMNS), 0) | {"stored": 4}
    assert found[FIRST_DAY, "web-1"]["accepted"] == 100


def test_a_report_that_says_nothing_new_adds_nothing(bi: Bi) -> None:
    bi.tell(REPORT)
    bi.tell(replace(REPORT, report_id="r0"), replace(REPORT, report_id="r9", reported_at=EARLY))
    found = bi.accounting()
    assert [found[FIRST_DAY, "web-1"][name] for name in COLUMNS] == [getattr(REPORT, name) for name in COLUMNS]
    assert [found[SECOND_DAY, "web-1"][name] for name in COLUMNS] == [0] * len(COLUMNS)
