"""From the lifecycle topic to BI's dimensions, on the broker and the warehouse in memory."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.dimensions import DimensionsFollower
from events.facts import REGISTRY, DraftDiscarded, SplitTestPaused, SplitTestPublished
from events.lifecycle_codec import encode_event
from events.store import StoredEvent
from streams.memory import MemoryBroker
from streams.messages import OutgoingMessage
from streams.topics import LIFECYCLE, all_topics
from tests.support import histories
from tests.support.histories import KEY, MAY
from tests.support.read_models import stream_of
from warehouse.dimension_tables import TABLES
from warehouse.errors import Fenced, WarehouseDown
from warehouse.memory_dimensions import MemoryDimensions

VIEWS = tuple(table.view for table in TABLES)


@pytest.fixture
def broker() -> MemoryBroker:
    return new_broker()


@pytest.fixture
def warehouse() -> MemoryDimensions:
    return MemoryDimensions()


def new_broker() -> MemoryBroker:
    made = MemoryBroker()
    made.ensure_topics(all_topics(hit_partitions=1))
    return made


def publish(broker: MemoryBroker, facts: Sequence[Any], *, after: int = 0) -> None:
    """Put facts on the topic as the relay does, from position `after` + 1 on, a minute apart."""
    values = [
        encode_event(
            StoredEvent(
                position=position,
                stream=stream_of(fact),
                version=position,
                encoded=REGISTRY.encode(fact),
                actor="anna",
                recorded_at=MAY + timedelta(minutes=position),
            )
        )
        for position, fact in enumerate(facts, after + 1)
    ]
    broker.producer().send([OutgoingMessage(topic=LIFECYCLE, key=b"k", value=value) for value in values])


def follow(broker: MemoryBroker, warehouse: MemoryDimensions) -> int:
    """Run a consumer of its own to the end of the topic and return how many messages were new to the warehouse."""
    follower = DimensionsFollower(broker=broker, warehouse=warehouse, registry=REGISTRY)
    new = sum(follower.step(timeout_seconds=0) for _ in range(4))
    follower.close()
    return new


def everything(warehouse: MemoryDimensions) -> dict[str, list[str]]:
    return {name: sorted(map(str, rows.values())) for name, rows in warehouse._rows.items()}


def test_a_running_test_is_there_with_its_settings_groups_and_its_changelog(
    broker: MemoryBroker, warehouse: MemoryDimensions
) -> None:
    publish(broker, histories.running())
    assert follow(broker, warehouse) == len(histories.running())
    (test,) = warehouse.view("split_tests")
    assert (test["test_key"], test["status"], test["settings_group"]) == (KEY, "running", 1)
    assert test["created_at"] == MAY + timedelta(minutes=1)
    assert test["code_deployed_at"] is not None
    (group,) = warehouse.view("settings_groups")
    assert (group["state"], group["conditions"], group["starts_at"]) == ("prepared", histories.CONDITIONS, MAY)
    variants = {row["variant"]: (row["is_control"], row["groups"], row["users"]) for row in warehouse.view("variants")}
    assert variants == {"control": (True, 3, 300), "red": (False, 3, 290)}
    owners = {row["split_group"]: row["variant"] for row in warehouse.view("split_groups")}
    assert owners == {1: "control", 3: "control", 5: "control", 2: "red", 4: "red", 2400: "red"}
    changes = sorted(warehouse.view("changes"), key=lambda row: int(row["position"]))
    assert [row["position"] for row in changes] == list(range(1, len(histories.running()) + 1))
    assert all(row["sentence"] and row["actor"] == "anna" for row in changes)


def test_a_user_group_is_there_with_its_conditions_their_users_and_its_changelog(
    broker: MemoryBroker, warehouse: MemoryDimensions
) -> None:
    facts = histories.whole_story_of_estimates()
    publish(broker, facts)
    follow(broker, warehouse)
    (group,) = warehouse.view("user_groups")
    assert (group["group_key"], group["name"], group["status"], group["settings_group"]) == (KEY, "Premium", "off", 2)
    assert (group["activated_at"], group["switched_off_at"]) == (
        MAY + timedelta(minutes=3),
        MAY + timedelta(minutes=len(facts)),
    )
    versions = sorted(warehouse.view("user_group_conditions"), key=lambda row: int(row["settings_group"]))
    assert [(row["settings_group"], row["conditions"], row["users"]) for row in versions] == [
        (1, histories.CONDITIONS, 9),
        (2, "[]", 1200),
    ]
    changes = sorted(warehouse.view("user_group_changes"), key=lambda row: int(row["position"]))
    assert [row["kind"] for row in changes] == [type(fact).__name__ for fact in facts]
    assert all(row["sentence"] and row["actor"] == "anna" for row in changes)
    assert changes[5]["sentence"].startswith("Counted settings group 1: at most 1,200 users")
    assert warehouse.view("split_tests") == []


def test_a_user_group_that_is_discarded_leaves_nothing_and_its_key_begins_anew(
    broker: MemoryBroker, warehouse: MemoryDimensions
) -> None:
    life = histories.whole_life_of_user_group()
    publish(broker, life[:8])
    follow(broker, warehouse)
    assert not any(everything(warehouse).values())
    publish(broker, life[8:], after=8)
    follow(broker, warehouse)
    assert [row["name"] for row in warehouse.view("user_groups")] == ["Premium again"]
    assert [row["settings_group"] for row in warehouse.view("user_group_conditions")] == [3]


def test_a_draft_is_not_shown_and_a_discarded_one_leaves_nothing(
    broker: MemoryBroker, warehouse: MemoryDimensions
) -> None:
    draft = histories.draft_with_settings()
    publish(broker, draft)
    follow(broker, warehouse)
    assert all(warehouse.view(name) == [] for name in VIEWS)
    publish(broker, [DraftDiscarded(key=KEY)], after=len(draft))
    follow(broker, warehouse)
    assert not any(everything(warehouse).values())


def test_a_key_that_is_used_again_begins_anew(broker: MemoryBroker, warehouse: MemoryDimensions) -> None:
    first = [*histories.draft_with_settings(), DraftDiscarded(key=KEY)]
    publish(broker, [*first, histories.created(name="Again"), SplitTestPublished(key=KEY)])
    follow(broker, warehouse)
    assert [row["name"] for row in warehouse.view("split_tests")] == ["Again"]
    assert warehouse.view("settings_groups") == []
    assert [row["position"] for row in warehouse.view("changes")] == [len(first) + 1, len(first) + 2]


def test_facts_that_are_published_again_change_nothing(broker: MemoryBroker, warehouse: MemoryDimensions) -> None:
    facts = histories.whole_life()
    publish(broker, facts)
    follow(broker, warehouse)
    before = everything(warehouse)
    publish(broker, facts)
    assert follow(broker, warehouse) == len(facts)
    assert everything(warehouse) == before


@given(st.integers(0, 40), st.integers(0, 40))
@settings(max_examples=20, deadline=None)
def test_wherever_the_consumer_was_restarted_the_tables_are_the_same(first: int, second: int) -> None:
    groups = [*histories.whole_story_of_estimates(), *histories.whole_life_of_user_group("other")]
    facts = [*histories.running(), *groups, SplitTestPaused(key=KEY), *histories.running("other")]
    whole, parts = MemoryDimensions(), MemoryDimensions()
    at_once = new_broker()
    publish(at_once, facts)
    follow(at_once, whole)
    in_parts = new_broker()
    cuts = sorted({0, min(first, len(facts)), min(second, len(facts)), len(facts)})
    for start, end in pairwise(cuts):
        publish(in_parts, facts[start:end], after=start)
        assert follow(in_parts, parts) == end - start
    assert everything(parts) == everything(whole)


def test_a_warehouse_that_is_down_gets_everything_once_it_is_back(
    broker: MemoryBroker, warehouse: MemoryDimensions
) -> None:
    publish(broker, histories.running())
    follower = DimensionsFollower(broker=broker, warehouse=warehouse, registry=REGISTRY)
    warehouse.down = True
    with pytest.raises(WarehouseDown):
        follower.step(timeout_seconds=0)
    follower.close()
    warehouse.down = False
    assert follow(broker, warehouse) == len(histories.running())


def test_of_two_consumers_one_is_fenced(broker: MemoryBroker, warehouse: MemoryDimensions) -> None:
    publish(broker, histories.draft_with_settings())
    slow = DimensionsFollower(broker=broker, warehouse=warehouse, registry=REGISTRY)
    slow.step(timeout_seconds=0)
    publish(broker, [SplitTestPublished(key=KEY)], after=len(histories.draft_with_settings()))
    assert follow(broker, warehouse) == 1
    with pytest.raises(Fenced):
        slow.step(timeout_seconds=0)
    slow.close()
