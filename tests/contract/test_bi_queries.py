"""The queries that docs/bi.md shows are run as they stand there, on all three engines."""

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID

import pyarrow as pa
import pytest

from consumers.dimensions import DimensionsFollower
from consumers.hit_report_export import HitReportsFollower
from events.facts import REGISTRY
from events.lifecycle_codec import encode_event
from events.store import StoredEvent
from streams.memory import MemoryBroker
from streams.messages import OutgoingMessage
from streams.topics import HIT_REPORTS, LIFECYCLE, all_topics
from tests.support import histories
from tests.support.read_models import stream_of
from usersplit.hit_reports import HitReport, encode_hit_report
from warehouse.clickhouse_dimensions import ClickHouseDimensions
from warehouse.clickhouse_hits import ClickHouseHits
from warehouse.dimensions import DimensionWarehouse
from warehouse.duckdb_dimensions import DuckDbDimensions
from warehouse.duckdb_hits import DuckDbHits
from warehouse.hits import HITS_SCHEMA, HitWarehouse, OffsetRange
from warehouse.postgres_dimensions import PostgresDimensions
from warehouse.postgres_hits import PostgresHits

Ask: TypeAlias = Callable[[str], list[tuple[Any, ...]]]
QUERIES = re.findall(r"```sql\n(.*?)```", (Path(__file__).parents[2] / "docs" / "bi.md").read_text(), re.DOTALL)
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture(params=["duckdb", "clickhouse", pytest.param("postgresql", marks=pytest.mark.real_postgres)])
def ask(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ask]:
    if request.param == "duckdb":
        with closing(DuckDbHits(tmp_path / "bi.duckdb")) as duckdb_hits:
            fill(DuckDbDimensions(duckdb_hits), duckdb_hits)
            yield lambda query: duckdb_hits.cursor().execute(query).fetchall()
    elif request.param == "clickhouse":
        with closing(ClickHouseHits(request.getfixturevalue("clickhouse_url"))) as clickhouse_hits:
            fill(ClickHouseDimensions(clickhouse_hits), clickhouse_hits)
            yield lambda query: clickhouse_hits.ask(query.rstrip().removesuffix(";"))
    else:
        with closing(PostgresHits(request.getfixturevalue("postgres_url"))) as postgres_hits:
            fill(PostgresDimensions(postgres_hits), postgres_hits)
            yield lambda query: postgres_hits._ask(query, [])


def fill(dimensions: DimensionWarehouse, hits: HitWarehouse) -> None:
    """Store a user group, a running test and hits: one unit sees both variants, one hit has another's split group."""
    dimensions.prepare(LIFECYCLE)
    broker = MemoryBroker()
    broker.ensure_topics(all_topics(hit_partitions=1))
    for position, fact in enumerate([*histories.running(), *histories.active_group("payers")], 1):
        event = StoredEvent(
            position=position,
            stream=stream_of(fact),
            version=position,
            encoded=REGISTRY.encode(fact),
            actor="anna",
            recorded_at=NOON,
        )
        broker.producer().send([OutgoingMessage(topic=LIFECYCLE, key=b"k", value=encode_event(event))])
    follower = DimensionsFollower(broker=broker, warehouse=dimensions, registry=REGISTRY)
    follower.step(timeout_seconds=0)
    follower.close()
    report = HitReport(process="p", report_id="r", reported_at=int(NOON.timestamp()) * 10**6, app="shop")
    lost = replace(report, environment="production", accepted=10, delivered=4, dropped=6, dropped_buffer_full=6)
    broker.producer().send([OutgoingMessage(topic=HIT_REPORTS, key=b"p", value=encode_hit_report(lost))])
    reports = HitReportsFollower(broker=broker, warehouse=dimensions)
    reports.step(timeout_seconds=0)
    reports.close()
    seen = [("u1", "control", 1), ("u2", "control", 3), ("u3", "red", 2), ("u1", "red", 1)]
    rows = [
        dict.fromkeys(HITS_SCHEMA.names, "")
        | {"hit_id": str(UUID(int=number)), "occurred_at": NOON, "test_key": histories.KEY, "settings_group": 1}
        | {"variant": variant, "unit_type": "user", "unit_id": unit, "split_group": split_group}
        | {"environment": "production", "forced": False, "app": "shop"}
        for number, (unit, variant, split_group) in enumerate(seen)
    ]
    table = pa.Table.from_pylist(rows, schema=HITS_SCHEMA)
    hits.store(table, [OffsetRange(topic="hits", partition=0, first=0, next=len(rows))])


def query_with(text: str) -> str:
    (found,) = [query for query in QUERIES if text in query]
    return str(found)


def test_every_query_of_the_docs_runs(ask: Ask, request: pytest.FixtureRequest) -> None:
    for query in QUERIES:
        if "CREATE OR REPLACE TABLE" not in query or "duckdb" in request.node.name:
            ask(query)


def test_a_jump_in_a_chart_is_explained_by_the_changes_of_its_day(ask: Ask) -> None:
    rows = ask(query_with("LEFT JOIN changes"))
    assert [(variant, units) for _, variant, units, *_ in rows[:: len(histories.running())]] == [
        ("control", 2),
        ("red", 2),
    ]
    assert {actor for *_, actor, _ in rows} == {"anna"}
    assert any("Created" in sentence for *_, sentence in rows)


def test_a_user_group_that_changed_is_found_on_the_day_of_a_chart(ask: Ask) -> None:
    rows = ask(query_with("JOIN user_group_changes"))
    assert [(key, actor) for _, key, actor, _ in rows] == [("payers", "anna")] * 2
    assert rows[1][3].startswith("Activated the user group")


def test_units_are_held_against_the_split_groups_that_were_promised(ask: Ask) -> None:
    assert ask(query_with("LEFT JOIN exposures")) == [(1, "control", 3, 2), (1, "red", 3, 1)]


def test_a_unit_that_saw_two_variants_and_a_service_with_stale_settings_are_found(ask: Ask) -> None:
    assert ask(query_with("WHERE variants > 1")) == [(histories.KEY, 1, 1)]
    assert ask(query_with("JOIN split_groups")) == [("shop", "", 1)]


def test_services_that_lose_hits_are_found_by_the_day_with_their_share(ask: Ask) -> None:
    ((day, app, dropped, stored, lost),) = ask(query_with("FROM hit_accounting"))
    assert (str(day), app, dropped, stored, lost) == ("2026-05-01", "shop", 6, 4, 60)
