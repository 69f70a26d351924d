from hypothesis import given, settings
from hypothesis import strategies as st

from domain.percents import ALL_GROUPS
from domain.rebalancing import rebalanced

SHARES = st.lists(st.integers(min_value=0, max_value=300), min_size=2, max_size=8)


def test_the_others_share_what_one_variant_gives_up() -> None:
    assert rebalanced([240, 240], changed=0, wanted=120) == [120, 360]


def test_the_others_keep_their_proportions() -> None:
    assert rebalanced([120, 240, 120], changed=0, wanted=240) == [240, 159, 81]


def test_a_variant_that_wants_more_than_the_total_becomes_the_total() -> None:
    assert rebalanced([240, 240], changed=1, wanted=600) == [0, 600]


def test_others_without_anything_share_equally() -> None:
    assert rebalanced([480, 0, 0], changed=0, wanted=240) == [240, 120, 120]


def test_a_single_variant_is_the_total() -> None:
    assert rebalanced([240], changed=0, wanted=480) == [480]


def test_nobody_can_want_more_than_everybody() -> None:
    assert rebalanced([240, 240], changed=0, wanted=9999) == [ALL_GROUPS, 0]


@settings(max_examples=50)
@given(SHARES, st.data())
def test_the_total_stays_and_nothing_is_negative(groups: list[int], data: st.DataObject) -> None:
    changed = data.draw(st.integers(min_value=0, max_value=len(groups) - 1))
    wanted = data.draw(st.integers(min_value=0, max_value=ALL_GROUPS))
    after = rebalanced(groups, changed=changed, wanted=wanted)
    assert after[changed] == wanted
    assert min(after) >= 0
    assert sum(after) == max(sum(groups), wanted)


@settings(max_examples=50)
@given(
    st.lists(st.integers(min_value=0, max_value=100), min_size=2, max_size=8), st.integers(min_value=0, max_value=100)
)
def test_exact_percents_lead_to_exact_percents(eighths: list[int], wanted: int) -> None:
    after = rebalanced([3 * each for each in eighths], changed=0, wanted=3 * wanted)
    assert [each % 3 for each in after] == [0] * len(after)
