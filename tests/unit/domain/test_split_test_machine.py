"""Random commands in random order, by random people, leave no state that breaks an invariant."""

from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from domain import lifecycle, properties, settings_groups
from domain.allocation.free_first import allocate
from domain.allocation.request import AllocationRequest
from domain.errors import RuleBroken
from domain.people import Actor
from domain.properties import NewSplitTest
from domain.settings import parse_proposal
from domain.split_test import SplitTest, Status, evolve, load
from events.facts import REGISTRY, SplitTestFact
from tests.unit.domain.histories import (
    ANNA,
    BORIS,
    DRAFT,
    IN_DEV,
    KEY,
    PAUSED,
    READY,
    RUNNING,
    START,
    STRANGER,
    SUPERUSER,
)
from usersplit.conditions import Catalog

ACTORS = st.sampled_from([ANNA, ANNA, BORIS, SUPERUSER, STRANGER])
CATALOG = Catalog()
PERCENTS = st.sampled_from([0, 5, 10, 50, 100])
NEXT = {
    Status.DRAFT: {Status.DRAFT, Status.IN_DEV, Status.DISCARDED},
    Status.IN_DEV: {Status.IN_DEV, Status.DRAFT, Status.RUNNING},
    Status.RUNNING: {Status.RUNNING, Status.PAUSED, Status.FINISHED, Status.REJECTED},
    Status.PAUSED: {Status.PAUSED, Status.RUNNING, Status.FINISHED, Status.REJECTED},
    Status.FINISHED: {Status.FINISHED},
    Status.REJECTED: {Status.REJECTED},
    Status.DISCARDED: {Status.DISCARDED, Status.DRAFT},
}


class SplitTestMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.history: list[SplitTestFact] = []
        self.state: SplitTest | None = None
        self.now = START - timedelta(days=10)

    # Without a beginning further on, most walks would end before anything ran.
    @initialize(history=st.sampled_from([(), DRAFT, READY, IN_DEV, RUNNING, PAUSED]))
    def begin(self, history: Sequence[SplitTestFact]) -> None:
        self.history = list(history)
        self.state = load(history)

    def attempt(self, decide: Callable[[], Sequence[SplitTestFact]]) -> None:
        before = self.state
        try:
            facts = decide()
        except RuleBroken:
            assert self.state == before
            return
        for fact in facts:
            self.state = evolve(self.state, fact)
            self.history.append(fact)
        if before is not None and self.state is not None:
            assert self.state.status in NEXT[before.status]
            assert self.state.last_settings_group >= before.last_settings_group

    @rule(actor=ACTORS)
    def create(self, actor: Actor) -> None:
        wanted = NewSplitTest(key=KEY, name="Green button", managers=("boris",))
        self.attempt(lambda: properties.create(self.state, actor, wanted))

    @rule(actor=ACTORS, name=st.sampled_from(["", "Green", "Red"]))
    def rename(self, actor: Actor, name: str) -> None:
        self.attempt(lambda: properties.edit_properties(self.state, KEY, actor, {"name": name}))

    @rule(actor=ACTORS, add=st.sets(st.sampled_from("ab")), remove=st.sets(st.sampled_from(["anna", "boris", "a"])))
    def change_managers(self, actor: Actor, add: set[str], remove: set[str]) -> None:
        self.attempt(lambda: properties.change_managers(self.state, KEY, actor, add=add, remove=remove))

    @rule(actor=ACTORS, control=PERCENTS, red=PERCENTS, days=st.integers(min_value=-1, max_value=30))
    def propose(self, actor: Actor, control: int, red: int, days: int) -> None:
        document = {
            "starts_at": START.isoformat(),
            "ends_at": (START + timedelta(days=days)).isoformat(),
            "variants": [
                {"name": "control", "percent": control, "control": True},
                {"name": "red", "percent": red},
            ],
        }
        self.attempt(
            lambda: settings_groups.propose_settings(self.state, KEY, actor, parse_proposal(document, CATALOG))
        )

    @rule(seed=st.integers(min_value=0, max_value=9), late=st.booleans())
    def prepare(self, seed: int, late: bool) -> None:  # noqa: FBT001 - hypothesis passes it by name
        group = settings_groups.waiting(self.state)
        if group is None or self.state is None:
            return
        previous = self.state.current.prepared if self.state.current else ()
        request = AllocationRequest(seed=seed, type="web", variants=group.variants, previous=previous)
        self.attempt(
            lambda: settings_groups.prepared(
                self.state,
                KEY,
                settings_group=group.number - late,
                seed=seed,
                as_of_position=1,
                variants=allocate(request).variants,
                overlaps=(),
            )
        )

    @rule(late=st.booleans())
    def fail(self, late: bool) -> None:  # noqa: FBT001 - hypothesis passes it by name
        number = (self.state.last_settings_group if self.state else 1) - late
        self.attempt(
            lambda: settings_groups.preparation_failed(self.state, KEY, settings_group=number, reason="users away")
        )

    @rule(actor=ACTORS)
    def retry(self, actor: Actor) -> None:
        self.attempt(lambda: settings_groups.retry_preparation(self.state, KEY, actor))

    @rule(actor=ACTORS, step=st.sampled_from([lifecycle.publish, lifecycle.pause]))
    def go_on(self, actor: Actor, step: Callable[..., Sequence[SplitTestFact]]) -> None:
        self.attempt(lambda: step(self.state, KEY, actor))

    @rule(actor=ACTORS, step=st.sampled_from([lifecycle.unpublish, lifecycle.discard, lifecycle.reject]))
    def go_back(self, actor: Actor, step: Callable[..., Sequence[SplitTestFact]]) -> None:
        self.attempt(lambda: step(self.state, KEY, actor))

    @rule(actor=ACTORS, step=st.sampled_from([lifecycle.start, lifecycle.resume]))
    def run_it(self, actor: Actor, step: Callable[..., Sequence[SplitTestFact]]) -> None:
        self.attempt(lambda: step(self.state, KEY, actor, now=self.now))

    @rule(actor=ACTORS, variant=st.sampled_from(["control", "red", "blue"]), scope=st.sampled_from(["worldwide", "x"]))
    def finish(self, actor: Actor, variant: str, scope: str) -> None:
        self.attempt(lambda: lifecycle.finish(self.state, KEY, actor, resulting_variant=variant, scope=scope))

    @rule()
    def see_a_production_hit(self) -> None:
        self.attempt(lambda: lifecycle.record_code_deployed(self.state, KEY, hit_id="1", occurred_at=self.now))

    @rule(days=st.integers(min_value=1, max_value=10))
    def wait(self, days: int) -> None:
        self.now += timedelta(days=days)

    @invariant()
    def the_state_is_valid(self) -> None:
        state = self.state
        if state is None:
            return
        assert state.managers or state.status is Status.DISCARDED
        assert state.name
        if state.status not in {Status.DRAFT, Status.DISCARDED}:
            assert state.current is not None
        if state.current is not None:
            numbers = [number for variant in state.current.prepared for number in variant.split_groups]
            assert len(numbers) == len(set(numbers)) == sum(variant.groups for variant in state.current.variants)
            assert state.current.starts_at < state.current.ends_at
        if state.pending is not None:
            assert state.pending.number == state.last_settings_group
            assert state.status not in {Status.FINISHED, Status.REJECTED, Status.DISCARDED}
        assert (state.result is not None) == (state.status is Status.FINISHED)

    def teardown(self) -> None:
        assert load(self.history) == self.state
        assert load([REGISTRY.decode(REGISTRY.encode(fact)) for fact in self.history]) == self.state


SplitTestMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestRandomCommands = pytest.mark.timeout(120)(SplitTestMachine.TestCase)
