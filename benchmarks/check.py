"""What a check costs: beside a floor that does nothing else, and beside the SDKs of five other platforms.

    .venv/bin/python -m benchmarks.check

**Checks.** 30 tests with conditions of the shape is_test_user OR (country in … AND is_new_user), 2,000 users. Before
anything is timed, every side has to give the right answer to each of the 60,000 questions. The tests own all split
groups, so that sides which hash answer alike; `check_tenth_ns` is what a check costs where they own a tenth. The floor
is a lambda, and a look into a table of split groups; for all tests at once, the same written out into one function. It
checks no types and no dates, and nothing can be wrong with it. Each side is timed by the processor time of the calling
thread, so that other work on the machine is not counted; sides take turns, and a ratio is the median of the ratios of
the rounds. Peers have no call for all tests of a user, or a slower one, so theirs is asking one by one.

"Ours" is the SDK as it is installed here: with usersplit-speedups, single checks are answered in C, which a service has
only if it installs that too. Figures that begin with `python_` are of the SDK alone, in the same run. Where
usersplit-speedups is not installed, a line says so, and both are of the SDK alone.

**Hits.** The same checks with a hit into the buffer and without, of units that get a variant.

**Loading and reloading** of the files that a service checks by: see `check_parts/config_reading.py`.
"""

import argparse
import functools
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.check_parts.config_reading import loading, reloading
from benchmarks.peers.flag_sdks import PEERS, Peer
from benchmarks.peers.same_tests import VARIANT, SameTest, config_document, profiles, right_answer, same_tests
from usersplit import (
    Checker,
    HitLogger,
    MemoryConfigs,
    MemoryHitTransport,
    User,
    speedups_version,
)
from usersplit._speedups import SWITCH

TESTS = 30
USERS = 2_000
SLOW_USERS = 200


class Floor:
    """A lambda a test, a table, and nothing else."""

    def __init__(self, tests: Sequence[SameTest]) -> None:
        table, names = bytes([1] * 2401), ("", VARIANT)
        self._tests: dict[str, Any] = {test.key: (self._lambda(test), table, names) for test in tests}
        source = ["def fused(user):", " a = user.attributes", " g = user.split_group", " found = {}"]
        source += [f" {name} = a[{attribute!r}]" for name, attribute in zip("tcn", ATTRIBUTES, strict=True)]
        for number, test in enumerate(tests):
            source.append(f" if t or (c in countries{number} and n): found[{test.key!r}] = names[table[g]]")
        namespace: dict[str, Any] = {"table": table, "names": names}
        namespace |= {f"countries{number}": frozenset(test.countries) for number, test in enumerate(tests)}
        exec("\n".join([*source, " return found"]), namespace)  # noqa: S102 - by hand it would be the same text
        self.fused: Callable[[User], dict[str, str]] = namespace["fused"]

    @staticmethod
    def _lambda(test: SameTest) -> Callable[[Any], bool]:
        countries = frozenset(test.countries)
        return lambda a: a["is_test_user"] or (a["country_id"] in countries and a["is_new_user"])

    def ask(self, key: str, user: User) -> str | None:
        """Answer one check."""
        meets, table, names = self._tests[key]
        return names[table[user.split_group]] if meets(user.attributes) else None


def in_python(documents: Sequence[dict[str, Any]]) -> MemoryConfigs:
    """Return configs whose checks are compiled into Python, whatever is installed."""
    before = os.environ.get(SWITCH)
    os.environ[SWITCH] = "off"
    try:
        return MemoryConfigs(documents)
    finally:
        del os.environ[SWITCH]
        if before is not None:
            os.environ[SWITCH] = before


ATTRIBUTES = ("is_test_user", "country_id", "is_new_user")


def nanoseconds(work: Callable[[], object], count: int) -> float:
    """Return the processor time of this thread per unit of work."""
    began = time.thread_time_ns()
    work()
    return (time.thread_time_ns() - began) / count


def medians(sides: dict[str, tuple[Callable[[], object], int]], rounds: int) -> dict[str, list[float]]:
    """Return what each side took in each round; the first round only warms up."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, (work, count) in sides.items():
            cost = nanoseconds(work, count)
            if number:
                taken[name].append(cost)
    return taken


def ratio(numerators: list[float], denominators: list[float]) -> float:
    """Return the median of the rounds' ratios."""
    return statistics.median(above / below for above, below in zip(numerators, denominators, strict=True))


def checks(rounds: int) -> dict[str, float]:
    """Time single and bulk checks of all sides."""
    tests, attributes = same_tests(TESTS), profiles(USERS)
    users = [User(id=number, split_group=number % 2400 + 1, attributes=each) for number, each in enumerate(attributes)]
    floor = Floor(tests)
    checker = Checker(MemoryConfigs([config_document(test) for test in tests]))
    python = Checker(in_python([config_document(test) for test in tests]))
    version = speedups_version()
    print(f"ours: with usersplit-speedups {version}" if version else "ours: without usersplit-speedups, in Python")
    peers = [make(tests, attributes) for make in PEERS]
    assert_same_answers(tests, attributes, users, floor, (checker, python), peers)
    keys = [test.key for test in tests]

    def ask_floor() -> None:
        ask = floor.ask
        for user in users:
            for key in keys:
                ask(key, user)

    tenth = {VARIANT: list(range(1, 241))}
    small = Checker(MemoryConfigs([config_document(test, variants=tenth) for test in tests]))

    def ask_ours(asked: Checker = checker) -> None:
        ask = asked.get_active_variant
        for user in users:
            for key in keys:
                ask(key, user, None, False)  # noqa: FBT003 - as services write it

    every, some = USERS * TESTS, range(SLOW_USERS)
    sides: dict[str, tuple[Callable[[], object], int]] = {
        "floor": (ask_floor, every),
        "ours": (ask_ours, every),
        "ours, in Python": (functools.partial(ask_ours, python), every),
        "ours, a tenth of the groups": (functools.partial(ask_ours, small), every),
        "floor, all": (functools.partial(ask_all, floor.fused, users), every),
        "ours, all": (functools.partial(ask_all, checker.active_variants, users), every),
        **{peer.name: (functools.partial(peer.ask_all, some), SLOW_USERS * TESTS) for peer in peers},
    }
    taken = medians(sides, rounds)
    for peer in peers:
        peer.close()
    return compared(taken, [peer.name for peer in peers])


def ask_all(ask: Callable[[User], object], users: Sequence[User]) -> None:
    """Ask for all tests of each user."""
    for user in users:
        ask(user)


def compared(taken: dict[str, list[float]], peers: Sequence[str]) -> dict[str, float]:
    """Print what each side took, and return the ratios."""
    for name, costs in taken.items():
        print(f"{name:<28} {statistics.median(costs):9.0f} ns a check")
    fastest = min(peers, key=lambda name: statistics.median(taken[name]))
    print(f"the fastest peer is {fastest}")
    return {
        "check_to_floor": ratio(taken["ours"], taken["floor"]),
        "check_vs_fastest_peer": ratio(taken[fastest], taken["ours"]),
        "check_vs_growthbook": ratio(taken["growthbook"], taken["ours"]),
        "python_check_to_floor": ratio(taken["ours, in Python"], taken["floor"]),
        "python_check_vs_fastest_peer": ratio(taken[fastest], taken["ours, in Python"]),
        "bulk_to_floor": ratio(taken["ours, all"], taken["floor, all"]),
        "bulk_vs_fastest_peer": ratio(taken[fastest], taken["ours, all"]),
        "check_ns": statistics.median(taken["ours"]),
        "python_check_ns": statistics.median(taken["ours, in Python"]),
        "check_tenth_ns": statistics.median(taken["ours, a tenth of the groups"]),
    }


def assert_same_answers(
    tests: Sequence[SameTest],
    attributes: Sequence[dict[str, Any]],
    users: Sequence[User],
    floor: Floor,
    checkers: Sequence[Checker],
    peers: Sequence[Peer],
) -> None:
    """Ask every side everything."""
    given = 0
    for number, (profile, user) in enumerate(zip(attributes, users, strict=True)):
        right = {test.key: right_answer(test, profile) for test in tests}
        active = {key: answer for key, answer in right.items() if answer}
        given += len(active)
        assert floor.fused(user) == active
        assert all(checker.active_variants(user) == active for checker in checkers)
        for key, answer in right.items():
            assert (floor.ask(key, user) or "") == answer
            assert all((checker.get_active_variant(key, user) or "") == answer for checker in checkers)
            for peer in peers:
                assert peer.answers(key, number) == answer, (peer.name, key, profile)
    print(f"all sides agree on {len(users) * len(tests):,} checks, of which {given:,} give a variant")


def hits(rounds: int, count: int = 20_000) -> dict[str, float]:
    """Time checks that give a variant, with a hit and without."""
    tests = same_tests(TESTS)
    users = [
        User(id=number, split_group=number % 2400 + 1, attributes={"is_test_user": True}) for number in range(count)
    ]
    with HitLogger(MemoryHitTransport(), app="bench", environment_name="devel", interval_seconds=3600) as logger:
        ask = Checker(MemoryConfigs([config_document(test) for test in tests]), logger).get_active_variant
        key = tests[0].key

        def with_hits() -> None:
            for user in users:
                ask(key, user)

        def without() -> None:
            for user in users:
                ask(key, user, None, False)  # noqa: FBT003 - as services write it

        extra = []
        for number in range(rounds + 1):
            cost = nanoseconds(with_hits, count) - nanoseconds(without, count)
            assert logger.stats().dropped["buffer_full"] == 0
            assert logger.flush(60)
            if number:
                extra.append(cost)
        assert logger.stats().delivered == count * (rounds + 1)
    return {"hit_extra_us": statistics.median(extra) / 1000}


def main() -> None:
    """Run the benchmark."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--rounds", type=int, default=7)
    given = options.parse_args()
    figures = {**checks(given.rounds), **hits(given.rounds), **loading(3), **reloading(given.rounds)}
    print(json.dumps({name: round(figure, 3) for name, figure in figures.items()}))


if __name__ == "__main__":
    main()
