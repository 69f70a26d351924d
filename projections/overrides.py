"""QA overrides: who forced what for whom and until when, and the one document that tells servers.

The document takes the position of a fact only when something besides the position differs in it; before the first
override that servers are told of, there is none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

import msgspec
from sqlalchemy import BigInteger, Column, Connection, MetaData, Row, Table, Text, func, select, union_all

from events.database import UtcDateTime
from events.facts import SettingsGroupPrepared
from events.override_facts import OverrideFact
from events.store import RecordedFact
from projections.config import FORMAT, ConfigDocument
from projections.json_text import write_json
from projections.override_book import Book, is_in_force
from projections.projection import Projection, Tables
from projections.registry import live_tables
from projections.rows import KeyedRows
from projections.split_test_facts import STATUS_AFTER

DOCUMENT_NAME = "~overrides"
"""What topic and files know the document by: no test's key holds a tilde."""

_NAME = "overrides"
_FORCED = "overrides__forced"
_DISABLED = "overrides__disabled"
_TESTS = "overrides__tests"

_document_template = Table(
    _NAME,
    MetaData(),
    Column("key", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
)
_forced_template = Table(
    _FORCED,
    MetaData(),
    Column("key", Text, primary_key=True),
    Column("environment", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("test_key", Text, nullable=False),
    Column("variant", Text),
    Column("until", UtcDateTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("position", BigInteger, nullable=False),
)
_disabled_template = Table(
    _DISABLED,
    MetaData(),
    Column("key", Text, primary_key=True),
    Column("environment", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("enabled", Text, nullable=False),
    Column("until", UtcDateTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("position", BigInteger, nullable=False),
)
_tests_template = Table(
    _TESTS,
    MetaData(),
    Column("key", Text, primary_key=True),
    Column("status", Text, nullable=False),
    Column("variants", Text, nullable=False),
)

_RELEVANT = frozenset({*get_args(OverrideFact), *STATUS_AFTER, SettingsGroupPrepared})


@dataclass(frozen=True, slots=True, kw_only=True)
class ForcedVariant:
    """A variant that is forced.

    Attributes:
        unit: `type:id`.
        environment: production or devel.
        key: the test's.
        variant: None is no variant.
        until: when it ends by itself.
        actor: who forced it, `at` which moment.
        test_status: the test's, "" if there is no such test. A Draft is not for everybody to know of.
        in_force: whether servers are told: not of a Draft, and not of a variant that the test does not have any more.
    """

    unit: str
    environment: str
    key: str
    variant: str | None
    until: datetime
    actor: str
    at: datetime
    test_status: str
    in_force: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DisabledUnit:
    """A unit that takes part in no test but those in `enabled` (sorted); `actor` disabled the others `at` a moment."""

    unit: str
    environment: str
    enabled: tuple[str, ...]
    until: datetime
    actor: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DueOverrides:
    """A unit in an environment of which something has ended, the first of it at `ended_at`."""

    unit: str
    environment: str
    ended_at: datetime


def forced(
    connection: Connection, *, unit: str | None = None, key: str | None = None, environment: str | None = None
) -> list[ForcedVariant]:
    """Return the variants that are forced: all, or those of one unit, of one test, in one environment."""
    tables = live_tables(connection, PROJECTION)
    table, tests = tables[_FORCED], tables[_TESTS]
    query = (
        select(table, tests.c.status, tests.c.variants)
        .select_from(table.outerjoin(tests, tests.c.key == table.c.test_key))
        .order_by(table.c.environment.desc(), table.c.unit, table.c.test_key)
    )
    wanted = ((table.c.unit, unit), (table.c.test_key, key), (table.c.environment, environment))
    query = query.where(*(column == value for column, value in wanted if value is not None))
    return [_forced(row) for row in connection.execute(query)]


def disabled(connection: Connection, *, unit: str | None = None, environment: str | None = None) -> list[DisabledUnit]:
    """Return the units for which all tests are disabled: all, or one, in one environment."""
    table = live_tables(connection, PROJECTION)[_DISABLED]
    query = select(table).order_by(table.c.environment.desc(), table.c.unit)
    wanted = ((table.c.unit, unit), (table.c.environment, environment))
    query = query.where(*(column == value for column, value in wanted if value is not None))
    return [
        DisabledUnit(
            unit=row.unit,
            environment=row.environment,
            enabled=_texts.decode(row.enabled),
            until=row.until,
            actor=row.actor,
            at=row.at,
        )
        for row in connection.execute(query)
    ]


def count(connection: Connection) -> int:
    """Return how many overrides there are: forced variants, and units that take part in no test."""
    tables = live_tables(connection, PROJECTION)
    counts = (connection.execute(select(func.count()).select_from(tables[name])) for name in (_FORCED, _DISABLED))
    return sum(result.scalar_one() for result in counts)


def due(connection: Connection, *, now: datetime, limit: int = 500) -> list[DueOverrides]:
    """Return units of which something has ended by `now`, at most `limit`, those first that ended first."""
    tables = live_tables(connection, PROJECTION)
    ended = union_all(
        *(
            select(table.c.environment, table.c.unit, table.c.until).where(table.c.until <= now)
            for table in (tables[_FORCED], tables[_DISABLED])
        )
    ).subquery()
    first = func.min(ended.c.until).label("ended_at")
    query = (
        select(ended.c.environment, ended.c.unit, first)
        .group_by(ended.c.environment, ended.c.unit)
        .order_by(first, ended.c.environment, ended.c.unit)
        .limit(limit)
    )
    return [
        DueOverrides(unit=row.unit, environment=row.environment, ended_at=row.ended_at)
        for row in connection.execute(query)
    ]


def document(connection: Connection) -> ConfigDocument | None:
    """Return the document of all overrides, None before the first one that servers were told of."""
    table = live_tables(connection, PROJECTION)[_NAME]
    row = connection.execute(select(table)).one_or_none()
    return None if row is None else ConfigDocument(key=row.key, position=row.position, document=row.document)


def _apply(connection: Connection, tables: Tables, facts: Sequence[RecordedFact]) -> None:
    facts = [recorded for recorded in facts if type(recorded.fact) in _RELEVANT]
    if not facts:
        return
    forced_rows = KeyedRows(connection, tables[_FORCED], _keys(connection, tables[_FORCED]))
    disabled_rows = KeyedRows(connection, tables[_DISABLED], _keys(connection, tables[_DISABLED]))
    overridden = {row["test_key"] for row in forced_rows.rows()}
    enabled = {key for row in disabled_rows.rows() for key in _texts.decode(row["enabled"])}
    of_facts = {recorded.fact.key for recorded in facts if hasattr(recorded.fact, "key")}
    tests = KeyedRows(connection, tables[_TESTS], overridden | enabled | of_facts)
    book = Book(forced_rows, disabled_rows, tests)
    position = max((recorded.position for recorded in facts if book.take(recorded)), default=0)
    if position:
        _write_document(connection, tables[_NAME], book, position)
    for rows in (forced_rows, disabled_rows, tests):
        rows.write()


def _keys(connection: Connection, table: Table) -> list[str]:
    return list(connection.execute(select(table.c.key)).scalars())


def _write_document(connection: Connection, table: Table, book: Book, position: int) -> None:
    text = write_json(
        {
            "format": FORMAT,
            "kind": "overrides",
            "key": DOCUMENT_NAME,
            "position": position,
            "environments": book.document(),
        }
    )
    rows = KeyedRows(connection, table, [DOCUMENT_NAME])
    rows.put({"key": DOCUMENT_NAME, "position": position, "document": text})
    rows.write()


def _forced(row: Row[Any]) -> ForcedVariant:
    test = None if row.status is None else {"status": row.status, "variants": row.variants}
    return ForcedVariant(
        unit=row.unit,
        environment=row.environment,
        key=row.test_key,
        variant=row.variant,
        until=row.until,
        actor=row.actor,
        at=row.at,
        test_status=row.status or "",
        in_force=is_in_force(test, row.variant),
    )


_texts = msgspec.json.Decoder(tuple[str, ...])

PROJECTION = Projection(
    name=_NAME,
    version=1,
    templates=(_document_template, _forced_template, _disabled_template, _tests_template),
    apply=_apply,
)
