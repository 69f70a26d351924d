"""The charts in SQL, in the words of each engine.

What keeps them quick on a hundred million hits: every query names its days, so DuckDB reads the row groups of those
days by their lowest and highest moments, PostgreSQL the pages that its BRIN index names, ClickHouse the granules of the
test and the days, its sorting key. Numbers and moments travel as microseconds, so no zone of a session matters.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

from warehouse.clickhouse_hits import ClickHouseHits
from warehouse.duckdb_hits import DuckDbHits
from warehouse.postgres_hits import PostgresHits
from warehouse.traffic import Span, UnitsShown, VariantTraffic

_Ask: TypeAlias = Callable[[str, Mapping[str, Any]], list[tuple[Any, ...]]]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_FROM: Final = """
    FROM hits
    WHERE occurred_at >= {since} AND occurred_at < {until} AND environment = {environment} AND NOT forced
"""
_OVER_TIME: Final = f"""
    SELECT settings_group, variant, {{bucket}} AS place, count(*)
    {_FROM} AND test_key = {{key}}
    GROUP BY settings_group, variant, place
"""
_RECENT: Final = f"SELECT test_key, {{bucket}} AS place, count(*) {_FROM} GROUP BY test_key, place"
_UNITS: Final = f"""
    SELECT first_variant, count(*), sum(CASE WHEN variants > 1 THEN 1 ELSE 0 END)
    FROM (
        SELECT {{first_variant}} AS first_variant, count(DISTINCT variant) AS variants
        {_FROM} AND test_key = {{key}} AND settings_group = {{settings_group}}
        GROUP BY unit_type, unit_id
    ) AS shown
    GROUP BY first_variant
"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dialect:
    """How an engine says what differs. `values` are the places of the parameters in a query."""

    values: Mapping[str, str]
    bucket: str
    first_variant: str

    def say(self, query: str) -> str:
        return query.format(**self.values, bucket=self.bucket.format(**self.values), first_variant=self.first_variant)


_DUCKDB: Final = _Dialect(
    values={
        "since": "make_timestamptz($since)",
        "until": "make_timestamptz($until)",
        "since_us": "$since",
        "bucket_us": "$bucket",
        "environment": "$environment",
        "key": "$key",
        "settings_group": "$settings_group",
    },
    bucket="(epoch_us(occurred_at) - {since_us}) // {bucket_us}",
    first_variant="arg_min(variant, (occurred_at, hit_id))",
)
_POSTGRES: Final = _Dialect(
    values={
        "since": "(timestamptz '1970-01-01 00:00:00Z' + %(since)s::bigint * interval '1 microsecond')",
        "until": "(timestamptz '1970-01-01 00:00:00Z' + %(until)s::bigint * interval '1 microsecond')",
        "since_us": "%(since)s::bigint",
        "bucket_us": "%(bucket)s::bigint",
        "environment": "%(environment)s",
        "key": "%(key)s",
        "settings_group": "%(settings_group)s",
    },
    bucket="((extract(epoch FROM occurred_at) * 1000000)::bigint - {since_us}) / {bucket_us}",
    first_variant="(array_agg(variant ORDER BY occurred_at, hit_id))[1]",
)
_CLICKHOUSE: Final = _Dialect(
    values={
        "since": "fromUnixTimestamp64Micro({since:Int64}, 'UTC')",
        "until": "fromUnixTimestamp64Micro({until:Int64}, 'UTC')",
        "since_us": "{since:Int64}",
        "bucket_us": "{bucket:Int64}",
        "environment": "{environment:String}",
        "key": "{key:String}",
        "settings_group": "{settings_group:Int32}",
    },
    bucket="intDiv(toUnixTimestamp64Micro(occurred_at) - {since_us}, {bucket_us})",
    first_variant="argMin(variant, (occurred_at, toUInt128(hit_id)))",
)


class SqlTraffic:
    """A `warehouse.traffic.HitTraffic` that asks the database of `hits`."""

    def __init__(self, hits: DuckDbHits | PostgresHits | ClickHouseHits) -> None:
        self._ask: _Ask
        if isinstance(hits, DuckDbHits):
            self._ask, self._dialect = _of_duckdb(hits), _DUCKDB
        elif isinstance(hits, PostgresHits):
            self._ask, self._dialect = _of_postgres(hits), _POSTGRES
        else:
            self._ask, self._dialect = hits.ask, _CLICKHOUSE

    def over_time(self, key: str, span: Span) -> list[VariantTraffic]:
        """See `HitTraffic.over_time`."""
        lines: dict[tuple[int, str], list[int]] = defaultdict(lambda: [0] * span.buckets)
        for settings_group, variant, place, hits in self._asked(_OVER_TIME, span, key=key, bucket=span.bucket):
            lines[settings_group, variant][place] = hits
        return [
            VariantTraffic(settings_group=group, variant=variant, hits=hits)
            for (group, variant), hits in sorted(lines.items())
        ]

    def recent(self, span: Span) -> Mapping[str, Sequence[int]]:
        """See `HitTraffic.recent`."""
        lines: dict[str, list[int]] = defaultdict(lambda: [0] * span.buckets)
        for key, place, hits in self._asked(_RECENT, span, bucket=span.bucket):
            lines[key][place] = hits
        return dict(lines)

    def units(self, key: str, settings_group: int, span: Span) -> UnitsShown:
        """See `HitTraffic.units`."""
        rows = self._asked(_UNITS, span, key=key, settings_group=settings_group)
        return UnitsShown(
            per_variant={variant: units for variant, units, _ in rows}, torn=sum(int(torn) for *_, torn in rows)
        )

    def _asked(self, query: str, span: Span, **parameters: Any) -> list[tuple[Any, ...]]:
        bounds = {"since": span.since - _EPOCH, "until": span.until - _EPOCH}
        values = {
            name: value // _MICROSECOND if isinstance(value, timedelta) else value
            for name, value in {**bounds, **parameters}.items()
        }
        return self._ask(self._dialect.say(query), {**values, "environment": span.environment})


def _of_duckdb(hits: DuckDbHits) -> _Ask:
    def ask(query: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        with hits.transaction() as cursor:
            return cursor.execute(query, dict(parameters)).fetchall()

    return ask


def _of_postgres(hits: PostgresHits) -> _Ask:
    def ask(query: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        with hits.transaction() as connection:
            return connection.execute(query.encode(), dict(parameters)).fetchall()

    return ask
