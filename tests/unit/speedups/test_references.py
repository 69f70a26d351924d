"""The check in C holds what it needs, and gives back what it does not need any more."""

import contextlib
import gc
import sys
import tracemalloc
import weakref
from typing import Any, cast

import pytest

from tests.support.check_forms import require_speedups
from tests.support.drawn_checks import COUNTRY, Check, new_check, nothing, user, with_a_key
from usersplit import Environment, Guest, User

REPEATS = 1_000


@pytest.fixture(autouse=True)
def _speedups() -> None:
    require_speedups()


class Unset(User):
    """Never asked: its class is not User's own."""


def ways_through() -> list[tuple[object, object]]:
    """Return units and environments that leave a check at each of its ends."""

    def fail() -> None:
        raise RuntimeError

    visit = Environment(attributes={"city": "Omsk"})
    visit.filter_values()
    profiles: list[Any] = [{}, [], None, with_a_key(fail)]
    return [
        *((user({"country_id": value}), visit) for value in (50, 1, 2**70, 50.0, "50", None)),
        *((user({"country_id": 50}, group), None) for group in (1, 2, 0, int("2399"), int("2401"), 2**70, "2", None)),
        *((user(attributes), None) for attributes in profiles),
        *((unit, None) for unit in (Guest(split_group=2), Unset(id=1, split_group=2), User.__new__(User), None)),
        *((user({"country_id": 50}), each) for each in (None, "web", Environment(), Environment(country="RU"))),
    ]


def test_no_reference_is_lost_or_kept() -> None:
    members = frozenset({50, 51})
    city = (True, "string", "ne", "city", "Paris", -1, 0)
    steps = ((False, "integer", "in", "country_id", members, -1, -2), city)
    names, dates, moment = ("", "control " * 2, "red " * 2), (2**70, 2**71), int("2" * 22)

    def now() -> int:
        return moment

    arguments = {"steps": steps, "variants": names, "starts_at": dates[0], "ends_at": dates[1], "now": now}
    checks = [new_check(**arguments, groups_first=groups_first) for groups_first in (False, True)]
    ways = ways_through()
    watched: list[Any] = [type(cast("Any", checks[0]).__self__), User, Guest, Environment, Guest.attributes]
    watched += map(sys.intern, ("attributes", "split_group", "_filter_values", "country_id", "city"))
    watched += [members, *steps, steps, *names, names, *dates, moment, now, nothing]
    for unit, environment in ways:
        watched += [unit, environment, getattr(unit, "attributes", None), getattr(environment, "_filter_values", None)]
        group = getattr(unit, "split_group", None)
        watched += [group] if type(group) is int and group > 256 else []  # the interpreter's own are everywhere
    watched = [each for each in watched if each is not None]

    def ask(times: int) -> None:
        for check in checks:
            for unit, environment in ways:
                for _ in range(times):
                    with contextlib.suppress(AttributeError, RuntimeError):
                        check(unit, environment)
            new_check(**arguments)
            with pytest.raises(ValueError, match="is not known"):
                new_check(**{**arguments, "steps": (*steps, (False, "time", "eq", "born", 1, -1, -2))})

    ask(1)
    before = list(map(sys.getrefcount, watched))
    ask(REPEATS)
    assert [after - count for after, count in zip(map(sys.getrefcount, watched), before, strict=True)] == (
        [0] * len(before)
    )


def test_memory_is_given_back() -> None:
    def make() -> None:
        for _ in range(REPEATS):
            new_check()(user({"country_id": 50}), None)
            with contextlib.suppress(ValueError):
                new_check(steps=(COUNTRY, (False, "time", "eq", "born", 1, -1, -2)))

    make()
    gc.collect()
    tracemalloc.start()
    try:
        make()
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        make()
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < REPEATS  # less than a byte a check


def test_a_cycle_through_its_clock_is_collected() -> None:
    class Clock:
        def __init__(self) -> None:
            self.check: Check | None = None

        def __call__(self) -> int:
            return 0

    clock = Clock()
    clock.check = new_check(now=clock)
    gone = weakref.ref(clock)
    del clock
    gc.collect()
    assert gone() is None
