"""Percents that follow each other: when one variant's share changes, the others' shares change with it.

The total stays as it is, as the settings page promises, until a variant asks for more than the total; then it becomes
the total. The others keep their proportions, in steps that decimal percents can express.
"""

from collections.abc import Sequence

from domain.percents import ALL_GROUPS

_STEP_GROUPS = 3
"""0.125 %: the least share that has an exact decimal percent."""


def rebalanced(groups: Sequence[int], *, changed: int, wanted: int) -> list[int]:
    """Return the split groups of all variants after the one at the index `changed` was given `wanted` of them.

    Args:
        groups: the split groups of each variant before the change.
        changed: the index of the variant that somebody is typing the share of.
        wanted: its new number of split groups; it is cut to 0 to 2400.
    """
    wanted = min(max(wanted, 0), ALL_GROUPS)
    total = max(sum(groups), wanted)
    others = [index for index in range(len(groups)) if index != changed]
    shares = _shared(total - wanted, [groups[index] for index in others])
    after = list(groups)
    after[changed] = wanted
    for index, share in zip(others, shares, strict=True):
        after[index] = share
    return after


def _shared(total: int, weights: Sequence[int]) -> list[int]:
    """Share `total` by weights in whole steps; what no step can express goes to the last one that has a weight."""
    if not weights:
        return []
    known = sum(weights)
    used = weights if known else [1] * len(weights)
    whole = sum(used)
    steps = total // _STEP_GROUPS
    shares = [steps * weight // whole for weight in used]
    by_loss = sorted(range(len(used)), key=lambda index: (-(steps * used[index] % whole), index))
    for index in by_loss[: steps - sum(shares)]:
        shares[index] += 1
    found = [share * _STEP_GROUPS for share in shares]
    found[max(index for index, weight in enumerate(used) if weight)] += total - steps * _STEP_GROUPS
    return found
