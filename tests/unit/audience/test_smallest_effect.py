import pytest

from audience.estimate import BaseRateWrong, smallest_effect


def test_the_smallest_effect_agrees_with_the_textbook() -> None:
    # 14,744 users an arm find 11 % against 10 % with power 80 % at level 5 % (Fleiss, Levin and Paik, no correction).
    assert smallest_effect(14_751, 14_751, base_rate=0.1) == pytest.approx(0.01, rel=0.01)


def test_more_users_find_smaller_effects() -> None:
    effects = [smallest_effect(size, size, base_rate=0.05) or 1 for size in (1_000, 10_000, 100_000)]
    assert effects == sorted(effects, reverse=True)
    # Ten times the users find an effect about 3.2 times smaller.
    assert effects[1] / effects[2] == pytest.approx(10**0.5, rel=0.1)


def test_the_smaller_of_two_arms_decides() -> None:
    small, large = smallest_effect(1_000, 1_000, base_rate=0.1), smallest_effect(1_000_000, 1_000, base_rate=0.1)
    assert small
    assert large
    assert small / 2 < large < small


def test_nobody_finds_nothing() -> None:
    assert smallest_effect(0, 100, base_rate=0.1) is None
    assert smallest_effect(2, 2, base_rate=0.9) is None


@pytest.mark.parametrize("rate", [0, 1, -0.1, 5, float("nan")])
def test_a_base_rate_is_a_share(rate: float) -> None:
    with pytest.raises(BaseRateWrong):
        smallest_effect(10, 10, base_rate=rate)
