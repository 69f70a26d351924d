"""Conditions as SQL, on every database that can hold users: the same answer as the SDK's evaluator, user by user."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import column, select

from audience.conditions_sql import predicate
from audience.errors import FilterWithoutColumn
from tests.support.audience_conditions import conditions, meets, users
from tests.support.audience_users import CATALOG, USERS, Place, users_place
from tests.support.postgres import PostgresServer
from usersplit.conditions import Conditions, parse
from warehouse.users import Statement

ASKED_AT_ONCE = 12
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


def who_meets(asked: Conditions) -> Statement:
    return select(column(USERS.id)).select_from(USERS.sql()).where(predicate(asked, USERS).met).order_by(USERS.id)


@LAW
@given(drawn=users(), asked=st.lists(conditions(), min_size=ASKED_AT_ONCE, max_size=ASKED_AT_ONCE))
def test_sql_and_the_evaluator_agree_on_every_user(
    place: Place, drawn: list[dict[str, Any]], asked: list[Conditions]
) -> None:
    place.fill(drawn)
    flags = [predicate(each, USERS).met.label(f"met_{index}") for index, each in enumerate(asked)]
    statement: Statement = select(column(USERS.id), *flags).select_from(USERS.sql())
    answers = {row[0]: [bool(met) for met in row[1:]] for row in place.database.rows(statement)}
    expected = {user["user_id"]: [meets(each, user) for each in asked] for user in drawn}
    assert answers == expected, [each.to_text() for each in asked]


@settings(LAW, max_examples=10)
@given(drawn=users(), asked=conditions())
def test_the_same_conditions_select_the_users_who_meet_them(
    place: Place, drawn: list[dict[str, Any]], asked: Conditions
) -> None:
    place.fill(drawn)
    expected = [user["user_id"] for user in drawn if meets(asked, user)]
    assert [row[0] for row in place.database.rows(who_meets(asked))] == expected


def test_as_many_values_as_conditions_may_hold_can_be_asked(place: Place) -> None:
    asked = parse([{"filter": "whole", "operator": "in", "value": list(range(100_000))}], CATALOG)
    place.fill([{"user_id": number, "whole": number * 50_000} for number in range(4)])
    assert [row[0] for row in place.database.rows(who_meets(asked))] == [0, 1]


@pytest.mark.parametrize("operator", ["in", "not_in"])
def test_the_two_zeros_are_one_number_in_a_list_too(place: Place, operator: str) -> None:
    place.fill([{"user_id": 1, "ratio": 0.0}, {"user_id": 2, "ratio": -0.0}])
    for zero in (0.0, -0.0):
        asked = parse([{"filter": "ratio", "operator": operator, "value": [zero]}], CATALOG)
        assert [row[0] for row in place.database.rows(who_meets(asked))] == ([1, 2] if operator == "in" else [])


def test_a_filter_of_the_visit_without_a_column_is_assumed_and_named() -> None:
    tree = [
        {"filter": "platform", "operator": "eq", "value": "web"},
        "AND",
        {"filter": "country", "operator": "eq", "value": "RU"},
    ]
    answer = predicate(parse(tree, CATALOG), USERS)
    assert answer.assumed == ("platform",)
    assert answer.is_upper_bound


@settings(LAW, max_examples=15)
@given(drawn=users(), asked=conditions(("platform", "flag", "country")), platform=st.sampled_from(["web", "ios", None]))
def test_what_is_assumed_makes_an_upper_bound(
    place: Place, drawn: list[dict[str, Any]], asked: Conditions, platform: str | None
) -> None:
    place.fill(drawn)
    counted = {row[0] for row in place.database.rows(who_meets(asked))}
    assert counted >= {user["user_id"] for user in drawn if meets(asked, user, platform=platform)}


def test_a_filter_of_the_profile_without_a_column_is_refused_by_name() -> None:
    with pytest.raises(FilterWithoutColumn, match="unmapped"):
        predicate(parse([{"filter": "unmapped", "operator": "eq", "value": 1}], CATALOG), USERS)
