"""The warehouse in ClickHouse, which has neither transactions nor unique keys (docs/adr/0010).

What takes their place, from the inside out:

- `hit_rows` is a ReplacingMergeTree whose key holds the hit_id, and the view `hits` reads it with FINAL: whatever is
  written twice, by whomever and whenever, is there once;
- a batch is announced before its rows are written and its offsets are moved after, so that what is stored below an
  offset is all there is below it;
- ids that are stored already are left out of a batch, so that what is written twice stays rare;
- a try of a batch that ended without an answer is repeated with the same rows under the same deduplication token, which
  the server then drops. A token bears a digest of its rows: other rows never go under it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from threading import Lock
from typing import Any, Final

import numpy as np
import pyarrow as pa
from clickhouse_connect.driver.client import Client
from numpy.typing import NDArray

from warehouse import clickhouse_offsets
from warehouse.clickhouse import open_client, translated
from warehouse.clickhouse_offsets import PLAIN_INSERT, Claim, ClickHouseOffsets
from warehouse.errors import WarehouseDown, WarehouseTooNew
from warehouse.hit_ids import is_first, uuid_bytes
from warehouse.hits import COLUMNS, HITS_SCHEMA, SCHEMA_VERSION, HitsPerVariant, OffsetRange

DEDUPLICATION_WINDOW: Final = 10_000
"""How many tokens the server remembers. A sink writes about two a second, and repeats one within minutes."""

_REPORT_SECONDS: Final = 3600.0
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Ids farther apart than this are looked for as two spans of time, up to so many spans.
_GAP_MS: Final = 60_000
_SPANS: Final = 100

_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS hit_warehouse (version Int32) ENGINE = MergeTree ORDER BY version",
    # UUIDs are ordered by their second half, which is random here; as numbers they rise with time.
    f"""
    CREATE TABLE IF NOT EXISTS hit_rows (
        hit_id UUID, occurred_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD), test_key LowCardinality(String),
        settings_group Int32, variant LowCardinality(String), unit_type LowCardinality(String), unit_id String,
        split_group Int32, environment LowCardinality(String), platform LowCardinality(String),
        country LowCardinality(String), app LowCardinality(String), host LowCardinality(String), forced Bool,
        sdk_version LowCardinality(String), attributes String CODEC(ZSTD),
        INDEX hit_rows_occurred_at occurred_at TYPE minmax,
        INDEX hit_rows_made_at bitShiftRight(toUInt128(hit_id), 80) TYPE minmax
    )
    ENGINE = ReplacingMergeTree
    PARTITION BY toYYYYMM(occurred_at)
    ORDER BY (test_key, toDate32(occurred_at), toUInt128(hit_id))
    SETTINGS non_replicated_deduplication_window = {DEDUPLICATION_WINDOW}
    """,
    *clickhouse_offsets.TABLES,
)

# docs/bi.md has their meaning. A hit that is there twice has one moment, so both copies lie in one partition.
_VIEWS: Final = (
    f"""
    CREATE OR REPLACE VIEW hits AS SELECT {", ".join(COLUMNS)} FROM hit_rows FINAL
    SETTINGS do_not_merge_across_partitions_select_final = 1
    """,  # noqa: S608 - constants
    """
    CREATE OR REPLACE VIEW exposures AS
    SELECT test_key, settings_group, environment, unit_type, unit_id,
           argMin(hits.variant, (occurred_at, toUInt128(hit_id))) AS variant, min(occurred_at) AS exposed_at,
           count() AS hits, uniqExact(hits.variant) AS variants
    FROM hits WHERE NOT forced
    GROUP BY test_key, settings_group, environment, unit_type, unit_id
    """,
    """
    CREATE OR REPLACE VIEW hits_per_day AS
    SELECT toDate32(occurred_at) AS day, test_key, settings_group, variant, environment,
           count() AS hits, uniqExact(unit_type, unit_id) AS units
    FROM hits WHERE NOT forced
    GROUP BY day, test_key, settings_group, variant, environment
    """,
)

# ClickHouse reads no string views.
_SENT: Final[Any] = pa.schema(
    [field.with_type(pa.large_string()) if field.type == pa.string_view() else field for field in HITS_SCHEMA]
)

_NEW_IDS: Final = "CREATE TEMPORARY TABLE IF NOT EXISTS new_ids (hit_id UUID) ENGINE = Memory"
_PER_VARIANT: Final = """
    SELECT test_key, settings_group, variant, environment, count(), uniqExact(unit_type, unit_id),
           toUnixTimestamp64Micro(min(occurred_at)), toUnixTimestamp64Micro(max(occurred_at))
    FROM hits WHERE {every:Bool} OR test_key = {key:String}
    GROUP BY test_key, settings_group, variant, environment ORDER BY test_key, settings_group, variant, environment
"""

_COUNT_OLDER: Final = "SELECT count() FROM hits WHERE occurred_at < fromUnixTimestamp64Micro({before:Int64}, 'UTC')"
_DELETE_OLDER: Final = "DELETE FROM hit_rows WHERE occurred_at < fromUnixTimestamp64Micro({before:Int64}, 'UTC')"
_MONTHS: Final = "SELECT DISTINCT toYYYYMM(occurred_at) FROM hit_rows"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """The rows of a claim that are not stored yet, under the token that is theirs."""

    name: str
    rows: pa.Table
    token: str


class ClickHouseHits:
    """A `warehouse.hits.HitWarehouse` in a ClickHouse database."""

    def __init__(self, url: str, *, timeout_seconds: float = 60.0) -> None:
        """Nothing is connected here. After `timeout_seconds` without an answer the sink tries again; reports wait."""
        self._url = url
        self._timeout_seconds = timeout_seconds
        self._storing = Lock()
        self._opening = Lock()
        self._clients: dict[str, Client] = {}
        self._writer = ""
        self._batch: _Batch | None = None

    def prepare(self) -> None:
        """See `HitWarehouse.prepare`."""
        with self.writing() as client:
            for statement in _TABLES:
                client.command(statement)
            found = client.query("SELECT max(version) FROM hit_warehouse").result_rows[0][0]
            if found > SCHEMA_VERSION:
                raise WarehouseTooNew(found, SCHEMA_VERSION)
            if found < SCHEMA_VERSION:
                client.insert("hit_warehouse", [[SCHEMA_VERSION]], column_names=["version"], settings=PLAIN_INSERT)
            for statement in _VIEWS:
                client.command(statement)

    def ping(self) -> None:
        """See `HitWarehouse.ping`."""
        with translated():
            self._client("watch").query("SELECT 1")

    def offsets(self, topic: str) -> Mapping[int, int]:
        """See `HitWarehouse.offsets`."""
        with translated():
            return ClickHouseOffsets(self._client("watch"), "").stored(topic)

    def forget_offsets(self, topic: str) -> None:
        """See `HitWarehouse.forget_offsets`."""
        with self.writing() as client:
            self.offsets_of(client).forget(topic)

    def store(self, hits: pa.Table, ranges: Sequence[OffsetRange]) -> int:
        """See `HitWarehouse.store`. A try without an answer that did its work is found done by the next one."""
        ids = uuid_bytes(hits["hit_id"])
        rows = hits.select(COLUMNS).cast(_SENT)
        with self.writing() as client:
            offsets = self.offsets_of(client)
            claim = offsets.claim(ranges)
            batch = self._batch_of(client, claim, rows, ids)
            if not claim.done:
                _insert(client, batch)
                offsets.check(claim)
                offsets.finish(claim)
            self._batch = None
            return int(batch.rows.num_rows)

    def hits_per_variant(self, key: str | None = None) -> list[HitsPerVariant]:
        """See `HitWarehouse.hits_per_variant`."""
        return [
            HitsPerVariant(
                test_key=row[0],
                settings_group=row[1],
                variant=row[2],
                environment=row[3],
                hits=row[4],
                units=row[5],
                first_at=_EPOCH + timedelta(microseconds=row[6]),
                last_at=_EPOCH + timedelta(microseconds=row[7]),
            )
            for row in self.ask(_PER_VARIANT, {"every": key is None, "key": key or ""})
        ]

    def forget_hits(self, before: datetime) -> int:
        """See `HitRetention.forget_hits`. Whole months are dropped, the rest is deleted."""
        moment = {"before": (before - _EPOCH) // timedelta(microseconds=1)}
        utc = before.astimezone(UTC)
        forgotten = int(self.ask(_COUNT_OLDER, moment)[0][0])
        if forgotten:
            with translated():
                client = self._client("report")
                for (month,) in client.query(_MONTHS).result_rows:
                    if month < utc.year * 100 + utc.month:
                        client.command(f"ALTER TABLE hit_rows DROP PARTITION {int(month)}")
                client.command(_DELETE_OLDER, parameters=moment)
        return forgotten

    def ask(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Return the rows of a query, which may take as long as it needs; for other modules of this room."""
        with translated():
            return [
                tuple(row) for row in self._client("report").query(query, parameters=dict(parameters or {})).result_rows
            ]

    def close(self) -> None:
        """See `HitWarehouse.close`."""
        with self._storing:
            self._let_go("write", "watch", "report")

    @contextmanager
    def writing(self) -> Iterator[Client]:
        """Run the block with the client that writes, one thread at a time; ClickHouse's errors become this room's."""
        with self._storing, translated():
            try:
                with translated():
                    client = self._client("write")
                    self._writer = self._writer or str(client.query("SELECT generateUUIDv4()").result_rows[0][0])
                    yield client
            except WarehouseDown:
                # Its session may still be busy with what got no answer.
                self._let_go("write")
                raise

    def offsets_of(self, client: Client) -> ClickHouseOffsets:
        """Return the offsets that this writer moves."""
        return ClickHouseOffsets(client, self._writer)

    def _client(self, purpose: str) -> Client:
        with self._opening:
            if purpose not in self._clients:
                seconds = _REPORT_SECONDS if purpose == "report" else self._timeout_seconds
                self._clients[purpose] = open_client(self._url, timeout_seconds=seconds, session=purpose == "write")
            return self._clients[purpose]

    def _let_go(self, *purposes: str) -> None:
        with self._opening:
            for purpose in purposes:
                client = self._clients.pop(purpose, None)
                if client is not None:
                    client.close()

    def _batch_of(self, client: Client, claim: Claim, rows: pa.Table, ids: NDArray[np.uint8]) -> _Batch:
        """Return what is to be written: for a claim that was tried before, what was written then."""
        name = f"{claim.name}#{_digest(ids)}"
        if self._batch is None or self._batch.name != name:
            new = _unknown(ids, _stored_ids(client, ids))
            left = rows.set_column(0, "hit_id", _binary(ids)).take(pa.array(new))
            # The sum of what is written, not of what came: a token never covers other rows.
            self._batch = _Batch(name=name, rows=left.combine_chunks(), token=f"{claim.name}#{_digest(ids[new])}")
        return self._batch


def _insert(client: Client, batch: _Batch) -> int:
    if batch.rows.num_rows:
        token = {"insert_deduplicate": 1, "insert_deduplication_token": batch.token}
        client.insert_arrow("hit_rows", batch.rows, settings={**PLAIN_INSERT, **token})
    return int(batch.rows.num_rows)


def _stored_ids(client: Client, ids: NDArray[np.uint8]) -> set[bytes]:
    """Return those of `ids` that are stored. Only what was made at about their time is looked at."""
    if not len(ids):
        return set()
    client.command(_NEW_IDS)
    client.command("TRUNCATE TABLE new_ids")
    client.insert_arrow("new_ids", pa.table({"hit_id": _binary(ids)}), settings={"async_insert": 0})
    spans = " OR ".join(
        f"bitShiftRight(toUInt128(hit_id), 80) BETWEEN {first} AND {last}" for first, last in _spans(ids)
    )
    query = f"SELECT hit_id FROM hit_rows WHERE ({spans}) AND hit_id IN (SELECT hit_id FROM new_ids)"  # noqa: S608 - numbers
    return {found.bytes for (found,) in client.query(query).result_rows}


def _spans(ids: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Return the spans of time in which `ids` were made, in milliseconds, both ends included."""
    made_at = np.sort(ids[:, :8].copy().view(">u8")[:, 0].astype(np.uint64) >> np.uint64(16))
    gaps = np.flatnonzero(np.diff(made_at) > _GAP_MS)
    if len(gaps) >= _SPANS:
        gaps = gaps[:0]
    first = made_at[np.concatenate([[0], gaps + 1])]
    last = made_at[np.concatenate([gaps, [len(made_at) - 1]])]
    return list(zip(first.tolist(), last.tolist(), strict=True))


def _unknown(ids: NDArray[np.uint8], stored: set[bytes]) -> NDArray[np.int64]:
    """Return the places of the ids that are not among `stored`, of equal ones the first."""
    places = np.flatnonzero(is_first(ids))
    if stored:
        places = places[[ids[place].tobytes() not in stored for place in places]]
    return places


def _binary(ids: NDArray[np.uint8]) -> Any:
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(16), len(ids), [None, pa.py_buffer(np.ascontiguousarray(ids))]
    )


def _digest(ids: NDArray[np.uint8]) -> str:
    return blake2b(np.ascontiguousarray(ids).tobytes(), digest_size=16).hexdigest()
