"""What only ClickHouse can do to us: lose an answer, insert late, let two write at once."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from warehouse import clickhouse_hits
from warehouse.clickhouse import open_client, translated
from warehouse.clickhouse_hits import DEDUPLICATION_WINDOW, ClickHouseHits
from warehouse.clickhouse_offsets import PLAIN_INSERT
from warehouse.errors import Fenced, Overtaken, WarehouseDown, WarehouseRefused, WarehouseTooNew
from warehouse.hits import HITS_SCHEMA, OffsetRange

MOMENT = datetime(2026, 5, 3, 12, 30, 15, 123456, tzinfo=UTC)


class Interrupted:
    """A client that does something before, or after, its next insert into `table`."""

    def __init__(self, client: Any, faults: "Faults") -> None:
        self._client = client
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def insert(self, table: str, rows: Any, **more: Any) -> None:
        self._around(self._client.insert, table, rows, more)

    def insert_arrow(self, table: str, rows: pa.Table, **more: Any) -> None:
        self._around(self._client.insert_arrow, table, rows, more)

    def _around(self, insert: Callable[..., Any], table: str, rows: Any, more: Mapping[str, Any]) -> None:
        self._faults.at("before", table)
        insert(table, rows, **more)
        self._faults.at("after", table)


class Faults:
    """What is to happen once, and where."""

    def __init__(self) -> None:
        self._planned: dict[tuple[str, str], Callable[[], object]] = {}

    def plan(self, when: str, table: str, what: Callable[[], object]) -> None:
        self._planned[when, table] = what

    def at(self, when: str, table: str) -> None:
        what = self._planned.pop((when, table), None)
        if what is not None:
            what()


def lose_the_answer() -> None:
    raise OperationalError("the connection was reset")


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def warehouse(clickhouse_url: str, faults: Faults, monkeypatch: pytest.MonkeyPatch) -> Iterator[ClickHouseHits]:
    with closing(ClickHouseHits(clickhouse_url)) as made:
        made.prepare()
        with monkeypatch.context() as patch:
            patch.setattr(
                clickhouse_hits, "open_client", lambda *args, **more: Interrupted(open_client(*args, **more), faults)
            )
            made.close()  # what it opens from now on is interrupted
            made.prepare()
        yield made


@pytest.fixture
def other(clickhouse_url: str, warehouse: ClickHouseHits) -> Iterator[ClickHouseHits]:
    """Another sink of the same warehouse, whom nothing interrupts."""
    del warehouse
    with closing(ClickHouseHits(clickhouse_url)) as made:
        yield made


def row(number: int, **fields: Any) -> dict[str, Any]:
    return (
        dict.fromkeys(HITS_SCHEMA.names, "")
        | {"hit_id": str(UUID(int=((1_777_811_415_000 + number) << 80) | (7 << 76) | (2 << 62) | number))}
        | {"occurred_at": MOMENT + timedelta(milliseconds=number), "test_key": "green", "settings_group": 1}
        | {"variant": "red", "unit_id": str(number), "split_group": 1, "forced": False}
        | fields
    )


def rows(first: int, following: int) -> pa.Table:
    return pa.Table.from_pylist([row(number) for number in range(first, following)], schema=HITS_SCHEMA)


def part(first: int, following: int, *, topic: str = "hits", partition: int = 0) -> OffsetRange:
    return OffsetRange(topic=topic, partition=partition, first=first, next=following)


def written(warehouse: ClickHouseHits) -> int:
    """Count the rows that were written, before anything makes one of two."""
    return int(warehouse.ask("SELECT count() FROM hit_rows")[0][0])


def stored(warehouse: ClickHouseHits) -> int:
    return int(warehouse.ask("SELECT count() FROM hits")[0][0])


def test_an_insert_whose_answer_got_lost_is_repeated_and_dropped_by_its_token(
    warehouse: ClickHouseHits, faults: Faults
) -> None:
    faults.plan("after", "hit_rows", lose_the_answer)
    with pytest.raises(WarehouseDown):
        warehouse.store(rows(0, 5), [part(0, 5)])
    assert (written(warehouse), dict(warehouse.offsets("hits"))) == (5, {})
    assert warehouse.store(rows(0, 5), [part(0, 5)]) == 5
    assert (written(warehouse), stored(warehouse), dict(warehouse.offsets("hits"))) == (5, 5, {0: 5})


def test_the_server_drops_a_token_that_comes_again(warehouse: ClickHouseHits) -> None:
    # The same rows, sent around everything of ours that keeps them from being sent: it is the server that drops them.
    warehouse.store(rows(0, 5), [part(0, 5)])
    sent = []
    with warehouse.writing() as client:
        for token in ("one", "one", "two"):
            settings = {**PLAIN_INSERT, "insert_deduplicate": 1, "insert_deduplication_token": token}
            client.insert_arrow("hit_rows", rows(5, 9), settings=settings)
            sent.append(client.query("SELECT count() FROM hit_rows").result_rows[0][0])
    assert sent == [9, 9, 13]
    assert stored(warehouse) == 9


def test_an_insert_that_never_arrived_is_repeated_and_stored(warehouse: ClickHouseHits, faults: Faults) -> None:
    faults.plan("before", "hit_rows", lose_the_answer)
    with pytest.raises(WarehouseDown):
        warehouse.store(rows(0, 5), [part(0, 5)])
    assert written(warehouse) == 0
    assert warehouse.store(rows(0, 5), [part(0, 5)]) == 5
    assert (written(warehouse), dict(warehouse.offsets("hits"))) == (5, {0: 5})


@pytest.mark.parametrize("when", ["before", "after"])
def test_offsets_whose_move_got_no_answer_are_moved_once(warehouse: ClickHouseHits, faults: Faults, when: str) -> None:
    faults.plan(when, "hit_offsets", lose_the_answer)
    with pytest.raises(WarehouseDown):
        warehouse.store(rows(0, 5), [part(0, 5), part(3, 4, partition=1)])
    assert warehouse.store(rows(0, 5), [part(0, 5), part(3, 4, partition=1)]) == 5
    assert (written(warehouse), dict(warehouse.offsets("hits"))) == (5, {0: 5, 1: 4})
    assert warehouse.store(rows(5, 6), [part(5, 6)]) == 1


@pytest.mark.parametrize("table", ["hit_claims", "hit_rows", "hit_offsets"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_whoever_comes_after_a_crash_stores_what_is_missing_in_batches_of_its_own(
    warehouse: ClickHouseHits, other: ClickHouseHits, faults: Faults, when: str, table: str
) -> None:
    warehouse.store(rows(0, 3), [part(0, 3)])
    faults.plan(when, table, lose_the_answer)
    with pytest.raises(WarehouseDown):
        warehouse.store(rows(3, 8), [part(3, 8)])
    # Another process goes on from the stored offset, and cuts its batches elsewhere.
    at = other.offsets("hits")[0]
    assert at == (8 if (when, table) == ("after", "hit_offsets") else 3)
    if at < 8:
        other.store(rows(at, 5), [part(at, 5)])
        other.store(rows(5, 12), [part(5, 12)])
    else:
        other.store(rows(8, 12), [part(8, 12)])
    assert (written(other), stored(other), dict(other.offsets("hits"))) == (12, 12, {0: 12})
    with pytest.raises(Fenced):
        warehouse.store(rows(3, 8), [part(3, 8)])
    assert stored(other) == 12


def test_a_zombie_that_wakes_within_its_insert_is_fenced_and_its_rows_count_once(
    warehouse: ClickHouseHits, other: ClickHouseHits, faults: Faults
) -> None:
    faults.plan("before", "hit_rows", lambda: other.store(rows(0, 9), [part(0, 9)]))
    with pytest.raises(Fenced, match="stands at 9"):
        warehouse.store(rows(0, 5), [part(0, 5)])
    # It did write, which nothing could prevent; readers see every hit once, now and after the rows are merged.
    assert (written(other), stored(other), dict(other.offsets("hits"))) == (14, 9, {0: 9})
    with other.writing() as client:
        client.command("OPTIMIZE TABLE hit_rows FINAL")
    assert (written(other), stored(other)) == (9, 9)


def test_a_zombie_that_wakes_before_it_moves_the_offset_does_not_move_it_back(
    warehouse: ClickHouseHits, other: ClickHouseHits, faults: Faults
) -> None:
    faults.plan("before", "hit_offsets", lambda: other.store(rows(0, 9), [part(0, 9)]))
    warehouse.store(rows(0, 5), [part(0, 5)])
    assert (stored(other), dict(other.offsets("hits"))) == (9, {0: 9})
    with pytest.raises(Fenced, match="stands at 9"):
        warehouse.store(rows(5, 7), [part(5, 7)])


def test_who_announced_before_another_one_is_overtaken_and_moves_nothing(
    clickhouse_url: str,
    warehouse: ClickHouseHits,
    other: ClickHouseHits,
    faults: Faults,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    third = ClickHouseHits(clickhouse_url)
    their_faults = Faults()
    their_faults.plan("before", "hit_rows", lose_the_answer)
    monkeypatch.setattr(
        clickhouse_hits, "open_client", lambda *args, **more: Interrupted(open_client(*args, **more), their_faults)
    )

    def announce() -> None:
        with pytest.raises(WarehouseDown):
            third.store(rows(0, 9), [part(0, 9)])

    faults.plan("before", "hit_rows", announce)
    with pytest.raises(Overtaken, match="begun to store from offset 0"):
        warehouse.store(rows(0, 5), [part(0, 5)])
    assert dict(other.offsets("hits")) == {}
    assert third.store(rows(0, 9), [part(0, 9)]) == 9
    assert (stored(other), dict(other.offsets("hits"))) == (9, {0: 9})
    third.close()


@pytest.mark.parametrize("table", ["hit_rows", "hit_offsets"])
def test_a_consumer_of_a_topic_that_was_made_anew_cannot_move_the_new_ones_offsets(
    warehouse: ClickHouseHits, other: ClickHouseHits, faults: Faults, table: str
) -> None:
    warehouse.store(rows(0, 3), [part(0, 3)])
    faults.plan("before", table, lambda: other.forget_offsets("hits"))
    with suppress(Fenced):
        warehouse.store(rows(3, 8), [part(3, 8)])
    assert dict(other.offsets("hits")) == {}
    # The new topic has other hits at the offsets of the old one: all of them are stored.
    assert other.store(rows(100, 108), [part(0, 8)]) == 8
    assert stored(other) == 16
    assert dict(other.offsets("hits")) == {0: 8}


def test_other_rows_in_a_range_that_was_written_before_are_not_taken_for_the_same(
    warehouse: ClickHouseHits, other: ClickHouseHits, faults: Faults
) -> None:
    # A newer release decodes a message that the older one could not: same offsets, one hit more.
    faults.plan("before", "hit_offsets", lose_the_answer)
    with pytest.raises(WarehouseDown):
        warehouse.store(rows(0, 4), [part(0, 5)])
    assert other.store(rows(0, 5), [part(0, 5)]) == 1
    assert (written(other), stored(other)) == (5, 5)


def test_of_many_that_store_one_partition_at_once_the_offsets_have_one_story(
    clickhouse_url: str, other: ClickHouseHits
) -> None:
    sinks = [ClickHouseHits(clickhouse_url) for _ in range(4)]

    def drain(sink: ClickHouseHits) -> None:
        while (at := other.offsets("hits").get(0, 0)) < 30:
            with suppress(Fenced, WarehouseDown):
                sink.store(rows(at, at + 3), [part(at, at + 3)])

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(drain, sinks))
    assert (stored(other), dict(other.offsets("hits"))) == (30, {0: 30})
    for sink in sinks:
        sink.close()


def test_a_batch_of_services_with_wrong_clocks_lies_in_many_months_and_is_stored(warehouse: ClickHouseHits) -> None:
    moments = [datetime(1970 + number, 1 + number % 12, 1, tzinfo=UTC) for number in range(200)]
    moments.append(datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC))
    table = [row(number, occurred_at=moment) for number, moment in enumerate(moments)]
    assert warehouse.store(pa.Table.from_pylist(table, schema=HITS_SCHEMA), [part(0, 201)]) == 201
    (line,) = warehouse.hits_per_variant()
    assert (line.hits, line.first_at, line.last_at) == (201, moments[0], moments[-1])
    assert warehouse.store(pa.Table.from_pylist(table, schema=HITS_SCHEMA), [part(201, 402)]) == 0
    assert written(warehouse) == 201
    assert warehouse.ask("SELECT count(), uniqExact(day) FROM hits_per_day") == [(201, 201)]


def test_ids_that_tell_no_time_are_found_as_well(warehouse: ClickHouseHits) -> None:
    ids = [str(UUID(int=(number * 0x9E3779B97F4A7C15F39CC0605CEDC835) % 2**128)) for number in range(300)]
    table = pa.Table.from_pylist([row(at, hit_id=text) for at, text in enumerate(ids)], schema=HITS_SCHEMA)
    assert warehouse.store(table, [part(0, 300)]) == 300
    assert warehouse.store(table.slice(100), [part(300, 500)]) == 0
    assert written(warehouse) == 300


def test_the_window_of_tokens_is_set_where_it_counts(warehouse: ClickHouseHits) -> None:
    ((made,),) = warehouse.ask("SHOW CREATE TABLE hit_rows")
    assert f"non_replicated_deduplication_window = {DEDUPLICATION_WINDOW}" in made


def test_ids_are_looked_for_among_those_made_at_their_time_only(warehouse: ClickHouseHits) -> None:
    table = pa.concat_tables([rows(number * 200_000, number * 200_000 + 10_000) for number in range(6)])
    warehouse.store(table, [part(0, 60_000)])
    span = f"bitShiftRight(toUInt128(hit_id), 80) BETWEEN {1_777_811_415_000} AND {1_777_811_425_000}"
    plan = "\n".join(
        str(line)
        for (line,) in warehouse.ask(f"EXPLAIN indexes = 1 SELECT hit_id FROM hit_rows WHERE {span}")  # noqa: S608
    )
    assert "hit_rows_made_at" in plan
    looked_at = [line.split(":")[1].strip() for line in plan.splitlines() if "Granules" in line][-1]
    some, every = map(int, looked_at.split("/"))
    assert some < every


def test_a_warehouse_of_the_future_is_refused(warehouse: ClickHouseHits) -> None:
    with warehouse.writing() as client:
        client.insert("hit_warehouse", [[99]], column_names=["version"])
    with pytest.raises(WarehouseTooNew, match="version 99"):
        warehouse.prepare()


def test_a_server_that_is_not_there_is_a_warehouse_that_is_down() -> None:
    with closing(ClickHouseHits("clickhouse://127.0.0.1:1/warehouse")) as nowhere:
        for ask in (nowhere.prepare, nowhere.ping, nowhere.hits_per_variant):
            with pytest.raises(WarehouseDown):
                ask()


@pytest.mark.parametrize(
    ("code", "error"),
    [(241, WarehouseDown), (243, WarehouseDown), (252, WarehouseDown), (None, WarehouseDown), (60, WarehouseRefused)],
)
def test_what_the_server_says_is_down_or_refused(code: int | None, error: type[Exception]) -> None:
    with pytest.raises(error), translated():
        raise DatabaseError("the server's words", code=code)
