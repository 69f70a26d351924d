"""Counts of users by split group, on every database that can hold users: what asking the evaluator one by one gives."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audience.counts import SqlAudienceCounts
from domain.allocation.audience_counts import Audience, AudienceNotCountable
from events.facts import FilterUsed
from tests.support.audience_conditions import conditions, meets, users
from tests.support.audience_users import CATALOG, USERS, Place, users_place
from tests.support.postgres import PostgresServer
from usersplit.conditions import Conditions, parse

LAW = settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.data_too_large])


@pytest.fixture(scope="module", params=["duckdb", "postgresql", "clickhouse"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    if request.param != "postgresql":
        with users_place(request.param) as other:
            yield other
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.new_database() as url, users_place("postgresql", url) as postgres:
        yield postgres


def audience(asked: Conditions, key: str = "button") -> Audience:
    filters = tuple(FilterUsed(name=each.name, type=each.type, scope=each.scope) for each in asked.filters_used)
    return Audience(key=key, conditions=json.dumps(asked.document), filters=filters)


EVERYBODY = parse([], CATALOG)


@LAW
@given(drawn=users(), asked=conditions(), others=st.lists(conditions(), max_size=12))
def test_users_and_shared_users_are_counted_exactly(
    place: Place, drawn: list[dict[str, Any]], asked: Conditions, others: list[Conditions]
) -> None:
    place.fill(drawn)
    counts = SqlAudienceCounts(place.database, USERS)
    mine = [user for user in drawn if meets(asked, user)]
    shared = [Counter(user["split_group"] for user in mine if meets(each, user)) for each in others]
    assert counts.users(audience(asked)) == Counter(user["split_group"] for user in mine)
    assert counts.shared_users_of_all(audience(asked), [audience(each) for each in others]) == shared
    for each, expected in zip(others[:1], shared, strict=False):
        assert counts.shared_users(audience(asked), audience(each)) == expected


def test_more_attributes_than_one_number_can_code_are_counted_too(place: Place) -> None:
    drawn = [
        {
            "user_id": number,
            "split_group": 1 + number % 3,
            "whole": number,
            "small": -number,
            "ratio": number / 7,
            "name": f"n{number}",
            "build": f"1.{number}",
            "country": f"c{number}",
        }
        for number in range(200)
    ]
    place.fill(drawn)
    spelled: dict[str, Callable[[int], object]] = {
        "whole": int,
        "small": lambda number: -number,
        "ratio": lambda number: number / 7,
        "name": lambda number: f"n{number}",
        "build": lambda number: f"1.{number}",
        "country": lambda number: f"c{number}",
    }
    others = [
        parse(
            [{"filter": name, "operator": "in", "value": [spell(number) for number in range(first, 200, 9)]}], CATALOG
        )
        for name, spell in spelled.items()
        for first in range(9)
    ]
    single = [
        parse([{"filter": name, "operator": "eq", "value": spell(number)}], CATALOG)
        for name, spell in spelled.items()
        for number in range(0, 200, 2)
    ]
    counted = SqlAudienceCounts(place.database, USERS).shared_users_of_all(
        audience(EVERYBODY), [audience(each) for each in (*others, *single)]
    )
    expected = [
        Counter(user["split_group"] for user in drawn if each.matches(user, user)) for each in (*others, *single)
    ]
    assert counted == expected


@pytest.mark.parametrize("wrong", [None, 0, 2401, -1])
def test_users_without_a_split_group_are_counted_nowhere_and_said_so(place: Place, wrong: int | None) -> None:
    place.fill([{"user_id": 1, "split_group": 5}, {"user_id": 2, "split_group": wrong}])
    with pytest.raises(AudienceNotCountable, match="1 users have no split group"):
        SqlAudienceCounts(place.database, USERS).users(audience(EVERYBODY))


def test_a_filter_without_a_column_makes_a_test_uncountable_by_its_own_name(place: Place) -> None:
    place.fill([])
    unmapped = parse([{"filter": "unmapped", "operator": "eq", "value": 1}], CATALOG)
    counts = SqlAudienceCounts(place.database, USERS)
    with pytest.raises(AudienceNotCountable, match=r"users of other cannot.*unmapped"):
        counts.shared_users(audience(EVERYBODY), audience(unmapped, "other"))


def test_nobody_is_counted_in_an_empty_table(place: Place) -> None:
    place.fill([])
    counts = SqlAudienceCounts(place.database, USERS)
    assert counts.users(audience(EVERYBODY)) == {}
    assert counts.shared_users(audience(EVERYBODY), audience(EVERYBODY)) == {}
