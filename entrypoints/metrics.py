"""The metrics of a process: one closed list of names, and where the numbers come from.

Nothing below this room knows that it is measured. What is counted is counted at the ports, by what stands around them
(`entrypoints.metered`); how things stand is asked when somebody looks, here.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import TimeoutError as PoolExhausted

from consumers.agent import Agent
from consumers.outages import DATABASE_AWAY
from consumers.relay import CHECKPOINT as RELAY_CHECKPOINT
from consumers.relay import Relay
from events.checkpoints import position_of
from events.store import EventStore
from projections import laid_out, models
from projections.errors import ProjectionsError
from projections.registry import generations

MetricName: TypeAlias = Literal[
    "usersplit_agent_files",
    "usersplit_agent_position",
    "usersplit_agent_ready",
    "usersplit_agent_staleness_seconds",
    "usersplit_append_conflicts_total",
    "usersplit_append_seconds",
    "usersplit_appended_facts_total",
    "usersplit_batch_hits",
    "usersplit_database_answers",
    "usersplit_duplicate_hits_total",
    "usersplit_hits_behind_seconds",
    "usersplit_hits_unread",
    "usersplit_http_seconds",
    "usersplit_log_position",
    "usersplit_projection_lag",
    "usersplit_projection_paused",
    "usersplit_projection_position",
    "usersplit_relay_lag",
    "usersplit_relay_leads",
    "usersplit_relay_position",
    "usersplit_relay_withheld",
    "usersplit_send_failures_total",
    "usersplit_send_seconds",
    "usersplit_sent_records_total",
    "usersplit_servers_live",
    "usersplit_servers_silent",
    "usersplit_store_hits_seconds",
    "usersplit_stored_hits_total",
    "usersplit_tests_not_laid_out",
]

HELP: Final[Mapping[MetricName, str]] = MappingProxyType(
    {
        "usersplit_agent_files": "tests that have a config file on this server",
        "usersplit_agent_position": "position of the log up to which the config files are true",
        "usersplit_agent_ready": "1 once the agent has read the topic to the end it had at the start",
        "usersplit_agent_staleness_seconds": "age of the relay's last heartbeat, by two clocks",
        "usersplit_append_conflicts_total": "appends refused because the stream had moved on",
        "usersplit_append_seconds": "how long an append took, refused ones too",
        "usersplit_appended_facts_total": "facts appended to the log",
        "usersplit_batch_hits": "hits in a batch for the warehouse",
        "usersplit_database_answers": "1 if the database answered this very question",
        "usersplit_duplicate_hits_total": "hits that the warehouse had already",
        "usersplit_hits_behind_seconds": "age of the newest hit in the last read, 0 at the end of the topic",
        "usersplit_hits_unread": "hits of this process's partitions that are known to be there and are yet to be read",
        "usersplit_http_seconds": "how long an HTTP request took, by method, route and status",
        "usersplit_log_position": "position of the last fact in the log",
        "usersplit_projection_lag": "facts that a projection, or its rebuild, has yet to apply",
        "usersplit_projection_paused": "1 if a projection waits for an operator",
        "usersplit_projection_position": "position that a projection, or its rebuild, has reached",
        "usersplit_relay_lag": "facts that are yet to be relayed",
        "usersplit_relay_leads": "1 in the one process that relays",
        "usersplit_relay_position": "position up to which everything is in Kafka",
        "usersplit_relay_withheld": "records withheld since the start because they are too large",
        "usersplit_send_failures_total": "batches that Kafka did not acknowledge; they are sent again",
        "usersplit_send_seconds": "how long a batch took until it was acknowledged",
        "usersplit_sent_records_total": "records that Kafka acknowledged",
        "usersplit_servers_live": "servers whose agent is heard of",
        "usersplit_servers_silent": "servers whose agent fell silent",
        "usersplit_store_hits_seconds": "how long the warehouse took for a batch",
        "usersplit_stored_hits_total": "hits stored in the warehouse",
        "usersplit_tests_not_laid_out": "tests whose newest config some live server misses",
    }
)

Values: TypeAlias = Iterable[tuple[MetricName, Mapping[str, str], float]]
"""Names, labels and numbers, as they are at the moment."""

_NO_ANSWER: Final[tuple[type[Exception], ...]] = (*DATABASE_AWAY, PoolExhausted)
_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_SIZES = (1, 10, 100, 1_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000)


class Metrics:
    """The metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)

    def counter(self, name: MetricName, *labels: str) -> Counter:
        """Return a new counter."""
        return Counter(name, HELP[name], labels, registry=self.registry)

    def seconds(self, name: MetricName, *labels: str) -> Histogram:
        """Return a new histogram of durations."""
        return Histogram(name, HELP[name], labels, registry=self.registry, buckets=_SECONDS)

    def sizes(self, name: MetricName) -> Histogram:
        """Return a new histogram of sizes of batches."""
        return Histogram(name, HELP[name], registry=self.registry, buckets=_SIZES)

    def ask(self, read: Callable[[], Values]) -> None:
        """Call `read` whenever somebody looks."""
        self.registry.register(_Asked(read))

    def ask_database(self, engine: Engine, read: Callable[[Connection], Values]) -> None:
        """Call `read` with a connection whenever somebody looks. No answer is an answer as well."""

        def asked() -> Values:
            try:
                with engine.connect() as connection:
                    values = list(read(connection))
            except _NO_ANSWER:
                return [("usersplit_database_answers", {}, 0)]
            return [*values, ("usersplit_database_answers", {}, 1)]

        self.ask(asked)


def of_projections(store: EventStore) -> Callable[[Connection], Values]:
    """Return what tells where every projection stands, and every rebuild that is at work.

    Those of another release, say after a way back from a newer one, are followed by nobody, and no lag of anybody's.
    """
    names = {projection.name for projection in models.ALL}

    def read(connection: Connection) -> Values:
        known = generations(connection)
        # Asked last: what has been applied is in the log by now, so below zero is a log that was restored too old.
        head = store.head()
        yield "usersplit_log_position", {}, head
        for each in known:
            if each.state != "retired" and each.name in names:
                labels = {"projection": each.name, "state": "building" if each.state == "building" else "serving"}
                yield "usersplit_projection_position", labels, each.position
                yield "usersplit_projection_lag", labels, head - each.position
                yield "usersplit_projection_paused", labels, each.state == "paused"

    return read


def of_relay(relay: Relay, store: EventStore) -> Callable[[Connection], Values]:
    """Return what tells where the relay stands; standing by, it says the same of the one that leads."""

    def read(connection: Connection) -> Values:
        position = position_of(connection, RELAY_CHECKPOINT)
        head = store.head()  # asked last, see above
        yield "usersplit_log_position", {}, head
        yield "usersplit_relay_position", {}, position
        yield "usersplit_relay_lag", {}, head - position
        yield "usersplit_relay_leads", {}, relay.leads
        yield "usersplit_relay_withheld", {}, relay.withheld

    return read


def of_agent(agent: Agent, now: Callable[[], datetime]) -> Callable[[], Values]:
    """Return what tells how fresh a server's config files are."""

    def read() -> Values:
        yield "usersplit_agent_files", {}, agent.files
        yield "usersplit_agent_position", {}, agent.position
        yield "usersplit_agent_ready", {}, agent.ready
        if beaten := agent.heartbeat_at:
            age = now() - datetime.fromisoformat(beaten)
            # One from the future is as wrong: while it lasts, nobody would hear that the relay is dead.
            yield "usersplit_agent_staleness_seconds", {}, abs(age.total_seconds())

    return read


def of_servers(connection: Connection) -> Values:
    """Tell how many servers are live, and how many tests some of them miss."""
    servers = laid_out.servers(connection)
    live = sum(server.is_live for server in servers)
    yield "usersplit_servers_live", {}, live
    yield "usersplit_servers_silent", {}, len(servers) - live
    try:
        yield "usersplit_tests_not_laid_out", {}, len(laid_out.not_laid_out(connection))
    except ProjectionsError:
        return  # no read model to compare with: the projector's own metrics say so


class _Asked(Collector):
    """Turns values into Prometheus' families of gauges."""

    def __init__(self, read: Callable[[], Values]) -> None:
        self._read = read

    def describe(self) -> Iterator[Metric]:
        """Say nothing at registration: what is asked may not be there yet."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Ask, and yield one family a name."""
        families: dict[str, GaugeMetricFamily] = {}
        for name, labels, value in self._read():
            family = families.setdefault(name, GaugeMetricFamily(name, HELP[name], labels=list(labels)))
            family.add_metric(list(labels.values()), float(value))
        yield from families.values()
