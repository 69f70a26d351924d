"""Whether units fell on the variants as their split groups promise: the test for a sample ratio mismatch.

Of many experiments a few percent have one, nearly always for a reason in the code (a redirect that loses units, a bot,
a variant that crashes before its hit), and then no result can be trusted: so this is looked at before any result is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import erfc, exp, fsum, lgamma, log, sqrt
from typing import Final

ALARM_BELOW: Final = 0.001
"""A chart is looked at every day, and at a p-value of 0.05 it would cry wolf every few weeks."""

LEAST_EXPECTED: Final = 5.0
"""Below so many expected units in a variant the chi-squared distribution does not fit the statistic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evenness:
    """How units lie over variants.

    Attributes:
        expected: how many of the units each variant should have.
        chi_squared: Pearson's statistic; None where there is nothing to test.
        p_value: how often units that fall as promised lie at least as unevenly; None where there are too few units or
            fewer than two variants.
        strangers: units of variants that were promised nothing: no part of the test, and an alarm of their own.
    """

    expected: Mapping[str, float]
    chi_squared: float | None
    p_value: float | None
    strangers: int

    @property
    def is_alarming(self) -> bool:
        """Tell whether somebody should look at the code before they look at results."""
        return self.strangers > 0 or (self.p_value is not None and self.p_value < ALARM_BELOW)


def evenness(units: Mapping[str, int], promised: Mapping[str, float]) -> Evenness:
    """Hold the `units` that each variant has against what it was `promised`: split groups, or estimated users.

    Only the proportions of `promised` count. A variant that was promised nothing takes no part.
    """
    shares = {variant: share for variant, share in promised.items() if share > 0}
    counted = {variant: units.get(variant, 0) for variant in shares}
    strangers = sum(count for variant, count in units.items() if variant not in shares)
    total, whole = sum(counted.values()), fsum(shares.values())
    expected = {variant: total * share / whole for variant, share in shares.items()}
    freedom = len(shares) - 1
    if freedom < 1 or min(expected.values()) < LEAST_EXPECTED:
        return Evenness(expected=expected, chi_squared=None, p_value=None, strangers=strangers)
    chi_squared = fsum((counted[variant] - wanted) ** 2 / wanted for variant, wanted in expected.items())
    return Evenness(
        expected=expected,
        chi_squared=chi_squared,
        p_value=chi_squared_tail(chi_squared, freedom),
        strangers=strangers,
    )


def chi_squared_tail(value: float, freedom: int) -> float:
    """Return the probability that a chi-squared variable with `freedom` (1, 2 …) degrees is at least `value`.

    For a whole number of degrees it is a finite sum (Abramowitz and Stegun, 26.4.4 and 26.4.5), whose terms are taken
    by their logarithms: no statistic is too large for it.
    """
    half = value / 2
    if half <= 0:  # the half of the smallest number is none
        return 1.0
    if freedom % 2:
        terms = [erfc(sqrt(half))]
        powers = [step + 0.5 for step in range((freedom - 1) // 2)]
    else:
        terms = []
        powers = [float(step) for step in range(freedom // 2)]
    terms.extend(exp(power * log(half) - half - lgamma(power + 1)) for power in powers)
    return min(1.0, fsum(terms))
