"""The schemas of the topics beside the API, for Kafka's own clients; and the charts' numbers."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pyarrow as pa
import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError

from events.lifecycle_codec import LIFECYCLE_SCHEMA_ID
from tests.support.api import SETTINGS, Api, serving
from tests.support.served import behind_a_port
from usersplit.hits import HIT_SCHEMA, HIT_SCHEMA_ID
from warehouse.hits import HITS_SCHEMA, OffsetRange
from warehouse.memory_hits import MemoryHits
from warehouse.memory_traffic import MemoryTraffic

TESTS: Final = "/api/v1/tests"


def test_confluents_client_reads_our_schemas_beside_the_api(api: Api) -> None:
    with behind_a_port(api.front) as url, SchemaRegistryClient({"url": f"{url}/registry"}) as client:
        assert client.get_subjects() == [
            "usersplit.hits-value",
            "usersplit.hits.reports-value",
            "usersplit.lifecycle-value",
        ]
        newest = client.get_latest_version("usersplit.hits-value")
        assert newest.schema_id == HIT_SCHEMA_ID
        assert client.get_schema(LIFECYCLE_SCHEMA_ID).schema_type == "AVRO"
        assert client.register_schema("usersplit.hits-value", Schema(HIT_SCHEMA, "AVRO")) == HIT_SCHEMA_ID
        with pytest.raises(SchemaRegistryError, match="read-only mode"):
            client.register_schema("usersplit.hits-value", Schema('"string"', "AVRO"))
        with pytest.raises(SchemaRegistryError) as refused:
            client.get_latest_version("nothing-value")
        assert (refused.value.http_status_code, refused.value.error_code) == (404, 40401)


@pytest.fixture
def hits() -> MemoryHits:
    return MemoryHits()


@pytest.fixture
def counted(peopled_sqlite_file: Path, tmp_path: Path, hits: MemoryHits) -> Iterator[Api]:
    file = tmp_path / "usersplit.db"
    file.write_bytes(peopled_sqlite_file.read_bytes())
    with serving(f"sqlite:///{file}", traffic=MemoryTraffic(hits)) as api:
        api.draft("green_button", settings=SETTINGS)
        for step in ("publish", "start"):
            api.done("ann", "POST", f"{TESTS}/green_button/{step}")
        yield api


def store(hits: MemoryHits, variants: list[str], at: datetime, *, key: str = "green_button", first: int = 0) -> None:
    rows: list[dict[str, Any]] = [
        dict.fromkeys(HITS_SCHEMA.names, "")
        | {"hit_id": str(UUID(int=(7 << 76) | number)), "occurred_at": at, "test_key": key}
        | {"settings_group": 1, "variant": variant, "unit_type": "user", "unit_id": str(number), "split_group": 1}
        | {"environment": "production", "forced": False}
        for number, variant in enumerate(variants, start=first)
    ]
    part = OffsetRange(topic="hits", partition=0, first=first, next=first + len(rows))
    hits.store(pa.Table.from_pylist(rows, schema=HITS_SCHEMA), [part])


def test_hits_are_counted_by_variant_over_time_with_their_evenness(counted: Api, hits: MemoryHits) -> None:
    now = datetime.now(UTC)
    store(hits, ["control"] * 60 + ["green"] * 40, now - timedelta(minutes=90))
    found = counted.done("vera", "GET", f"{TESTS}/green_button/traffic")
    assert (found["environment"], found["bucket_seconds"]) == ("production", 3600)
    assert [(line["variant"], line["settings_group"], sum(line["hits"])) for line in found["lines"]] == [
        ("control", 1, 60),
        ("green", 1, 40),
    ]
    assert len(found["lines"][0]["hits"]) == 24
    even = found["evenness"]
    assert (even["units"], even["expected"]) == ({"control": 60, "green": 40}, {"control": 50.0, "green": 50.0})
    assert even["p_value"] == pytest.approx(0.0455, abs=0.001)
    assert even["alarming"] is False
    earlier = counted.done("vera", "GET", f"{TESTS}/green_button/traffic?until=2026-01-02T00:00:00Z&bucket_seconds=60")
    assert (earlier["lines"], earlier["since"]) == ([], "2026-01-01T00:00:00Z")
    recent = counted.done("vera", "GET", "/api/v1/traffic")
    assert {key: sum(hits) for key, hits in recent["hits"].items()} == {"green_button": 100}
    assert counted.done("vera", "GET", "/api/v1/traffic?environment=devel")["hits"] == {}
    counted.draft("secret")
    store(hits, ["control"], now - timedelta(minutes=90), key="secret", first=100)
    assert counted.done("vera", "GET", "/api/v1/traffic")["hits"] == recent["hits"]
    assert counted.done("ann", "GET", "/api/v1/traffic")["hits"].keys() == {"green_button", "secret"}
    devel = counted.done("vera", "GET", f"{TESTS}/green_button/traffic?environment=devel")
    assert (devel["lines"], devel["evenness"]["p_value"]) == ([], None)


def test_a_chart_that_is_none_is_refused(counted: Api, api: Api) -> None:
    counted.draft("secret")
    path = f"{TESTS}/green_button/traffic"
    for query, error in (
        ("?bucket_seconds=1&since=2026-01-01T00:00:00Z", "TooManyBuckets"),
        ("?since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", "TooManyBuckets"),
        ("?bucket_seconds=0", "InvalidRequest"),
        ("?since=yesterday", "InvalidRequest"),
    ):
        assert counted.refused("vera", "GET", path + query) == (422, error)
    assert counted.refused("vera", "GET", f"{TESTS}/secret/traffic") == (404, "SplitTestNotFound")
    assert counted.done("ann", "GET", f"{TESTS}/secret/traffic")["evenness"]["units"] == {}
    for nothing in (f"{TESTS}/x/traffic", "/api/v1/traffic"):
        assert api.refused("vera", "GET", nothing) == (409, "NoWarehouse")
