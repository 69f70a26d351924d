import numpy as np

from warehouse.split_group_backfill import draw_split_groups


def test_every_split_group_is_equally_likely() -> None:
    draws = 2_400_000
    counts = np.bincount(draw_split_groups(draws, np.random.default_rng(3).bytes), minlength=2401)
    assert counts[0] == 0
    assert len(counts) == 2401
    expected = draws / 2400
    chi_square = float(((counts[1:] - expected) ** 2 / expected).sum())
    # 2399 degrees of freedom: mean 2399, standard deviation 69; five of those to either side.
    assert 2399 - 5 * 69.3 < chi_square < 2399 + 5 * 69.3


def test_bits_that_would_favour_low_groups_are_thrown_away() -> None:
    # 65,536 is no multiple of 2400: the words from 64,800 on would be 736 groups drawn once more often.
    words = np.arange(65_536, dtype=np.uint16).tobytes()
    drawn = draw_split_groups(64_800, lambda count: (words * (count // len(words) + 1))[:count])
    assert set(np.bincount(drawn, minlength=2401)[1:].tolist()) == {27}


def test_no_draw_is_no_split_group() -> None:
    assert len(draw_split_groups(0)) == 0
