"""The config topic on a real Kafka: what compaction takes away, and what no topic takes."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from consumers.agent import Agent
from domain.conditions_text import MAXIMUM_CONDITIONS_BYTES
from events.facts import (
    PreparedVariant,
    ProposedVariant,
    SettingsGroupPrepared,
    SettingsGroupProposed,
    SplitTestCreated,
)
from events.lifecycle_codec import decode_event
from streams.kafka_broker import KafkaBroker
from streams.messages import Message, OutgoingMessage, Topic
from streams.ports import MessageTooLarge
from streams.topics import CONFIGS, LARGEST_MESSAGE_BYTES, LIFECYCLE, all_topics
from tests.support.kafka_server import KafkaServer
from tests.support.relayed_facts import append, create, discard, publish, relay_of, store_of, unpublish
from usersplit.conditions import MAXIMUM_LEAVES

NOW = datetime(2026, 5, 2, 12, tzinfo=UTC)
# The sooner a segment is closed, the sooner it is compacted.
SOON = {
    "segment.ms": "200",
    "min.cleanable.dirty.ratio": "0.01",
    "delete.retention.ms": "100",
    "min.compaction.lag.ms": "0",
}

pytestmark = pytest.mark.real_kafka


def everything(broker: KafkaBroker, topic: str) -> list[Message]:
    reader = broker.log_reader(topic)
    ends = reader.end_offsets()
    found: list[Message] = []
    while any(reader.position().get(partition, 0) < end for partition, end in ends.items()):
        found.extend(reader.poll(max_messages=1000, timeout_seconds=0.2))
    reader.close()
    return found


def settle(agent: Agent) -> None:
    deadline = time.monotonic() + 60
    while agent.step(timeout_seconds=0.2) or not agent.ready:
        assert time.monotonic() < deadline


def status(directory: Path, key: str) -> str:
    return str(json.loads((directory / f"{key}.json").read_bytes())["status"])


def largest_proposal(key: str) -> SettingsGroupProposed:
    """Return the most conditions and the most variants that the domain lets through, in the most awkward letters."""
    leaf = {"filter": "city", "operator": "eq", "value": '"\\'}
    conditions: list[Any] = [leaf]
    for _ in range(MAXIMUM_LEAVES - 1):
        conditions += ["OR", leaf]
    room = MAXIMUM_CONDITIONS_BYTES - len(json.dumps(conditions))
    leaf["value"] = '"\\' * (1 + room // (4 * MAXIMUM_LEAVES))
    text = json.dumps(conditions)
    assert MAXIMUM_CONDITIONS_BYTES * 0.9 < len(text) <= MAXIMUM_CONDITIONS_BYTES
    return SettingsGroupProposed(
        key=key,
        settings_group=1,
        starts_at=NOW,
        ends_at=NOW + timedelta(days=30),
        conditions=text,
        filters=(),
        variants=tuple(ProposedVariant(name=f"{number:0100}", groups=1) for number in range(2400)),
    )


def prepared(proposal: SettingsGroupProposed) -> SettingsGroupPrepared:
    return SettingsGroupPrepared(
        key=proposal.key,
        settings_group=1,
        seed=1,
        as_of_position=0,
        variants=tuple(
            PreparedVariant(name=variant.name, split_groups=(number,))
            for number, variant in enumerate(proposal.variants, start=1)
        ),
    )


def wait_until(what: str, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def test_an_agent_that_was_offline_for_longer_than_tombstones_live_still_learns_that_tests_are_gone(
    own_kafka: KafkaServer, sqlite_database: Engine, tmp_path: Path
) -> None:
    broker = KafkaBroker(own_kafka.bootstrap_servers)
    for topic in all_topics(hit_partitions=1):
        # As it is made, but for the patience of compaction.
        soon = SOON if topic.name == CONFIGS else {}
        broker.ensure_topics([replace(topic, config={**topic.config, **soon})])
    store = store_of(sqlite_database)
    relay = relay_of(sqlite_database, broker, now=lambda: datetime.now(UTC))
    for key in ("gone", "stays"):
        create(store, key)
        publish(store, key)
    relay.step()
    agent = Agent(broker, tmp_path)
    settle(agent)
    agent.close()
    assert status(tmp_path, "gone") == "in_dev"

    unpublish(store, "gone")
    discard(store, "gone")
    relay.step()

    def is_compacted() -> bool:
        # The cleaner leaves the segment that is written to alone: something must close the one before it.
        relay._last_heartbeat = None
        relay.step()
        return [m.key for m in everything(broker, CONFIGS)].count(b"gone") == 1

    wait_until("the topic was never compacted", is_compacted)
    first_offsets = {message.key: message.offset for message in everything(broker, CONFIGS)}
    assert first_offsets[b"gone"] > 1, "the document that the agent knew is gone from the topic"

    back = Agent(broker, tmp_path)
    settle(back)
    back.close()
    assert (status(tmp_path, "gone"), status(tmp_path, "stays")) == ("discarded", "in_dev")
    newcomer = Agent(broker, tmp_path / "new")
    settle(newcomer)
    newcomer.close()
    for key in ("gone", "stays"):
        assert (tmp_path / "new" / f"{key}.json").read_bytes() == (tmp_path / f"{key}.json").read_bytes()
    relay.close()


def test_the_largest_settings_that_the_domain_allows_reach_the_servers_and_what_is_larger_is_refused_at_once(
    own_kafka: KafkaServer, sqlite_database: Engine, tmp_path: Path
) -> None:
    broker = KafkaBroker(own_kafka.bootstrap_servers)
    broker.ensure_topics([*all_topics(hit_partitions=1), Topic(name="narrow", partitions=1)])
    store, proposal = store_of(sqlite_database), largest_proposal("large")
    append(
        store,
        "large",
        SplitTestCreated(key="large", name="large", author="anna", managers=()),
        proposal,
        prepared(proposal),
    )
    publish(store, "large")
    create(store, "small")
    publish(store, "small")
    relay = relay_of(sqlite_database, broker, now=lambda: datetime.now(UTC))
    assert relay.step() == 8
    assert relay.withheld == 0
    agent = Agent(broker, tmp_path)
    settle(agent)
    agent.close()
    relay.close()
    assert (tmp_path / "large.json").stat().st_size > MAXIMUM_CONDITIONS_BYTES * 0.9
    assert status(tmp_path, "small") == "in_dev"
    records = everything(broker, LIFECYCLE)
    assert [decode_event(record.value or b"").position for record in records] == list(range(1, 9))
    assert MAXIMUM_CONDITIONS_BYTES * 1.5 < max(len(m.value or b"") for m in records) < LARGEST_MESSAGE_BYTES

    # By our own limit, and by that of a topic that takes less.
    incompressible = bytes(number * number % 251 for number in range(LARGEST_MESSAGE_BYTES + 1))
    for topic, value in ((CONFIGS, incompressible), ("narrow", json.dumps(list(range(600_000))).encode())):
        producer, large = broker.producer(), OutgoingMessage(topic=topic, key=b"large", value=value)
        with pytest.raises(MessageTooLarge, match=f"{topic} with the key large is too large") as refused:
            producer.send([OutgoingMessage(topic=topic, key=b"a", value=b"{}"), large])
        assert refused.value.message is large
