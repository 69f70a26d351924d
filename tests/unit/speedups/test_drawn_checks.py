"""The check in C by itself: what it answers and refuses, and that foreign code in the midst of it breaks nothing."""

import copy
import gc
import pickle
import sys
import threading
import types
from collections.abc import Callable
from typing import Any, cast

import pytest

from tests.support.check_forms import require_speedups
from tests.support.drawn_checks import COUNTRY, new_check, unexpected, user, with_a_key
from usersplit import Environment, Guest, User

REPEATS = 1_000


@pytest.fixture(autouse=True)
def _speedups() -> None:
    require_speedups()


@pytest.mark.parametrize(
    ("attributes", "answer"),
    [({"country_id": 50}, "red"), ({"country_id": 1}, None), ({"country_id": None}, None), ({}, None)],
)
def test_what_is_plain_is_answered_without_the_python_check(attributes: Any, answer: str | None) -> None:
    check = new_check(otherwise=unexpected)
    for environment in (None, Environment()):
        assert check(user(attributes), environment) == answer
        assert check(User(id=1, split_group=2), environment) is None
        assert check(Guest(split_group=2), environment) is None


@pytest.mark.parametrize("steps", [(), ((True, "string", "eq", "city", "Omsk", -1, -2),)], ids=["none", "of the visit"])
def test_without_conditions_on_it_a_profile_may_be_anything(steps: tuple[object, ...]) -> None:
    check, visit = new_check(otherwise=unexpected, steps=steps), Environment(attributes={"city": "Omsk"})
    visit.filter_values()
    profiles: list[Any] = [{}, None, "no profile"]
    assert [check(user(attributes), visit) for attributes in profiles] == ["red"] * 3


@pytest.mark.parametrize("groups_first", [True, False])
def test_where_few_groups_have_a_variant_the_profile_of_others_is_not_looked_at(groups_first: bool) -> None:  # noqa: FBT001 - a parameter
    asked: list[object] = []

    def otherwise(unit: object, _environment: object) -> None:
        asked.append(unit)

    check = new_check(otherwise=otherwise, groups_first=groups_first, variant_by_group=bytes([0, 0, 1, *[0] * 2398]))
    strange, of_the_test = user("no profile", 1), user("no profile", 2)
    assert (check(strange, None), check(of_the_test, None)) == (None, None)
    assert asked == ([of_the_test] if groups_first else [strange, of_the_test])


@pytest.mark.parametrize(
    "change",
    [
        {"steps": [COUNTRY]},
        {"steps": (list(COUNTRY),)},
        {"steps": (COUNTRY[:-1],)},
        {"steps": ((False, "version", "eq", "app", (1, 2), -1, -2),)},
        {"steps": ((False, "integer", "like", "a", 1, -1, -2),)},
        {"steps": ((False, "boolean", "lt", "a", True, -1, -2),)},
        {"steps": ((False, "boolean", "in", "a", frozenset({True}), -1, -2),)},
        {"steps": ((False, "boolean", "eq", "a", 1, -1, -2),)},
        {"steps": ((False, "integer", "eq", "a", True, -1, -2),)},
        {"steps": ((False, "number", "eq", "a", 1, -1, -2),)},
        {"steps": ((False, "string", "eq", "a", b"a", -1, -2),)},
        {"steps": ((False, "integer", "in", "a", {1}, -1, -2),)},
        {"steps": ((False, "integer", "in", "a", frozenset({1, "1"}), -1, -2),)},
        {"steps": ((False, "integer", "eq", 1, 1, -1, -2),)},
        {"steps": ((False, "integer", "eq", type("Name", (str,), {})("a"), 1, -1, -2),)},
        {"steps": ((False, "integer", "eq", "a", 1, 0, -2),)},
        {"steps": ((False, "integer", "eq", "a", 1, -1, 1),)},
        {"steps": ((False, "integer", "eq", "a", 1, -3, -2),)},
        {"steps": ((False, "integer", "eq", "a", 1, -1, -3),)},
        {"steps": ((False, "integer", "eq", "a", 1, -1, 0),)},
        {"steps": ((False, "integer", "eq", "a", 1, 2**40, -2),)},
        {"variants": ("", "control")},
        {"variants": ["", "control", "red"]},
        {"variant_by_group": bytes(2400)},
        {"variant_by_group": [0] * 2401},
        {"now": None, "unknown": 1},
    ],
)
def test_what_it_cannot_answer_from_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError, OverflowError)):
        new_check(**change)


def test_it_is_asked_with_a_unit_and_an_environment() -> None:
    check: Callable[..., str | None] = new_check()
    for arguments in ((), (user({}),), (user({}), None, None)):
        with pytest.raises(TypeError):
            check(*arguments)
    with pytest.raises(TypeError):
        check(unit=user({}), environment=None)


def test_it_can_be_neither_changed_nor_copied_nor_inherited_from() -> None:
    drawn: Any = new_check().__self__  # type: ignore[attr-defined] # a method of an object in C has it
    with pytest.raises(AttributeError):
        drawn.now = None
    with pytest.raises(TypeError):
        type(drawn).answer = None
    with pytest.raises(TypeError):
        types.new_class("Other", (type(drawn),))
    for copied in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            copied(drawn)
    with pytest.raises(TypeError):
        type(drawn)()


def test_what_a_key_raises_is_raised() -> None:
    def fail() -> None:
        raise RuntimeError("compared")

    with pytest.raises(RuntimeError, match="compared"):
        new_check(otherwise=unexpected)(user(with_a_key(fail)), None)


CHANGES: dict[str, Callable[[User], object]] = {
    "clear": lambda unit: cast("dict[str, object]", unit.attributes).clear(),
    "grow": lambda unit: cast("dict[str, object]", unit.attributes).update((f"x_{n}", n) for n in range(100)),
    "replace": lambda unit: cast("dict[str, object]", unit.attributes).update(country_id=1),
    "throw away": lambda unit: object.__setattr__(unit, "attributes", {}),
}


@pytest.mark.parametrize(
    ("change", "answer"), [("clear", None), ("grow", "red"), ("replace", None), ("throw away", "red")]
)
def test_a_key_may_change_and_throw_away_the_profile_while_it_is_read(change: str, answer: str | None) -> None:
    check = new_check(otherwise=unexpected)
    units: list[User] = []

    def act() -> None:
        CHANGES[change](units[-1])
        gc.collect(0)

    for _ in range(REPEATS // 10):
        units.append(user(with_a_key(act)))
        assert check(units[-1], None) == answer


def test_the_clock_may_throw_away_what_is_asked_about() -> None:
    def now() -> int:
        object.__setattr__(unit, "attributes", {})
        object.__setattr__(unit, "split_group", 0)
        gc.collect(0)
        return 5

    check = new_check(otherwise=unexpected, starts_at=5, ends_at=6, now=now)
    for _ in range(REPEATS // 10):
        unit = user({"country_id": 50, "name": "x" * 100})
        assert check(unit, None) == "red"


def test_what_the_clock_raises_is_raised_and_only_by_who_would_get_a_variant() -> None:
    def now() -> int:
        raise RuntimeError("no time")

    check = new_check(otherwise=unexpected, starts_at=5, ends_at=6, now=now)
    assert check(user({"country_id": 1}), None) is None
    with pytest.raises(RuntimeError, match="no time"):
        check(user({"country_id": 50}), None)


def test_threads_may_change_a_profile_while_it_is_asked() -> None:
    check = new_check(otherwise=unexpected)
    profile: dict[str, object] = {}
    unit, done = user(profile), threading.Event()
    answers: set[str | None] = set()

    def change() -> None:
        while not done.is_set():
            profile["country_id"] = 50
            profile.update((f"other_{number}", number) for number in range(50))
            profile.clear()

    thread = threading.Thread(target=change)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    thread.start()
    try:
        while len(answers) < 2:
            answers.update(check(unit, None) for _ in range(REPEATS))
    finally:
        done.set()
        thread.join()
        sys.setswitchinterval(interval)
    assert answers == {None, "red"}
