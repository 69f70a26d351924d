from collections.abc import Sequence
from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.split_test import SplitTest, evolve, load
from events.facts import SettingsGroupPrepared, SettingsGroupProposed, SplitTestFact
from tests.unit.domain.histories import CREATED, KEY, PREPARED, PROPOSED

FACT_TYPES = get_args(SplitTestFact)
small_numbers = st.integers(min_value=-1, max_value=3)
any_fact: st.SearchStrategy[SplitTestFact] = st.one_of(
    [
        st.builds(fact_type, **({"settings_group": small_numbers} if "settings_group" in fact_type.__slots__ else {}))
        for fact_type in FACT_TYPES
    ]
)


@settings(max_examples=120, deadline=None)
@given(st.lists(any_fact, max_size=15))
def test_evolve_takes_any_facts_in_any_order(history: Sequence[SplitTestFact]) -> None:
    state = load(history)
    assert (state is None) == (not history)
    if state is not None:
        assert state.key == history[0].key
        assert state.last_settings_group >= 0
        assert state.pending is not None or not state.failure


@settings(max_examples=40, deadline=None)
@given(st.lists(any_fact, max_size=6), any_fact)
def test_evolve_changes_no_state_in_place(history: Sequence[SplitTestFact], fact: SplitTestFact) -> None:
    before = load(history)
    again = load(history)
    evolve(before, fact)
    assert before == again


@settings(deadline=None)
@given(any_fact)
def test_a_history_that_begins_oddly_still_has_a_state(fact: SplitTestFact) -> None:
    assert isinstance(evolve(None, fact), SplitTest)


def test_a_settings_group_that_was_not_proposed_does_not_become_current() -> None:
    stray = SettingsGroupPrepared(key=KEY, settings_group=9, seed=1, as_of_position=1, variants=())
    assert load([CREATED, PROPOSED, stray]) == load([CREATED, PROPOSED])


def test_a_superseded_settings_group_does_not_become_current() -> None:
    newer = SettingsGroupProposed(
        key=KEY,
        settings_group=2,
        starts_at=PROPOSED.starts_at,
        ends_at=PROPOSED.ends_at,
        conditions="[]",
        filters=(),
        variants=PROPOSED.variants,
    )
    state = load([CREATED, PROPOSED, newer, PREPARED])
    assert state is not None
    assert state.current is None
    assert state.pending is not None
    assert state.pending.number == 2
