import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from commands.split_tests import Request, SplitTestCommands
from consumers.preparer import Preparer, Progress
from domain.allocation.audience_counts import Audience, AudienceNotCountable, NobodyCounted
from domain.allocation.free_first import allocate
from domain.allocation.request import Allocation, AllocationRequest
from domain.people import Actor
from events.errors import DatabaseUnavailable
from events.facts import (
    REGISTRY,
    Overlap,
    SettingsGroupPreparationFailed,
    SettingsGroupPrepared,
    split_test_stream,
)
from events.sql_store import SqlEventStore
from projections import current_settings
from projections.models import ALL
from projections.projector import Projector
from usersplit.conditions import Catalog

NOW = datetime(2026, 4, 20, tzinfo=UTC)
ANNA = Request(actor=Actor(name="anna"))


def document(
    control: float, red: float, *, starts_at: str = "2026-05-01", ends_at: str = "2026-06-01"
) -> dict[str, Any]:
    variants = [{"name": "control", "percent": control, "control": True}, {"name": "red", "percent": red}]
    return {"starts_at": starts_at, "ends_at": ends_at, "variants": variants}


class House:
    """Everything a preparer stands on: a database with its log and its read models, and people's commands."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.store = SqlEventStore(engine, REGISTRY)
        self.projector = Projector(engine=engine, store=self.store, registry=REGISTRY, projections=ALL)
        self.commands = SplitTestCommands(store=self.store, registry=REGISTRY, catalog=Catalog(), now=lambda: NOW)
        self.seeds = count(1)
        self.steps: list[Progress] = []

    def preparer(self, **ports: Any) -> Preparer:
        given: dict[str, Any] = {
            "catch_up": self.projector.catch_up,
            "seeds": lambda: next(self.seeds),
            "progress": self.steps.append,
        }
        return Preparer(engine=self.engine, store=self.store, registry=REGISTRY, now=lambda: NOW, **(given | ports))

    def proposed(self, key: str, proposal: Mapping[str, Any], *, type_: str = "web") -> None:
        self.commands.create(ANNA, key=key, name=key, type=type_)
        self.commands.propose_settings(ANNA, key, proposal)

    def running(self, key: str, proposal: Mapping[str, Any], *, type_: str = "web") -> SettingsGroupPrepared:
        self.proposed(key, proposal, type_=type_)
        assert self.preparer().prepare(key)
        prepared = self.prepared(key)
        self.commands.publish(ANNA, key)
        self.commands.start(ANNA, key)
        return prepared

    def facts(self, key: str) -> list[Any]:
        return [REGISTRY.decode(event.encoded) for event in self.store.read_stream(split_test_stream(key))]

    def prepared(self, key: str) -> SettingsGroupPrepared:
        fact = self.facts(key)[-1]
        assert isinstance(fact, SettingsGroupPrepared)
        return fact


@pytest.fixture
def house(sqlite_database: Engine) -> House:
    return House(sqlite_database)


def groups(fact: SettingsGroupPrepared) -> set[int]:
    return {number for variant in fact.variants for number in variant.split_groups}


def test_a_proposed_settings_group_becomes_current_with_its_seed_and_its_groups(database: Engine) -> None:
    house = House(database)
    house.proposed("button", document(5, 10))
    assert house.preparer().prepare("button")
    fact = house.prepared("button")
    assert (fact.settings_group, fact.seed, fact.as_of_position) == (1, 1, 2)
    assert [(variant.name, len(variant.split_groups), variant.users) for variant in fact.variants] == [
        ("control", 120, None),
        ("red", 240, None),
    ]
    house.projector.catch_up()
    with house.engine.connect() as connection:
        settings = current_settings.get(connection, "button")
        assert current_settings.pending(connection) == []
    assert settings is not None
    assert settings.settings_group == 1


def test_the_seed_and_the_position_in_the_fact_repeat_the_draw(house: House) -> None:
    requests: list[AllocationRequest] = []

    def remembering(request: AllocationRequest) -> Allocation:
        requests.append(request)
        return allocate(request)

    house.running("first", document(40, 40))
    house.proposed("second", document(20, 20))
    assert house.preparer(allocate=remembering).prepare("second")
    fact = house.prepared("second")
    assert fact.as_of_position == house.store.head() - 1
    assert allocate(replace(requests[0], seed=fact.seed)).variants == fact.variants


def test_free_groups_go_first_and_the_rest_is_told_as_an_overlap(house: House) -> None:
    first = house.running("first", document(40, 40))
    house.proposed("second", document(15, 15))
    house.preparer().prepare("second")
    fact = house.prepared("second")
    free = set(range(1, 2401)) - groups(first)
    assert free < groups(fact)
    assert fact.overlaps == (Overlap(key="first", settings_group=1, shared_groups=720 - 480, same_type=True),)


def test_tests_of_other_dates_are_nobodys_neighbours(house: House) -> None:
    house.running("first", document(50, 50))
    house.proposed("second", document(50, 50, starts_at="2026-06-01", ends_at="2026-07-01"))
    house.preparer().prepare("second")
    assert house.prepared("second").overlaps == ()


def test_a_test_of_another_type_is_told_as_such(house: House) -> None:
    house.running("first", document(50, 50), type_="mobile")
    house.proposed("second", document(5, 5))
    house.preparer().prepare("second")
    (overlap,) = house.prepared("second").overlaps
    assert (overlap.shared_groups, overlap.same_type) == (240, False)


def test_the_groups_of_a_draft_count_but_it_is_not_named(house: House) -> None:
    house.proposed("secret", document(40, 40))
    house.preparer().prepare("secret")
    secret = groups(house.prepared("secret"))
    house.proposed("second", document(10, 15))
    house.preparer().prepare("second")
    fact = house.prepared("second")
    assert set(range(1, 2401)) - secret < groups(fact)
    (overlap,) = fact.overlaps
    assert (overlap.key, overlap.settings_group, overlap.shared_groups) == ("", 0, len(secret & groups(fact)))


def test_a_change_of_dates_keeps_everybodys_variant(house: House) -> None:
    before = house.running("button", document(5, 10))
    house.commands.propose_settings(ANNA, "button", document(5, 10, ends_at="2026-07-01"))
    house.preparer().prepare("button")
    after = house.prepared("button")
    assert after.settings_group == 2
    assert after.variants == before.variants
    assert "360 split groups stay as they were" in [step.detail for step in house.steps]


def test_the_superseded_proposal_is_never_prepared(house: House) -> None:
    house.proposed("button", document(5, 10))
    house.commands.propose_settings(ANNA, "button", document(5, 15))
    assert house.preparer().prepare_all() == 1
    assert house.prepared("button").settings_group == 2


def test_a_key_without_anything_that_waits_is_left_alone(house: House) -> None:
    assert not house.preparer().prepare("nothing")
    house.running("button", document(5, 5))
    assert not house.preparer().prepare("button")
    assert house.preparer().prepare_all() == 0


def test_every_step_is_told(house: House) -> None:
    house.proposed("button", document(5, 10))
    house.preparer().prepare("button")
    assert [step.step for step in house.steps] == ["overlaps", "split_groups", "prepared"]
    assert {(step.key, step.settings_group) for step in house.steps} == {("button", 1)}


class Uncountable(NobodyCounted):
    """Counts that cannot answer."""

    def users(self, audience: Audience) -> None:
        raise AudienceNotCountable(audience.key, "no column holds user_agent")


def test_a_preparation_that_fails_says_why_and_can_be_retried(house: House) -> None:
    house.proposed("button", document(5, 10))
    assert not house.preparer(counts=Uncountable()).prepare("button")
    (failure,) = house.facts("button")[2:]
    assert isinstance(failure, SettingsGroupPreparationFailed)
    assert "no column holds user_agent" in failure.reason
    assert house.steps[-1].step == "failed"
    assert not house.preparer().prepare("button")
    house.commands.retry_preparation(ANNA, "button")
    assert house.preparer().prepare("button")


@pytest.mark.parametrize("error", [ZeroDivisionError(), OperationalError("select", {}, Exception("away"))])
def test_outages_and_programming_errors_are_raised_and_never_become_a_fact(house: House, error: Exception) -> None:
    def broken(request: AllocationRequest) -> Allocation:
        del request
        raise error

    house.proposed("button", document(5, 10))
    with pytest.raises(type(error)):
        house.preparer(allocate=broken).prepare("button")
    assert len(house.facts("button")) == 2


class EverybodyCounted:
    """Ten users in every split group; half of the tests' users meet both conditions."""

    def users(self, audience: Audience) -> Mapping[int, int]:
        del audience
        return dict.fromkeys(range(1, 2401), 10)

    def shared_users(self, audience: Audience, other: Audience) -> Mapping[int, int]:
        assert audience.key != other.key
        return dict.fromkeys(range(1, 1201), 5)


def test_counted_users_become_the_estimate_and_the_overlap(house: House) -> None:
    house.running("first", document(50, 50))
    house.proposed("second", document(50, 50))
    assert house.preparer(counts=EverybodyCounted()).prepare("second")
    fact = house.prepared("second")
    assert [variant.users for variant in fact.variants] == [12_000, 12_000]
    assert fact.overlaps == (
        Overlap(key="first", settings_group=1, shared_groups=2400, shared_users=6000, same_type=True),
    )


def interrupted(house: House, interruption: Callable[[], object]) -> Preparer:
    """A preparer that is interrupted once, between its look at the test and its append."""
    interruptions = [interruption]

    def allocate_later(request: AllocationRequest) -> Allocation:
        if interruptions:
            interruptions.pop()()
        return allocate(request)

    return house.preparer(allocate=allocate_later)


def test_a_test_that_moved_on_meanwhile_is_looked_at_again(house: House) -> None:
    house.proposed("button", document(5, 10))
    preparer = interrupted(house, lambda: house.commands.propose_settings(ANNA, "button", document(5, 20)))
    assert preparer.prepare("button")
    fact = house.prepared("button")
    assert (fact.settings_group, len(groups(fact))) == (2, 600)


def test_a_draft_that_was_discarded_meanwhile_is_left_alone(house: House) -> None:
    house.proposed("button", document(5, 10))
    assert not interrupted(house, lambda: house.commands.discard(ANNA, "button")).prepare("button")
    assert len(house.facts("button")) == 3


def test_of_two_preparers_at_once_the_first_wins(house: House) -> None:
    house.proposed("button", document(5, 10))
    other = house.preparer()
    assert not interrupted(house, lambda: other.prepare("button")).prepare("button")
    assert [type(fact).__name__ for fact in house.facts("button")].count("SettingsGroupPrepared") == 1


def test_a_running_preparer_prepares_what_waits_and_outlives_an_outage(house: House) -> None:
    house.proposed("first", document(5, 10))
    house.proposed("second", document(5, 10))
    stop = threading.Event()
    outages = [OperationalError("select", {}, Exception("away")), DatabaseUnavailable("away")]

    def catch_up() -> int:
        if outages:
            raise outages.pop()
        with house.engine.connect() as connection:
            connection.execute(text("select 1"))
        return house.projector.catch_up()

    def stop_after_two(progress: Progress) -> None:
        house.steps.append(progress)
        if [step.step for step in house.steps].count("prepared") == 2:
            stop.set()

    house.preparer(catch_up=catch_up, progress=stop_after_two).run(stop, idle_seconds=0.01)
    assert house.prepared("first").settings_group == 1
    assert house.prepared("second").settings_group == 1
