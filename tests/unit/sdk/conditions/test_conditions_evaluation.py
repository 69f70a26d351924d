import threading
from collections.abc import Iterator, Mapping

import pytest

from usersplit.conditions import Catalog, Conditions, Filter, parse

CATALOG = Catalog(
    [
        Filter("is_test_user", "boolean", "user"),
        Filter("country_id", "integer", "user"),
        Filter("is_new_user", "boolean", "user"),
        Filter("name", "string", "user"),
        Filter("platform", "string", "environment"),
        Filter("country", "integer", "environment"),
    ]
)
A = {"filter": "is_test_user", "operator": "eq", "value": "Yes"}
B = {"filter": "country_id", "operator": "in", "value": ["50"]}
C = {"filter": "is_new_user", "operator": "eq", "value": "1"}
SEED = parse([A, "OR", [B, "AND", C]], CATALOG)


class Watched(Mapping[str, object]):
    """Attributes that remember what was asked of them; those named in `broken` fail as a lazy profile may."""

    def __init__(self, attributes: Mapping[str, object], broken: frozenset[str] = frozenset()) -> None:
        self.asked: list[str] = []
        self._attributes = attributes
        self._broken = broken

    def __getitem__(self, name: str) -> object:
        self.asked.append(name)
        if name in self._broken:
            raise ConnectionError
        return self._attributes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._attributes)

    def __len__(self) -> int:
        return len(self._attributes)


def leaf(filter_: str, operator: str, value: object) -> Conditions:
    return parse([{"filter": filter_, "operator": operator, "value": value}], CATALOG)


@pytest.mark.parametrize(
    ("user", "matched"),
    [
        ({"is_test_user": True}, True),
        ({"is_test_user": False, "country_id": 50, "is_new_user": True}, True),
        ({"country_id": 50, "is_new_user": True}, True),
        ({"country_id": "50", "is_new_user": "1"}, True),
        ({"country_id": 50, "is_new_user": False}, False),
        ({"country_id": 77, "is_new_user": True}, False),
        ({}, False),
    ],
)
def test_the_seeds_conditions_let_in_test_users_and_new_users_of_country_50(
    user: dict[str, object], *, matched: bool
) -> None:
    assert SEED.matches(user, {}) is matched


@pytest.mark.parametrize(
    ("user", "asked"),
    [
        ({"is_test_user": True, "country_id": 50, "is_new_user": True}, ["is_test_user"]),
        ({"is_test_user": False, "country_id": 77, "is_new_user": True}, ["is_test_user", "country_id"]),
        ({"is_test_user": False, "country_id": 50}, ["is_test_user", "country_id", "is_new_user"]),
    ],
)
def test_evaluation_asks_no_further_than_needed(user: dict[str, object], asked: list[str]) -> None:
    SEED.compile_now()
    for answer in (SEED.matches, SEED.explain):
        watched = Watched(user)
        answer(watched, {})
        assert watched.asked == asked


def test_guests_meet_no_user_filter_and_still_meet_environment_filters() -> None:
    either = parse([A, "OR", {"filter": "platform", "operator": "eq", "value": "iOS"}], CATALOG)
    assert either.matches(None, {"platform": "iOS"})
    assert not either.matches(None, {"platform": "Web"})
    assert not leaf("country_id", "ne", 50).matches(None, {"country_id": 77})
    assert not leaf("country_id", "not_in", [50]).matches(None, {})


def test_each_filter_reads_its_own_scope_only() -> None:
    assert not leaf("platform", "eq", "iOS").matches({"platform": "iOS"}, {})
    assert not leaf("country_id", "eq", 50).matches({}, {"country_id": 50})
    watched_user, watched_visit = Watched({}), Watched({})
    leaf("platform", "eq", "iOS").matches(watched_user, watched_visit)
    assert (watched_user.asked, watched_visit.asked) == ([], ["platform"])


def test_everybody_meets_no_conditions() -> None:
    everybody = parse([], CATALOG)
    assert everybody.matches(None, {})
    assert everybody.matches({}, {})


@pytest.mark.parametrize(
    ("operator", "value", "met"),
    [
        ("eq", "iOS app", ["iOS app"]),
        ("ne", "iOS app", ["ios app", "Web"]),
        ("in", ["Web", "iOS app"], ["iOS app", "Web"]),
        ("not_in", ["Web"], ["iOS app", "ios app"]),
        ("contains", "OS", ["iOS app"]),
        ("starts_with", "i", ["iOS app", "ios app"]),
    ],
)
def test_texts_are_compared_exactly(operator: str, value: object, met: list[str]) -> None:
    conditions = leaf("name", operator, value)
    assert [name for name in ("iOS app", "ios app", "Web") if conditions.matches({"name": name}, {})] == met


@pytest.mark.parametrize(
    ("operator", "value", "met"),
    [
        ("eq", 2, [2]),
        ("ne", 2, [1, 3]),
        ("in", [1, "2"], [1, 2]),
        ("not_in", [1], [2, 3]),
        ("lt", 2, [1]),
        ("lte", 2, [1, 2]),
        ("gt", 2, [3]),
        ("gte", 2, [2, 3]),
    ],
)
def test_numbers_are_compared_as_numbers(operator: str, value: object, met: list[int]) -> None:
    conditions = leaf("country_id", operator, value)
    assert [number for number in (1, 2, 3) if conditions.matches({"country_id": number}, {})] == met


def test_an_attribute_that_fails_to_load_is_not_known_and_the_rest_still_decides() -> None:
    user = Watched({"country_id": 50, "is_new_user": True}, broken=frozenset({"is_test_user"}))
    assert SEED.matches(user, {})
    explanation = parse([A], CATALOG).explain(user, {})
    assert explanation.decisive[0].reason == "unreadable"
    assert explanation.sentence == "The conditions are not met: is_test_user could not be read from the profile."


@pytest.mark.parametrize("thing", [object(), [], 5, "text", lambda: None])
def test_what_is_no_mapping_at_all_knows_nothing(thing: Mapping[str, object]) -> None:
    assert not SEED.matches(thing, thing)
    assert not leaf("platform", "ne", "Web").matches(thing, thing)
    assert not leaf("platform", "ne", "Web").matches({}, None)  # type: ignore[arg-type] # what a careless service does
    assert SEED.explain(thing, thing).matched is False


def test_text_of_a_document_never_becomes_code() -> None:
    attack = '"); raise SystemExit("'
    catalog = Catalog([Filter("a", "string", "user"), Filter("b.__class__", "string", "user")])
    conditions = parse(
        [
            {"filter": "a", "operator": "eq", "value": attack},
            "AND",
            {"filter": "b.__class__", "operator": "contains", "value": "{c}"},
        ],
        catalog,
    )
    assert conditions.matches({"a": attack, "b.__class__": "{c}"}, {})


def test_threads_that_ask_first_at_once_all_get_the_answer() -> None:
    conditions = parse(SEED.document, CATALOG)
    answers: list[bool] = []
    barrier = threading.Barrier(8)

    def ask() -> None:
        barrier.wait()
        answers.append(conditions.matches({"is_test_user": True}, {}))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [True] * 8
