"""Ids of hits as rows of 16 bytes: which of them came before."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from warehouse.hit_ids import is_first

ODD = 0x9E37_79B9_7F4A_7C15
# Few values, so that ids come again; and pairs that the look at sums alone would take for one.
NUMBERS = st.sampled_from([0, 1, 2, 2**63, 2**64 - 1])
IDS = st.lists(
    st.one_of(
        st.tuples(NUMBERS, NUMBERS),
        NUMBERS.map(lambda number: (number, number * ODD % 2**64)),
        st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)),
    ),
    max_size=12,
)


@given(IDS)
def test_an_id_is_the_first_of_its_kind_or_it_came_before(ids: list[tuple[int, int]]) -> None:
    rows = np.array(ids, dtype=np.uint64).reshape(-1, 2).view(np.uint8)
    assert is_first(rows).tolist() == [one not in ids[:at] for at, one in enumerate(ids)]
