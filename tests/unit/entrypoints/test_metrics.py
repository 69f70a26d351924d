"""One closed list of metrics; each is told by the process it belongs to."""

import re
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any, get_args
from urllib.error import HTTPError

import pyarrow as pa
import pytest
from prometheus_client import generate_latest
from sqlalchemy import Engine, QueuePool, create_engine, delete, update

from consumers.agent import Agent
from consumers.relay_records import WITHHELD_HEADER, heartbeat_record
from entrypoints.metered import MeteredBroker, MeteredEventStore, MeteredSource, MeteredWarehouse
from entrypoints.metrics import HELP, MetricName, Metrics, of_agent, of_projections, of_relay, of_servers
from entrypoints.metrics_server import PortTaken, metrics_served
from events.database import open_database, write_transaction
from events.errors import VersionConflict
from events.facts import REGISTRY, SplitTestCreated
from events.sql_tables import event_counter_table, events_table
from events.store import Command, Provenance
from projections import config, laid_out, registry
from projections.laid_out import Report
from projections.projection import Projection
from streams.memory import MemoryBroker, MemoryProducer
from streams.messages import Message, OutgoingMessage
from streams.ports import DeliveryFailed
from streams.topics import CONFIGS, HITS, LIFECYCLE, all_topics
from tests.support.relayed_facts import create, publish, relay_of, store_of
from warehouse.hits import HITS_SCHEMA, OffsetRange
from warehouse.memory_hits import MemoryHits

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 5, 2, 12, tzinfo=UTC)


def a_clock() -> datetime:
    return NOW


def a_broker() -> MemoryBroker:
    broker = MemoryBroker()
    broker.ensure_topics(all_topics(hit_partitions=1))
    return broker


def told(metrics: Metrics) -> Mapping[str, float]:
    lines = generate_latest(metrics.registry).decode().splitlines()
    samples = (line.rpartition(" ") for line in lines if line.startswith("usersplit_"))
    return {name: float(value) for name, _, value in samples}


def test_every_name_has_its_help_and_stands_in_the_operators_page() -> None:
    names = set(get_args(MetricName))
    assert set(HELP) == names
    page = (ROOT / "docs" / "operating.md").read_text()
    mentioned = set(re.findall(r"usersplit_[a-z_]+[a-z]", page))
    assert names <= mentioned
    assert mentioned - {WITHHELD_HEADER} <= names


def test_appends_and_conflicts_are_counted(sqlite_database: Engine) -> None:
    metrics = Metrics()
    store = MeteredEventStore(sqlite_database, REGISTRY, metrics)
    fact, provenance = (
        SplitTestCreated(key="a", name="a", author="anna", managers=()),
        Provenance(actor="anna", recorded_at=NOW),
    )
    order = Command(command_id="order-1", fingerprint="create a")
    for _ in range(2):
        store.append("split_test/a", [fact], expected_version=0, provenance=provenance, command=order)
    with pytest.raises(VersionConflict):
        store.append("split_test/a", [fact], expected_version=0, provenance=provenance)
    values = told(metrics)
    assert values["usersplit_appended_facts_total"] == 1, "a replay appends nothing"
    assert values["usersplit_append_conflicts_total"] == 1
    assert values["usersplit_append_seconds_count"] == 3


def test_a_process_tells_where_the_projections_and_the_relay_stand(sqlite_database: Engine) -> None:
    store, broker, metrics = store_of(sqlite_database), a_broker(), Metrics()
    relay = relay_of(sqlite_database, MeteredBroker(broker, metrics), now=a_clock)
    create(store, "a")
    relay.step()
    publish(store, "a")
    metrics.ask_database(sqlite_database, of_relay(relay, store))
    values = told(metrics)
    assert values["usersplit_log_position"] == 4
    assert values["usersplit_relay_position"] == 3
    assert values["usersplit_relay_lag"] == 1
    assert values["usersplit_relay_leads"] == 0
    assert values["usersplit_relay_withheld"] == 0
    assert values["usersplit_database_answers"] == 1
    assert values[f'usersplit_sent_records_total{{topic="{LIFECYCLE}"}}'] == 3
    assert values[f'usersplit_sent_records_total{{topic="{CONFIGS}"}}'] == 1
    assert values["usersplit_send_seconds_count"] == 2
    projector = Metrics()
    projector.ask_database(sqlite_database, of_projections(store))
    values = told(projector)
    assert values['usersplit_projection_lag{projection="config",state="serving"}'] == 1
    assert values['usersplit_projection_position{projection="changelog",state="serving"}'] == 3
    assert values['usersplit_projection_paused{projection="config",state="serving"}'] == 0


def test_rebuilds_are_told_apart_and_what_serves_nobody_is_not_told(sqlite_database: Engine) -> None:
    store, metrics = store_of(sqlite_database), Metrics()
    create(store, "a")
    relay_of(sqlite_database, a_broker(), now=a_clock).step()
    of_another_release = Projection(name="of_another_release", version=1, templates=(), apply=config.PROJECTION.apply)
    with write_transaction(sqlite_database) as connection:
        registry.create(connection, config.PROJECTION, number=2, state="building")
        registry.create(connection, config.PROJECTION, number=3, state="retired")
        registry.create(connection, of_another_release, number=1, state="live")
        registry.pause(connection, "changelog", reason="a look at it")
    metrics.ask_database(sqlite_database, of_projections(store))
    values = told(metrics)
    lags = {name: value for name, value in values.items() if name.startswith("usersplit_projection_lag")}
    assert lags.pop('usersplit_projection_lag{projection="config",state="building"}') == 3
    assert set(lags.values()) == {0}
    assert "of_another_release" not in str(lags)
    paused = {name for name, value in values.items() if name.startswith("usersplit_projection_paused") and value}
    assert paused == {'usersplit_projection_paused{projection="changelog",state="serving"}'}


def test_a_log_that_was_restored_too_old_is_no_lag_of_zero(sqlite_database: Engine) -> None:
    store, metrics = store_of(sqlite_database), Metrics()
    create(store, "a")
    relay = relay_of(sqlite_database, a_broker(), now=a_clock)
    relay.step()
    with write_transaction(sqlite_database) as connection:
        connection.execute(delete(events_table).where(events_table.c.position == 3))
        connection.execute(update(event_counter_table).values(position=2))
    metrics.ask_database(sqlite_database, of_relay(relay, store))
    projector = Metrics()
    projector.ask_database(sqlite_database, of_projections(store))
    assert told(metrics)["usersplit_relay_lag"] == -1
    assert told(projector)['usersplit_projection_lag{projection="config",state="serving"}'] == -1


def test_a_database_that_does_not_answer_is_told_and_the_rest_of_the_page_stands(tmp_path: Path) -> None:
    engine, metrics = open_database(f"sqlite:///{tmp_path / 'no' / 'such.db'}"), Metrics()
    metrics.ask_database(engine, of_servers)
    metrics.counter("usersplit_appended_facts_total").inc()
    values = told(metrics)
    assert values["usersplit_database_answers"] == 0
    assert values["usersplit_appended_facts_total"] == 1


def test_a_process_whose_connections_are_all_in_use_tells_the_rest(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'usersplit.db'}"
    engine = create_engine(url, poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=0.01)
    metrics = Metrics()
    metrics.ask_database(engine, of_servers)
    with engine.connect():
        assert told(metrics)["usersplit_database_answers"] == 0
    engine.dispose()


def test_failed_deliveries_are_counted() -> None:
    class Refusing(MemoryBroker):
        def producer(self) -> MemoryProducer:
            return Producer(self._topics)

    class Producer(MemoryProducer):
        def send(self, messages: Sequence[OutgoingMessage], *, give_up: Event | None = None) -> None:
            del messages, give_up
            raise DeliveryFailed("planted")

    metrics = Metrics()
    with pytest.raises(DeliveryFailed):
        MeteredBroker(Refusing(), metrics).producer().send([OutgoingMessage(topic=HITS, key=b"a", value=b"")])
    assert told(metrics)["usersplit_send_failures_total"] == 1


def test_the_agent_tells_how_stale_its_files_are(tmp_path: Path) -> None:
    broker, metrics = a_broker(), Metrics()
    agent = Agent(broker, tmp_path)
    metrics.ask(of_agent(agent, lambda: NOW + timedelta(seconds=7)))
    assert "usersplit_agent_staleness_seconds" not in told(metrics)
    broker.producer().send([heartbeat_record(position=5, at=NOW)])
    agent.step()
    values = told(metrics)
    assert values["usersplit_agent_staleness_seconds"] == 7
    assert values["usersplit_agent_position"] == 5
    assert values["usersplit_agent_ready"] == 1
    assert values["usersplit_agent_files"] == 0


def test_servers_and_what_they_miss_are_told(sqlite_database: Engine) -> None:
    store, metrics = store_of(sqlite_database), Metrics()
    metrics.ask_database(sqlite_database, of_servers)
    report = Report(environment="production", host="web-1", position=0, tests={})
    with write_transaction(sqlite_database) as connection:
        laid_out.record(connection, report, offset=0, at=NOW)
    assert told(metrics)["usersplit_servers_live"] == 1
    assert "usersplit_tests_not_laid_out" not in told(metrics), "nothing to compare with yet"
    create(store, "a")
    publish(store, "a")
    relay_of(sqlite_database, a_broker(), now=a_clock).step()
    with write_transaction(sqlite_database) as connection:
        silent = Report(environment="production", host="web-0", position=0, tests={})
        laid_out.record(connection, silent, offset=1, at=NOW)
        laid_out.add_silence(connection, 999, at=NOW, silent_after=300, forget_after=9999)
        laid_out.record(connection, report, offset=2, at=NOW)
    values = told(metrics)
    assert (values["usersplit_servers_live"], values["usersplit_servers_silent"]) == (1, 1)
    assert values["usersplit_tests_not_laid_out"] == 1


def rows(hit_ids: Iterable[str]) -> pa.Table:
    numbers = {"settings_group", "split_group"}
    return pa.Table.from_pylist(
        [
            {
                field.name: hit_id
                if field.name == "hit_id"
                else NOW
                if field.name == "occurred_at"
                else 1
                if field.name in numbers
                else False
                if field.name == "forced"
                else "x"
                for field in HITS_SCHEMA
            }
            for hit_id in hit_ids
        ],
        schema=HITS_SCHEMA,
    )


def test_stored_hits_and_duplicates_are_counted() -> None:
    metrics = Metrics()
    warehouse = MeteredWarehouse(MemoryHits(), metrics)
    ids = [f"00000000-0000-7000-8000-00000000000{number}" for number in range(3)]
    warehouse.store(rows(ids[:2]), [OffsetRange(topic=HITS, partition=0, first=0, next=2)])
    warehouse.store(rows(ids[1:]), [OffsetRange(topic=HITS, partition=0, first=2, next=4)])
    values = told(metrics)
    assert values["usersplit_stored_hits_total"] == 3
    assert values["usersplit_duplicate_hits_total"] == 1
    assert values["usersplit_batch_hits_count"] == 2
    assert values["usersplit_store_hits_seconds_count"] == 2
    assert warehouse.offsets(HITS) == {0: 4}


def test_a_reader_of_hits_at_the_end_of_the_topic_is_not_behind() -> None:
    metrics = Metrics()
    source = MeteredSource(a_broker().source("g"), metrics, now=a_clock)
    assert source.poll(max_messages=1, timeout_seconds=0) == []
    assert told(metrics)["usersplit_hits_behind_seconds"] == 0


def test_a_reader_that_is_paused_falls_behind_and_says_how_much_is_unread() -> None:
    metrics, broker, moment = Metrics(), MemoryBroker(), [NOW]
    broker.ensure_topics(all_topics(hit_partitions=1))
    broker.producer().send([OutgoingMessage(topic=HITS, key=b"k", value=b"v")] * 3)
    dated: Any = Dated(broker.source("g"))
    source = MeteredSource(dated, metrics, now=lambda: moment[0])
    source.subscribe([HITS], assigned=lambda _: {}, revoked=lambda _: None, lost=lambda _: None)
    assert len(source.poll(max_messages=1, timeout_seconds=0)) == 1
    source.pause([(HITS, 0)])
    moment[0] = NOW + timedelta(seconds=60)
    assert source.poll(max_messages=1, timeout_seconds=0) == []
    values = told(metrics)
    assert (values["usersplit_hits_behind_seconds"], values["usersplit_hits_unread"]) == (60, 2)
    source.resume([(HITS, 0)])
    source.poll(max_messages=5, timeout_seconds=0)
    source.poll(max_messages=5, timeout_seconds=0)
    assert told(metrics)["usersplit_hits_behind_seconds"] == 0


class Dated:
    """A source whose messages are all of one moment."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def poll(self, **how: Any) -> list[Message]:
        return [replace(message, timestamp_ms=int(NOW.timestamp() * 1000)) for message in self._source.poll(**how)]


@pytest.fixture
def served() -> Iterator[tuple[str, list[bool]]]:
    metrics, alive = Metrics(), [True]
    metrics.counter("usersplit_appended_facts_total").inc(3)
    with metrics_served(metrics.registry, lambda: alive[0], address="127.0.0.1", port=0) as port:
        yield f"http://127.0.0.1:{port}", alive


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own server
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_metrics_and_health_are_served(served: tuple[str, list[bool]]) -> None:
    url, alive = served
    status, page = get(f"{url}/metrics")
    assert status == 200
    assert "usersplit_appended_facts_total 3.0" in page
    assert "process_resident_memory_bytes" in page
    assert get(f"{url}/health") == (200, "alive\n")
    alive[0] = False
    assert get(f"{url}/health") == (503, "no sign of life\n")
    assert get(f"{url}/etc/passwd")[0] == 404


def test_a_port_that_is_taken_is_told_with_the_way_out(served: tuple[str, list[bool]]) -> None:
    port = int(served[0].rpartition(":")[2])
    with ExitStack() as stack, pytest.raises(PortTaken, match="USERSPLIT_METRICS_PORT of its own"):
        stack.enter_context(metrics_served(Metrics().registry, lambda: True, address="127.0.0.1", port=port))
