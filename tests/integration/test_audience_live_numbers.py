"""Live numbers against counts made from scratch, while conditions are being edited."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audience.counts import count
from audience.errors import TooManyConditions
from audience.live import LiveNumbers
from tests.support.audience_conditions import conditions, meets, users
from tests.support.audience_users import CATALOG, USERS, Place, users_place
from tests.support.postgres import PostgresServer
from usersplit.conditions import Conditions, parse

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
LAW = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.data_too_large])


@pytest.fixture(scope="module", params=["duckdb", "postgresql", "clickhouse"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    if request.param != "postgresql":
        with users_place(request.param) as other:
            yield other
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.new_database() as url, users_place("postgresql", url) as postgres:
        yield postgres


@LAW
@given(drawn=users(), watched=st.lists(conditions(), max_size=5), edits=st.lists(conditions(), min_size=1, max_size=4))
def test_every_edit_is_answered_exactly(
    place: Place, drawn: list[dict[str, Any]], watched: list[Conditions], edits: list[Conditions]
) -> None:
    place.fill(drawn)
    live = LiveNumbers(place.database, USERS, now=lambda: NOON)
    live.watch({f"test_{index}": each for index, each in enumerate(watched)})
    live.refresh()
    for edited in edits:
        numbers = live.numbers(edited)
        mine = [user for user in drawn if meets(edited, user)]
        assert numbers.users == len(mine)
        assert list(numbers.shared.values()) == [sum(meets(each, user) for user in mine) for each in watched]
        assert numbers.as_of == NOON


class CountingPlace:
    """Counts the tables that are asked for, which is what costs."""

    def __init__(self, place: Place) -> None:
        self.asked = 0
        self._place = place

    def __getattr__(self, name: str) -> Any:
        if name == "table":
            self.asked += 1
        return getattr(self._place.database, name)


def edited(document: list[Any]) -> Conditions:
    return parse(document, CATALOG)


def at_least(value: object, name: str = "small") -> Conditions:
    return edited([{"filter": name, "operator": "gte", "value": value}])


def test_only_an_attribute_or_a_moment_that_is_new_is_counted_anew(place: Place) -> None:
    place.fill([{"user_id": n, "split_group": 1, "small": n, "seen_at": NOON.replace(day=1 + n)} for n in range(20)])
    database = CountingPlace(place)
    live = LiveNumbers(database, USERS, now=lambda: NOON)
    assert live.numbers(at_least(5)).users == 15
    assert database.asked == 1
    # Any other value of an attribute with few values is answered from what is kept, even one that nobody has.
    assert [live.numbers(at_least(value)).users for value in (0, 19, 20, -3, 7)] == [20, 1, 0, 20, 13]
    assert database.asked == 1
    assert live.numbers(at_least("2026-05-11T12:00:00Z", "seen_at")).users == 10
    assert database.asked == 2
    assert live.numbers(at_least("2026-05-11T12:00:00Z", "seen_at")).users == 10
    assert live.numbers(at_least(5)).users == 15
    assert database.asked == 2
    assert live.numbers(at_least("2026-05-16", "seen_at")).users == 5
    assert database.asked == 3


def test_more_people_than_are_remembered_ask_something_new_at_once_and_all_are_answered(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audience.live._EDITS_REMEMBERED", 2)
    place.fill([{"user_id": n, "split_group": 1, "seen_at": NOON.replace(day=1 + n)} for n in range(8)])
    live = LiveNumbers(place.database, USERS, now=lambda: NOON)
    asked = {n: at_least(NOON.replace(day=1 + n).isoformat(), "seen_at") for n in range(8)}
    with ThreadPoolExecutor(len(asked)) as people:
        found = people.map(lambda number: (number, live.numbers(asked[number]).users), asked)
        assert dict(found) == {number: 8 - number for number in asked}


def test_numbers_are_those_of_their_moment_until_the_next_refresh(place: Place) -> None:
    moments = iter([NOON, NOON.replace(hour=13)])
    place.fill([{"user_id": 1, "split_group": 1, "small": 5}])
    live = LiveNumbers(place.database, USERS, now=lambda: next(moments))
    assert (live.numbers(at_least(5)).users, live.numbers(at_least(5)).as_of) == (1, NOON)
    place.fill([{"user_id": n, "split_group": 1, "small": 5} for n in range(3)])
    assert live.numbers(at_least(5)).users == 1
    live.refresh()
    assert (live.numbers(at_least(5)).users, live.numbers(at_least(5)).as_of) == (3, NOON.replace(hour=13))


def test_many_kinds_of_users_are_summed_group_by_group(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = [{"user_id": n, "split_group": 1 + n % 7, "small": n % 50, "whole": n * n % 91} for n in range(2000)]
    others = [at_least(value) for value in range(1, 50, 4)] + [at_least(value, "whole") for value in range(1, 91, 9)]
    place.fill(drawn)
    small = count(place.database, USERS, edited([]), others)
    monkeypatch.setattr("audience.counts._FEW_KINDS", 1)
    monkeypatch.setattr("audience.counts._LANE_ROWS_AT_ONCE", 17)
    large = count(place.database, USERS, edited([]), others)
    assert [each.tolist() for each in large.shared] == [each.tolist() for each in small.shared]
    expected = [sum(each.matches(user, {}) for user in drawn) for each in others]
    assert [int(each.sum()) for each in small.shared] == expected


def test_more_conditions_than_can_be_counted_at_once_are_refused_and_others_answered(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audience.coding._MOST_COST", 25)
    place.fill([{"user_id": n, "split_group": 1, "small": n} for n in range(20)])
    long: list[Any] = [{"filter": "small", "operator": "gte", "value": 0}]
    for number in range(1, 30):
        long += ["AND", {"filter": "small", "operator": "gte", "value": -number}]
    live = LiveNumbers(place.database, USERS, now=lambda: NOON)
    live.watch({"long": edited(long), "short": at_least(10)})
    with pytest.raises(TooManyConditions, match="use lists of values"):
        live.numbers(edited(long))
    assert live.numbers(at_least(5)).shared == {"short": 10}
