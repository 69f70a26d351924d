"""What the servers have laid out, and which tests some live server still misses: the red mark in the list of tests.

These tables are no read model of facts. Agents report the state of their servers, a report replaces the one before it,
and nothing is lost with them that the next reports do not bring back.

A server is live until it has been silent for a set time. Silence is time in which somebody listened: whoever keeps
these tables adds it up by a clock that never jumps, and adds nothing while it, or Kafka, is away. So neither a clock
that is set nor an outage of ours makes all servers vanish from the list.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    MetaData,
    Row,
    Subquery,
    Table,
    Text,
    and_,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    true,
    union_all,
    update,
)

from events.database import UtcDateTime
from projections import config, overrides, user_groups
from projections.registry import live_tables

metadata = MetaData()

servers_table = Table(
    "laid_out_servers",
    metadata,
    Column("environment", Text, primary_key=True),
    Column("host", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("reported_at", UtcDateTime, nullable=False),
    Column("known_at", UtcDateTime, nullable=False),
    Column("silent_seconds", Float, nullable=False),
    Column("is_live", Boolean, nullable=False),
    Column("record_offset", BigInteger, nullable=False),
)

tests_table = Table(
    "laid_out_tests",
    metadata,
    Column("environment", Text, primary_key=True),
    Column("host", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
)

_OF_A_TOPIC_THAT_IS_GONE = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one server has laid out: its highest position, and the position of the document of each test."""

    environment: str
    host: str
    position: int
    tests: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that has reported. Moments are by the clock of the process that keeps the tables, aware UTC.

    Attributes:
        position: up to where in the log its config files are true.
        reported_at: when its last report was heard.
        known_at: when it was last looked at whether it is live.
        silent_seconds: for how long nothing was heard of it, while somebody listened.
    """

    environment: str
    host: str
    position: int
    reported_at: datetime
    known_at: datetime
    silent_seconds: float
    is_live: bool

    @property
    def name(self) -> str:
        """As it is shown: `production/web-1`."""
        return f"{self.environment}/{self.host}"


def servers(connection: Connection) -> list[Server]:
    """Return all servers, silent ones too, by environment and host."""
    query = select(servers_table).order_by(servers_table.c.environment, servers_table.c.host)
    return [_server(row) for row in connection.execute(query)]


def live_servers(connection: Connection) -> list[Server]:
    """Return those that are heard of, by environment and host."""
    return [server for server in servers(connection) if server.is_live]


def not_laid_out(connection: Connection, keys: Collection[str] | None = None) -> dict[str, list[str]]:
    """Return the documents whose newest version is not yet on every live server, each with those that miss it.

    They are named as in `projections.documents`: a test's by its key.

    Args:
        connection: to the database of the read models.
        keys: only these tests; None is all.

    Raises:
        projections.errors.ProjectionsError: there is no read model to compare with.
    """
    documents = _documents(connection)
    laid_out = and_(
        tests_table.c.environment == servers_table.c.environment,
        tests_table.c.host == servers_table.c.host,
        tests_table.c.key == documents.c.key,
    )
    query = (
        select(documents.c.key, servers_table.c.environment, servers_table.c.host)
        .select_from(documents.join(servers_table, true()).outerjoin(tests_table, laid_out))
        .where(
            servers_table.c.is_live,
            or_(tests_table.c.position.is_(None), tests_table.c.position < documents.c.position),
        )
        .order_by(documents.c.key, servers_table.c.environment, servers_table.c.host)
    )
    if keys is not None:
        query = query.where(documents.c.key.in_(list(keys)))
    found: dict[str, list[str]] = {}
    for key, environment, host in connection.execute(query):
        found.setdefault(key, []).append(f"{environment}/{host}")
    return found


def _documents(connection: Connection) -> Subquery:
    """Return name and position of every document that servers should have."""
    tests = live_tables(connection, config.PROJECTION)["config"]
    groups = live_tables(connection, user_groups.PROJECTION)["user_groups"]
    everybodys = live_tables(connection, overrides.PROJECTION)["overrides"]
    name = (literal(user_groups.NAME_PREFIX) + groups.c.key).label("key")
    return union_all(
        select(tests.c.key, tests.c.position).where(tests.c.document.is_not(None)),
        select(name, groups.c.position).where(groups.c.document.is_not(None)),
        select(everybodys.c.key, everybodys.c.position),
    ).subquery()


def record(connection: Connection, report: Report, *, offset: int, at: datetime) -> bool:
    """Take in a report that stands at `offset` of its topic; False if it, or a later one of that server, is known."""
    mine = and_(servers_table.c.environment == report.environment, servers_table.c.host == report.host)
    known = connection.execute(select(servers_table.c.record_offset).where(mine)).scalar_one_or_none()
    if known is not None and known >= offset:
        return False
    values = {
        "position": report.position,
        "reported_at": at,
        "known_at": at,
        "silent_seconds": 0.0,
        "is_live": True,
        "record_offset": offset,
    }
    if known is None:
        place = {"environment": report.environment, "host": report.host}
        connection.execute(insert(servers_table).values(**place, **values))
    else:
        connection.execute(update(servers_table).where(mine).values(**values))
    _write_tests(connection, report)
    return True


def add_silence(
    connection: Connection, seconds: float, *, at: datetime, silent_after: float, forget_after: float
) -> None:
    """Say that somebody has listened for `seconds` more. A server that was heard of meanwhile starts again from 0.

    One that is silent for `silent_after` seconds is not live any more; after `forget_after` seconds it is forgotten.
    """
    silence = servers_table.c.silent_seconds + seconds
    connection.execute(
        update(servers_table).values(
            silent_seconds=silence, is_live=and_(servers_table.c.is_live, silence <= silent_after), known_at=at
        )
    )
    gone = select(servers_table.c.environment, servers_table.c.host).where(
        servers_table.c.silent_seconds > forget_after
    )
    for environment, host in connection.execute(gone).all():
        for table in (tests_table, servers_table):
            connection.execute(delete(table).where(table.c.environment == environment, table.c.host == host))


def newest_offset(connection: Connection) -> int:
    """Return the highest offset of a report that was taken in, below 0 without any."""
    newest = connection.execute(select(func.max(servers_table.c.record_offset))).scalar_one()
    return _OF_A_TOPIC_THAT_IS_GONE if newest is None else newest


def begin_anew(connection: Connection) -> None:
    """Take in reports from offset 0 on again: the topic was made anew. What is known stays until they come."""
    connection.execute(update(servers_table).values(record_offset=_OF_A_TOPIC_THAT_IS_GONE))


def _write_tests(connection: Connection, report: Report) -> None:
    mine = and_(tests_table.c.environment == report.environment, tests_table.c.host == report.host)
    query = select(tests_table.c.key, tests_table.c.position).where(mine)
    known = {row.key: row.position for row in connection.execute(query)}
    changed = [
        {"environment": report.environment, "host": report.host, "key": key, "position": position}
        for key, position in report.tests.items()
        if known.get(key) != position
    ]
    outdated = [*(known.keys() - report.tests.keys()), *(row["key"] for row in changed if row["key"] in known)]
    if outdated:
        connection.execute(delete(tests_table).where(mine, tests_table.c.key.in_(outdated)))
    if changed:
        connection.execute(insert(tests_table), changed)


def _server(row: Row[Any]) -> Server:
    return Server(
        environment=row.environment,
        host=row.host,
        position=row.position,
        reported_at=row.reported_at,
        known_at=row.known_at,
        silent_seconds=row.silent_seconds,
        is_live=row.is_live,
    )
