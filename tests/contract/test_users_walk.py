"""Walks over users, on every database that can hold them: whom the evaluator lets in, once each, and resumable."""

import tracemalloc
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audience.errors import FilterWithoutColumn, IdentifierWrong, UsersTableWrong
from audience.iterator import UserId
from audience.users_table import MappedColumn, UsersTable
from consumers.users_walk import Circle, UsersWalk
from tests.support.audience_conditions import conditions, meets, users
from tests.support.audience_users import CATALOG, USERS, Place, users_place
from tests.support.postgres import PostgresServer
from usersplit.conditions import Catalog, Conditions, Filter, parse

LAW = settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.data_too_large])
EVERYBODY: Final = Circle(conditions=parse([], CATALOG))
BY_NAME: Final = UsersTable(
    name="users", id="name", split_group="split_group", columns={"small": MappedColumn(text="small")}
)


@pytest.fixture(scope="module", params=["duckdb", "postgresql", "clickhouse"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    if request.param != "postgresql":
        with users_place(request.param) as other:
            yield other
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.new_database() as url, users_place("postgresql", url) as postgres:
        yield postgres


def walked(walk: UsersWalk, **options: Any) -> list[UserId]:
    return [user for batch in walk.batches(**options) for user in batch]


@LAW
@given(drawn=users(), asked=conditions(), batch=st.integers(1, 30), stop=st.integers(0, 25))
def test_everybody_whom_the_evaluator_lets_in_is_walked_once_in_order_and_from_wherever_it_stopped(
    place: Place, drawn: list[dict[str, Any]], asked: Conditions, batch: int, stop: int
) -> None:
    place.fill(drawn)
    groups = (1, 3)
    for split_groups in (None, groups, ()):
        walk = UsersWalk(place.database, USERS, Circle(conditions=asked, split_groups=split_groups))
        expected = [
            user["user_id"]
            for user in drawn
            if meets(asked, user) and (split_groups is None or user["split_group"] in split_groups)
        ]
        batches = list(walk.batches(batch_users=batch))
        assert [user for each in batches for user in each] == expected
        assert all(len(each) == batch for each in batches[:-1])
        rest = [user for user in expected if user > stop]
        assert walked(walk, after=stop, batch_users=batch) == rest
        assert (walk.how_many(), walk.how_many(after=stop)) == (len(expected), len(rest))


def test_identifiers_that_are_texts_ascend_byte_by_byte(place: Place) -> None:
    names: Sequence[str] = ["a", "B", "b", "A", "ä", "z", "Z", "_", "10", "9", "é", "e\u0301", "🙂", "a b", "a'b", "%"]
    named = [{"user_id": n, "split_group": 1, "name": name, "small": n} for n, name in enumerate([*names, None, None])]
    place.fill(named)
    walk = UsersWalk(place.database, BY_NAME, EVERYBODY)
    expected = sorted(names, key=str.encode)
    assert walk.how_many() == len(expected), "who has no identifier cannot be walked"
    assert walked(walk, batch_users=3) == expected
    for last, following in pairwise(expected):
        assert walked(walk, after=last)[0] == following


def test_who_comes_and_goes_while_a_walk_is_under_way_is_met_once_at_most(place: Place) -> None:
    place.fill([{"user_id": n, "split_group": 1} for n in range(0, 20, 2)])
    batches = UsersWalk(place.database, USERS, EVERYBODY).batches(batch_users=5)
    assert list(next(batches)) == [0, 2, 4, 6, 8]
    place.fill([{"user_id": n, "split_group": 1} for n in (0, 1, 2, 11, 12)])
    assert [user for batch in batches for user in batch] == [11, 12]


def test_an_identifier_that_is_no_number_is_refused_where_users_are_numbered(place: Place) -> None:
    place.fill([{"user_id": 1, "split_group": 1}])
    walk = UsersWalk(place.database, USERS, EVERYBODY)
    assert walked(walk, after="0") == [1]
    with pytest.raises(IdentifierWrong, match="'anna' is no identifier"):
        walked(walk, after="anna")


def test_what_nobody_can_ask_is_refused_before_the_first_user(place: Place) -> None:
    place.fill([])
    unmapped = Circle(conditions=parse([{"filter": "unmapped", "operator": "eq", "value": 1}], CATALOG))
    with pytest.raises(FilterWithoutColumn, match="unmapped"):
        UsersWalk(place.database, USERS, unmapped)
    retyped = Catalog([Filter("name", "boolean", "user")])
    wrong = Circle(conditions=parse([{"filter": "name", "operator": "eq", "value": True}], retyped))
    with pytest.raises(UsersTableWrong, match="the column name has the type"):
        UsersWalk(place.database, USERS, wrong)


def test_a_walk_takes_the_memory_of_a_batch_however_many_users_there_are() -> None:
    with users_place("duckdb") as place:
        peaks = [_peak(place, users=number) for number in (5_000, 60_000)]
    assert peaks[1] < 1.5 * peaks[0]


def _peak(place: Place, *, users: int) -> int:
    place.fill([])
    place.connection.execute(  # type: ignore[attr-defined] # of DuckDB
        "INSERT INTO users (user_id, split_group) SELECT n, 1 FROM range(?) AS made(n)", [users]
    )
    walk = UsersWalk(place.database, USERS, EVERYBODY)
    tracemalloc.start()
    try:
        assert sum(len(batch) for batch in walk.batches(batch_users=2_000)) == users
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
