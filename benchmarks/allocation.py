"""How evenly the balanced draw deals every overlapping test over our arms, and how long it takes.

    PYTHONPATH=. python benchmarks/allocation.py [--seeds 15]

The overlapping tests are a company's: two to four variants each, of unequal sizes, which take 5 % to 100 % of the split
groups together, in steps of 5 %, drawn independently. Each seed draws the overlapping tests anew, and our test beside
them: two arms of equal percents, 10 % or 50 % of the groups in total. The figure is the largest difference between the
arms in the share that any variant of any overlapping test has in them, in points of percent: `random` is the plain
draw (free groups first, dealt at random), `worst` the balanced one; the keys are medians over the seeds, and
`…_highest` the worst seed. The share is counted here from the split groups, not asked of the search.

`counted_worst_points_10` is the same where users are counted: 300 to 700 users a group, of whom each overlapping test
shares 5 % to 95 %; the share is then of users. `single_worst_groups` is the difference in groups for one overlapping
50/50 test, where ours takes 2 %. `seconds` is the slowest of the draws beside 100 overlapping tests: our test with two
arms and with four, 10 %, 50 % and 100 % of the groups, users counted or not. The last line of stdout is a JSON object.
"""

import argparse
import json
import random
import statistics
import time
from collections.abc import Sequence

from domain.allocation import balanced, free_first
from domain.allocation.request import Allocation, AllocationRequest, OverlappingTest
from domain.percents import ALL_GROUPS
from events.facts import PreparedVariant, ProposedVariant

EVERY_GROUP = range(1, ALL_GROUPS + 1)


def overlapping_test(draw: random.Random, number: int, users: dict[int, int] | None) -> OverlappingTest:
    """Return a test of two to four variants of unequal sizes."""
    count = draw.choice([2, 3, 4])
    total = draw.choice(range(120, ALL_GROUPS + 1, 120))
    parts = [draw.uniform(1, 4) for _ in range(count)]
    sizes = [max(1, int(total * part / sum(parts))) for part in parts]
    groups = draw.sample(EVERY_GROUP, sum(sizes))
    variants = []
    for index, size in enumerate(sizes):
        first = sum(sizes[:index])
        variants.append(
            PreparedVariant(name=f"variant_{index}", split_groups=tuple(sorted(groups[first : first + size])))
        )
    share = draw.uniform(0.05, 0.95)
    shared = None if users is None else {group: int(count * share) for group, count in users.items()}
    return OverlappingTest(
        key=f"test_{number}", type="web", settings_group=1, variants=tuple(variants), shared_users=shared
    )


def request(seed: int, *, tests: int, arms: int, groups: int, counted: bool = False) -> AllocationRequest:
    """Return a request of ours beside random overlapping tests."""
    draw = random.Random(seed)
    users = {group: draw.randint(300, 700) for group in EVERY_GROUP} if counted else None
    return AllocationRequest(
        seed=draw.getrandbits(63),
        type="web",
        variants=tuple(ProposedVariant(name=f"arm_{arm}", groups=groups // arms) for arm in range(arms)),
        overlapping=tuple(overlapping_test(draw, number, users) for number in range(tests)),
        users=users,
    )


def largest_difference(asked: AllocationRequest, allocation: Allocation) -> float:
    """Return the largest difference between two arms in the share of any overlapping variant, in points of percent."""
    largest = 0.0
    for test in asked.overlapping:
        for variant in test.variants:
            theirs = set(variant.split_groups)
            shares = []
            for arm in allocation.variants:
                common = theirs.intersection(arm.split_groups)
                if asked.users is None or test.shared_users is None:
                    shares.append(len(common) / len(arm.split_groups))
                else:
                    ours = sum(asked.users[group] for group in arm.split_groups)
                    shares.append(sum(test.shared_users[group] for group in common) / ours)
            largest = max(largest, 100 * (max(shares) - min(shares)))
    return largest


def quality(seeds: Sequence[int], *, groups: int, counted: bool = False) -> dict[str, float]:
    """Return the largest differences of the plain and of the balanced draw: medians, and the worst of all seeds."""
    plain, even = [], []
    for seed in seeds:
        asked = request(seed, tests=30, arms=2, groups=groups, counted=counted)
        plain.append(largest_difference(asked, free_first.allocate(asked)))
        even.append(largest_difference(asked, balanced.allocate(asked)))
    return {
        "random": statistics.median(plain),
        "random_highest": max(plain),
        "worst": statistics.median(even),
        "worst_highest": max(even),
    }


def single(seed: int) -> int:
    """Return by how many groups two arms of 1 % differ in a variant of the one 50/50 test beside them."""
    draw = random.Random(seed)
    halves = draw.sample(EVERY_GROUP, ALL_GROUPS)
    sides = tuple(
        PreparedVariant(name=name, split_groups=tuple(sorted(groups)))
        for name, groups in (("left", halves[:1200]), ("right", halves[1200:]))
    )
    other = OverlappingTest(key="other", type="web", settings_group=1, variants=sides)
    arms = tuple(ProposedVariant(name=name, groups=24) for name in ("control", "red"))
    drawn = balanced.allocate(
        AllocationRequest(seed=draw.getrandbits(63), type="web", variants=arms, overlapping=(other,))
    )
    control, red = (set(variant.split_groups) for variant in drawn.variants)
    return max(abs(len(control & side) - len(red & side)) for side in ({*halves[:1200]}, {*halves[1200:]}))


def slowest() -> dict[str, float]:
    """Return the seconds of each draw beside 100 overlapping tests."""
    seconds = {}
    for counted in (False, True):
        for arms in (2, 4):
            for groups in (240, 1200, 2400):
                asked = request(1, tests=100, arms=arms, groups=groups, counted=counted)
                begun = time.perf_counter()
                balanced.allocate(asked)
                name = f"{groups * 100 // ALL_GROUPS} %, {arms} arms, {'users' if counted else 'groups'}"
                seconds[name] = time.perf_counter() - begun
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure the balanced draw of split groups.")
    parser.add_argument("--seeds", type=int, default=15, help="how many companies are drawn for every figure")
    seeds = range(parser.parse_args().seeds)
    figures: dict[str, float] = {}
    for label, groups, counted in (("10", 240, False), ("50", 1200, False), ("counted_10", 240, True)):
        found = quality(seeds, groups=groups, counted=counted)
        kind = "users" if counted else "groups"
        print(
            f"30 overlapping tests, two arms, {groups * 100 // ALL_GROUPS:3} % of the groups, shares of {kind}: "
            f"largest difference {found['worst']:.2f} points (worst seed {found['worst_highest']:.2f}), "
            f"at random {found['random']:.2f} (worst seed {found['random_highest']:.2f})"
        )
        for name, value in found.items():
            kind_of_draw, _, highest = name.partition("_")
            prefix, share = ("counted_", "10") if counted else ("", label)
            figures[f"{prefix}{kind_of_draw}_points_{share}{'_' + highest if highest else ''}"] = round(value, 3)
    figures["single_worst_groups"] = max(single(seed) for seed in seeds)
    print(f"one overlapping 50/50 test, two arms, 2 %: largest difference {figures['single_worst_groups']} groups")
    seconds = slowest()
    for name, value in seconds.items():
        print(f"100 overlapping tests, {name}: {value:.2f} s")
    figures["seconds"] = round(max(seconds.values()), 3)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
