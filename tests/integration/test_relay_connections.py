"""A relay on PostgreSQL whose connections are cut, every one of them."""

from datetime import UTC, datetime
from threading import Event, Thread
from time import monotonic, sleep

from sqlalchemy import Engine, text

from consumers.relay import CHECKPOINT
from events.checkpoints import position_of
from events.database import open_database
from streams.memory import MemoryBroker
from streams.topics import all_topics
from tests.support.relayed_facts import create, pause, publish, relay_of, resume, store_of


def test_a_relay_whose_connections_are_all_cut_goes_on_by_itself(migrated_postgres_url: str) -> None:
    engine, relays = open_database(migrated_postgres_url), open_database(migrated_postgres_url)
    store, broker, stop = store_of(engine), MemoryBroker(), Event()
    broker.ensure_topics(all_topics(hit_partitions=1))
    create(store, "a")
    relay = relay_of(relays, broker, now=lambda: datetime.now(UTC))
    thread = Thread(target=relay.run, args=(stop,), kwargs={"idle_seconds": 0.01, "retry_seconds": 0.05}, daemon=True)
    thread.start()
    deadline, expected = monotonic() + 60, 3
    for cut in range(4):
        while checkpoint(engine) < expected:
            assert monotonic() < deadline
            assert thread.is_alive()
            sleep(0.01)
        if cut < 3:
            expected = pause(store, "a") if cut % 2 else publish(store, "a") if cut == 0 else resume(store, "a")
            with engine.connect() as connection:
                connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                )
    stop.set()
    thread.join(timeout=60)
    assert not thread.is_alive()
    for opened in (engine, relays):
        opened.dispose()


def checkpoint(engine: Engine) -> int:
    with engine.connect() as connection:
        return position_of(connection, CHECKPOINT)
