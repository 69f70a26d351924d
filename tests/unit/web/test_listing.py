from datetime import UTC, datetime, timedelta

import pytest

from domain.people import Actor
from projections.split_test_facts import Status
from projections.test_list import ListedSplitTest
from web.list_page import when
from web.listing import PAGE_SIZE, Wanted, listing
from web.sparkline import spark_points

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
ANN, BOB = Actor(name="ann"), Actor(name="bob")


def a_test(key: str, *, status: Status = "running", author: str = "ann", type_: str = "web") -> ListedSplitTest:
    return ListedSplitTest(
        key=key,
        name=key.title(),
        description="",
        type=type_,
        issue_key="",
        chat_room="",
        author=author,
        managers=(author,),
        status=status,
        settings_group=1,
        starts_at=NOW - timedelta(days=1),
        ends_at=NOW + timedelta(days=10),
        code_deployed_at=None,
        created_at=NOW,
        updated_at=NOW,
        version=1,
    )


def keys(wanted: Wanted, tests: list[ListedSplitTest], actor: Actor = ANN) -> list[str]:
    return [test.key for test in listing(tests, tests, wanted, actor).tests]


def test_drafts_of_others_do_not_exist() -> None:
    tests = [a_test("secret", status="draft"), a_test("open")]
    seen = listing(tests, tests, Wanted(), BOB)
    assert ([test.key for test in seen.tests], seen.total, seen.known) == (["open"], 1, 1)
    assert "draft" not in seen.by_status
    assert keys(Wanted(status="draft"), tests, BOB) == []


def test_a_type_that_only_others_drafts_have_is_not_named() -> None:
    tests = [a_test("secret", status="draft", type_="rocket"), a_test("open")]
    assert listing(tests, tests, Wanted(), BOB).types == ["web"]


def test_the_list_is_narrowed_by_status_type_and_person() -> None:
    tests = [a_test("a"), a_test("b", status="paused"), a_test("c", type_="mobile"), a_test("d", author="bob")]
    assert keys(Wanted(status="paused"), tests) == ["b"]
    assert keys(Wanted(type="mobile"), tests) == ["c"]
    assert keys(Wanted(mine=True), tests) == ["a", "b", "c"]


def test_a_page_beyond_the_last_one_is_the_last_one() -> None:
    tests = [a_test(f"t{number}") for number in range(PAGE_SIZE + 1)]
    found = listing(tests, tests, Wanted(page=99), ANN)
    assert (found.page, found.pages, [test.key for test in found.tests]) == (2, 2, [f"t{PAGE_SIZE}"])


@pytest.mark.parametrize("page", ["", "0", "-1", "²", "1e3", "99999999999999999999"])
def test_a_page_that_is_no_number_is_the_first(page: str) -> None:
    tests = [a_test("a")]
    assert listing(tests, tests, Wanted.from_query({"page": page}), ANN).page == 1


def test_what_is_looked_for_is_the_address_and_comes_back_from_it() -> None:
    wanted = Wanted(search="a&b=c", status="running", type="web", mine=True, page=3)
    address = wanted.address()
    query = dict(part.split("=") for part in address.removeprefix("/?").split("&"))
    assert query == {"search": "a%26b%3Dc", "status": "running", "type": "web", "mine": "1", "page": "3"}
    assert Wanted.from_query({**query, "search": "a&b=c"}) == wanted
    assert Wanted().address() == "/"


def test_the_dates_are_told_in_a_few_words() -> None:
    test = a_test("a")
    assert when(test, NOW) == "10 days left"
    assert when(test, NOW - timedelta(days=2)) == "starts in 24 h"
    assert when(test, NOW + timedelta(days=11)) == "its end has passed"
    assert when(a_test("b", status="finished"), NOW) == ""


def test_a_sparkline_goes_from_the_foot_to_the_top() -> None:
    assert spark_points([0, 5, 10]) == "2.0,22.0 48.0,12.0 94.0,2.0"
    assert spark_points([0, 0]) == "2.0,22.0 94.0,22.0"
    assert spark_points([]) == ""
