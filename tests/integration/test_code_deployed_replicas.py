"""Replicas of the code-deployed consumer that see the same hits at the same moment: one fact, on both databases."""

from contextlib import suppress
from datetime import UTC, datetime
from threading import Barrier, Thread

from sqlalchemy import Engine

from commands.split_tests import SplitTestCommands
from consumers.code_deployed import CodeDeployedWatcher
from events.errors import CheckpointMoved
from events.facts import REGISTRY, CodeDeployed, SplitTestCreated, SplitTestPublished, split_test_stream
from events.sql_store import SqlEventStore
from events.store import Provenance
from projections.models import ALL
from projections.projector import Projector
from streams.memory import MemoryBroker
from streams.messages import OutgoingMessage
from streams.topics import HITS, all_topics
from usersplit.conditions import Catalog
from usersplit.hits import Hit, encode_hit

NOW = datetime(2026, 5, 3, 12, 0, tzinfo=UTC)
KEYS = [f"test_{number}" for number in range(8)]


def test_replicas_that_see_the_same_hits_record_one_fact_a_test(database: Engine) -> None:
    store = SqlEventStore(database, REGISTRY)
    provenance = Provenance(actor="ann", recorded_at=NOW)
    for key in KEYS:
        created = SplitTestCreated(key=key, name=key, author="ann", managers=("ann",))
        facts = [created, SplitTestPublished(key=key)]
        store.append(split_test_stream(key), facts, expected_version=0, provenance=provenance)
    Projector(engine=database, store=store, registry=REGISTRY, projections=ALL).catch_up()
    broker = MemoryBroker()
    broker.ensure_topics(all_topics(hit_partitions=1))
    hits = [
        Hit(
            hit_id=f"01890a5d-ac96-774b-bcce-b302099a80{number:02x}",
            test_key=key,
            variant="red",
            environment="production",
        )
        for number, key in enumerate(KEYS * 2)
    ]
    broker.producer().send([OutgoingMessage(topic=HITS, key=b"k", value=encode_hit(hit)) for hit in hits])
    commands = SplitTestCommands(store=store, registry=REGISTRY, catalog=Catalog([]), now=lambda: NOW)
    ready = Barrier(3)

    def replica(name: str) -> None:
        # Different groups, so that both are given the partition, as around a rebalance that one of them slept through.
        watcher = CodeDeployedWatcher(
            source=broker.source(name), engine=database, commands=commands, freshness_seconds=0.0
        )
        watcher.start()
        ready.wait(60)
        with suppress(CheckpointMoved):
            for _ in range(5):
                watcher.step()
        watcher.close()

    replicas = [Thread(target=replica, args=[f"replica {number}"]) for number in range(3)]
    for each in replicas:
        each.start()
    for each in replicas:
        each.join(60)
    for key in KEYS:
        decoded = [REGISTRY.decode(event.encoded) for event in store.read_stream(split_test_stream(key))]
        assert [type(fact) for fact in decoded] == [SplitTestCreated, SplitTestPublished, CodeDeployed]
