"""Counts of users by split group, on every database that can hold users: what asking the evaluator one by one gives."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audience.coding import affordable, code
from audience.conditions_sql import assumed_filters
from audience.counts import SqlAudienceCounts
from domain.allocation.audience_counts import Audience, AudienceNotCountable, CountedUsers, SharedUsers
from events.facts import FilterUsed
from tests.support.audience_conditions import conditions, meets, users
from tests.support.audience_users import CATALOG, USERS, Place, users_place
from tests.support.postgres import PostgresServer
from usersplit.conditions import Catalog, Conditions, Filter, parse

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


def shared_of(counted: CountedUsers) -> list[Mapping[int, int]]:
    return [each.users for each in counted.shared]


EVERYBODY = parse([], CATALOG)
EPOCH = datetime(2026, 5, 1, tzinfo=UTC)


@LAW
@given(drawn=users(), asked=conditions(), others=st.lists(conditions(), max_size=12))
def test_users_and_shared_users_are_counted_exactly(
    place: Place, drawn: list[dict[str, Any]], asked: Conditions, others: list[Conditions]
) -> None:
    place.fill(drawn)
    counts = SqlAudienceCounts(place.database, USERS)
    mine = [user for user in drawn if meets(asked, user)]
    shared = [Counter(user["split_group"] for user in mine if meets(each, user)) for each in others]
    counted = counts.counted(audience(asked), [audience(each) for each in others])
    assert counted.users == Counter(user["split_group"] for user in mine)
    assert shared_of(counted) == shared
    assert counts.counted(audience(asked), ()).users == counted.users
    assert counted.assumed_filters == assumed_filters(asked, USERS)
    assert [each.is_upper_bound for each in counted.shared] == [
        bool(assumed_filters(asked, USERS) or assumed_filters(each, USERS)) for each in others
    ]


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
    counted = SqlAudienceCounts(place.database, USERS).counted(
        audience(EVERYBODY), [audience(each) for each in (*others, *single)]
    )
    expected = [
        Counter(user["split_group"] for user in drawn if each.matches(user, user)) for each in (*others, *single)
    ]
    assert shared_of(counted) == expected


@pytest.mark.parametrize("wrong", [None, 0, 2401, -1])
def test_users_without_a_split_group_are_counted_nowhere_and_said_so(place: Place, wrong: int | None) -> None:
    place.fill([{"user_id": 1, "split_group": 5}, {"user_id": 2, "split_group": wrong}])
    with pytest.raises(AudienceNotCountable, match="1 user has no split group"):
        SqlAudienceCounts(place.database, USERS).counted(audience(EVERYBODY), ())


def test_a_filter_without_a_column_makes_a_test_uncountable(place: Place) -> None:
    place.fill([])
    unmapped = parse([{"filter": "unmapped", "operator": "eq", "value": 1}], CATALOG)
    with pytest.raises(AudienceNotCountable, match=r"users of button cannot.*unmapped"):
        SqlAudienceCounts(place.database, USERS).counted(audience(unmapped), ())


def test_another_test_that_cannot_be_counted_is_taken_to_share_all_users(place: Place) -> None:
    place.fill([{"user_id": 1, "split_group": 5}])
    unmapped = parse([{"filter": "unmapped", "operator": "eq", "value": 1}], CATALOG)
    unreadable = Audience(key="old", conditions='[{"filter": "gone"}]', filters=())
    others = [audience(unmapped, "other"), audience(EVERYBODY, "everybody"), unreadable]
    counted = SqlAudienceCounts(place.database, USERS).counted(audience(EVERYBODY), others)
    assert counted.users == {5: 1}
    at_most = SharedUsers(users={5: 1}, is_upper_bound=True)
    assert counted.shared == [at_most, SharedUsers(users={5: 1}), at_most]


def test_a_column_that_does_not_fit_the_type_of_its_filter_is_refused_by_name(place: Place) -> None:
    place.fill([{"user_id": 1, "split_group": 5}])
    retyped = Filter("name", "boolean", "user")
    asked = parse([{"filter": "name", "operator": "eq", "value": True}], Catalog([retyped]))
    with pytest.raises(AudienceNotCountable, match=r"the column name has the type .* does not fit for the filter name"):
        SqlAudienceCounts(place.database, USERS).counted(audience(asked), ())


def test_nobody_is_counted_in_an_empty_table(place: Place) -> None:
    place.fill([])
    counts = SqlAudienceCounts(place.database, USERS)
    counted = counts.counted(audience(EVERYBODY), [audience(EVERYBODY)])
    assert (counted.users, counted.shared) == ({}, [SharedUsers(users={})])


def test_an_attribute_that_differs_for_every_user_costs_no_more_codes_than_conditions_have_thresholds(
    place: Place,
) -> None:
    drawn = [
        {
            "user_id": number,
            "split_group": 1 + number % 5,
            "whole": number,
            "seen_at": EPOCH + timedelta(seconds=number),
        }
        for number in range(500)
    ]
    place.fill(drawn)
    others = [
        parse([{"filter": "whole", "operator": "lt", "value": number}], CATALOG) for number in range(0, 500, 50)
    ] + [
        parse(
            [{"filter": "seen_at", "operator": "gte", "value": (EPOCH + timedelta(seconds=number)).isoformat()}],
            CATALOG,
        )
        for number in range(0, 500, 100)
    ]
    assert code(others, USERS).sizes == (11, 6), "a threshold more is an interval more, whatever users are like"
    counted = SqlAudienceCounts(place.database, USERS).counted(audience(EVERYBODY), [audience(each) for each in others])
    assert shared_of(counted) == [Counter(u["split_group"] for u in drawn if each.matches(u, u)) for each in others]


@pytest.mark.parametrize("around", [0, 50, -(2**63), 2**63 - 1], ids=str)
def test_whole_numbers_that_lie_close_together_are_told_from_each_other_and_from_those_far_away(
    place: Place, around: int
) -> None:
    near = [number for number in range(around - 9, around + 10) if -(2**63) <= number < 2**63]
    values = [*near, -(2**63), -1, 0, 2**63 - 1, None]
    drawn = [{"user_id": index, "split_group": 1 + index % 3, "whole": value} for index, value in enumerate(values)]
    place.fill(drawn)
    others = [
        *(parse([{"filter": "whole", "operator": "in", "value": near[first::4]}], CATALOG) for first in range(4)),
        *(
            parse([{"filter": "whole", "operator": operator, "value": value}], CATALOG)
            for operator in ("lt", "gte", "ne")
            for value in (near[2], near[-3])
        ),
    ]
    counted = SqlAudienceCounts(place.database, USERS).counted(audience(EVERYBODY), [audience(each) for each in others])
    assert shared_of(counted) == [Counter(u["split_group"] for u in drawn if each.matches(u, u)) for each in others]


def test_lists_that_are_long_in_many_tests_are_counted_in_one_pass(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audience.coding._MOST_POINTS", 40)
    drawn = [{"user_id": n, "split_group": 1 + n % 3, "whole": n * 77, "name": f"n{n}"} for n in range(60)]
    place.fill(drawn)
    others = [
        *(parse([{"filter": "whole", "operator": "in", "value": list(range(n, 2000, 3))}], CATALOG) for n in range(3)),
        parse([{"filter": "whole", "operator": "not_in", "value": list(range(0, 900, 2))}], CATALOG),
        parse([{"filter": "name", "operator": "in", "value": [f"n{n}" for n in range(0, 300, 2)]}], CATALOG),
        parse([{"filter": "whole", "operator": "gte", "value": 770}], CATALOG),
    ]
    assert affordable(others) == list(range(6))
    assert max(code(others, USERS).sizes) < 20, "a long list is one question"
    counted = SqlAudienceCounts(place.database, USERS).counted(audience(EVERYBODY), [audience(each) for each in others])
    assert shared_of(counted) == [Counter(u["split_group"] for u in drawn if each.matches(u, u)) for each in others]


def test_a_test_with_thousands_of_conditions_is_asked_alone_and_holds_up_nobody(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audience.coding._MOST_COST", 100)
    drawn = [{"user_id": n, "split_group": 1 + n % 3, "small": n, "name": f"n{n}"} for n in range(60)]
    place.fill(drawn)
    brackets: list[Any] = []
    for number in range(80):
        both = [
            {"filter": "name", "operator": "eq", "value": f"n{number}"},
            "AND",
            {"filter": "small", "operator": "lt", "value": 40 if number % 2 else number},
        ]
        brackets += [both] if not brackets else ["OR", both]
    long, short = parse(brackets, CATALOG), at_least_ten()
    assert affordable([long, short]) == [1]
    counted = SqlAudienceCounts(place.database, USERS).counted(audience(short), [audience(long), audience(EVERYBODY)])
    mine = [user for user in drawn if short.matches(user, user)]
    assert shared_of(counted) == [
        Counter(user["split_group"] for user in mine if each.matches(user, user)) for each in (long, EVERYBODY)
    ]


def at_least_ten() -> Conditions:
    return parse([{"filter": "small", "operator": "gte", "value": 10}], CATALOG)
