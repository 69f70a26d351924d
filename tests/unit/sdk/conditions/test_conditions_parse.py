import json
import pickle
from collections.abc import Callable

import pytest

import usersplit.conditions
from usersplit.conditions import (
    MAXIMUM_DEPTH,
    MAXIMUM_LEAVES,
    MAXIMUM_VALUES,
    Catalog,
    Conditions,
    ConditionsError,
    Filter,
    MalformedConditions,
    MixedOperators,
    TooDeep,
    TooLarge,
    UnknownFilter,
    UnknownOperator,
    WrongValue,
    parse,
    parse_text,
)

CATALOG = Catalog(
    [
        Filter("is_test_user", "boolean", "user"),
        Filter("country_id", "integer", "user", "Country", {"50": "Russia"}),
        Filter("is_new_user", "boolean", "user"),
        Filter("user_agent", "string", "environment"),
        Filter("gender", "string", "user", operators=("eq",)),
    ]
)
A = {"filter": "is_test_user", "operator": "eq", "value": "Yes"}
B = {"filter": "country_id", "operator": "in", "value": ["50"]}
C = {"filter": "is_new_user", "operator": "eq", "value": "1"}
SEED = [A, "OR", [B, "AND", C]]


def asked(**changes: object) -> list[object]:
    return [{"filter": "country_id", "operator": "eq", "value": "50"} | changes]


def refused(document: object) -> ConditionsError:
    with pytest.raises(ConditionsError) as caught:
        parse(document, CATALOG)
    return caught.value


def test_the_conditions_of_the_source_text_parse_and_are_kept_as_given() -> None:
    conditions = parse_text(json.dumps(SEED), CATALOG)
    assert conditions.document == SEED
    assert conditions.to_text() == "is_test_user = Yes OR (country_id in 50 AND is_new_user = 1)"
    assert [each.name for each in conditions.filters_used] == ["country_id", "is_new_user", "is_test_user"]


def test_a_changed_copy_of_the_document_changes_nothing() -> None:
    given = json.loads(json.dumps(SEED))
    conditions = parse(given, CATALOG)
    given.append("OR")
    conditions.document.clear()
    assert conditions.document == SEED


def test_conditions_are_equal_when_they_are_spelled_alike() -> None:
    first, second = parse(SEED, CATALOG), parse_text(json.dumps(SEED, indent=4), CATALOG)
    assert first == second
    assert hash(first) == hash(second)
    assert first != parse(asked(value=50), CATALOG)
    assert parse(asked(value=50), CATALOG) != parse(asked(value="50"), CATALOG)
    assert first != SEED


def test_an_empty_list_is_everybody() -> None:
    everybody = parse([], CATALOG)
    assert everybody.is_everybody
    assert everybody.to_text() == "everybody"
    assert everybody.filters_used == ()
    assert not parse(SEED, CATALOG).is_everybody


def test_texts_are_quoted_in_the_readable_form_where_they_could_be_misread() -> None:
    def text(value: str) -> str:
        return parse([{"filter": "user_agent", "operator": "in", "value": [value, "x"]}], CATALOG).to_text()

    assert text("iPhone OS") == 'user_agent in "iPhone OS", x'
    assert text("AND") == 'user_agent in "AND", x'
    assert text("ANDROID") == "user_agent in ANDROID, x"
    assert text("") == 'user_agent in "", x'
    assert text('a"b') == 'user_agent in "a\\"b", x'
    assert text("Россия") == 'user_agent in "Россия", x'


@pytest.mark.parametrize(
    ("document", "path", "words"),
    [
        ({}, "conditions", "must be a list"),
        (A, "conditions", "Put it in a list"),
        (None, "conditions", "this is null"),
        ("[]", "conditions", 'this is "[]"'),
        (["AND"], "conditions[0]", 'this is "AND"'),
        ([A, "AND"], "conditions[1]", "AND joins nothing"),
        ([A, "AND", "OR", B], "conditions[2]", 'this is "OR"'),
        ([A, B], "conditions[1]", '"AND" or "OR" must stand between'),
        ([A, "and", B], "conditions[1]", 'write "AND", in upper case exactly, not "and"'),
        ([A, " OR", B], "conditions[1]", 'write "OR"'),
        ([A, "XOR", B], "conditions[1]", 'this is "XOR"'),
        ([A, None, B], "conditions[1]", "this is null"),
        ([[]], "conditions[0]", "the brackets are empty"),
        ([A, "OR", [B, "AND", []]], "conditions[2][2]", "the brackets are empty"),
        ([A, "OR", [[7]]], "conditions[2][0][0]", "this is 7"),
        ([object()], "conditions[0]", "a Python object"),
        ([{}], "conditions[0]", '"filter", "operator", "value"'),
        ([{"filter": "country_id", "value": 1}], "conditions[0]", 'has no "operator"'),
        (asked(label="x"), "conditions[0]", 'and not "label"'),
        (asked(filter=7), "conditions[0].filter", "this is 7"),
        (asked(operator=["eq"]), "conditions[0].operator", "this is a list"),
    ],
)
def test_malformed_conditions_are_refused_with_the_place(document: object, path: str, words: str) -> None:
    error = refused(document)
    assert type(error) is MalformedConditions
    assert error.path == path
    assert words in error.problem
    assert str(error) == f"{path}: {error.problem}"


def test_and_and_or_in_one_bracket_are_refused_and_the_sentence_shows_how_to_bracket() -> None:
    error = refused([A, "OR", [A, "AND", B, "OR", C]])
    assert type(error) is MixedOperators
    assert error.path == "conditions[2]"
    assert "(A AND B) OR C" in error.problem
    assert '[[A, "AND", B], "OR", C]' in error.problem
    assert "(A OR B) AND C" in refused([A, "OR", B, "AND", C]).problem


def test_a_misspelt_filter_is_refused_with_the_closest_known_one() -> None:
    error = refused(asked(filter="contry_id"))
    assert type(error) is UnknownFilter
    assert error.path == "conditions[0].filter"
    assert "Did you mean country_id?" in error.problem
    assert "Did you mean" not in refused(asked(filter="zzzzz")).problem
    assert len(str(refused(asked(filter="x" * 100_000)))) < 200


def test_an_operator_that_is_misspelt_or_not_the_filters_is_refused_with_those_it_takes() -> None:
    misspelt = refused(asked(operator="EQ"))
    assert type(misspelt) is UnknownOperator
    assert "Did you mean eq?" in misspelt.problem
    foreign = refused(asked(operator="contains"))
    assert type(foreign) is UnknownOperator
    assert "country_id (integer) takes eq, ne, in" in foreign.problem
    assert type(refused([{"filter": "gender", "operator": "ne", "value": "f"}])) is UnknownOperator


@pytest.mark.parametrize(
    ("changes", "place", "words"),
    [
        ({"value": ["50"]}, "value", "eq takes one value, not a list"),
        ({"operator": "in"}, "value", "in takes a list"),
        ({"operator": "in", "value": []}, "value", "is empty"),
        ({"operator": "not_in", "value": ["50", 1.5]}, "value[1]", "1.5 is no value of country_id"),
        ({"value": None}, "value", "null is no value"),
        ({"value": {}}, "value", "an object is no value"),
        ({"value": 10**5000}, "value", "beyond all limits"),
        ({"value": 2**63}, "value", "64 bits"),
        ({"value": True}, "value", "true is no value"),
        ({"filter": "user_agent", "value": 7}, "value", "a text in quotes"),
        ({"filter": "user_agent", "operator": "contains", "value": ""}, "value", "what to look for"),
        ({"filter": "user_agent", "value": "\0"}, "value", "no database can store"),
        ({"filter": "user_agent", "value": "\ud800"}, "value", "no database can store"),
    ],
)
def test_a_value_of_the_wrong_type_or_shape_is_refused(changes: dict[str, object], place: str, words: str) -> None:
    error = refused(asked(**changes))
    assert type(error) is WrongValue
    assert error.path == f"conditions[0].{place}"
    assert words in error.problem
    str(error).encode()


def test_an_error_survives_the_way_between_processes() -> None:
    error = refused(asked(filter="contry_id"))
    returned = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(returned) is UnknownFilter
    assert (returned.path, returned.problem, str(returned)) == (error.path, error.problem, str(error))


def nested(depth: int) -> list[object]:
    document: list[object] = [A]
    for _ in range(depth - 1):
        document = [document]
    return document


def test_brackets_are_allowed_to_the_limit_and_refused_beyond() -> None:
    deepest = parse(nested(MAXIMUM_DEPTH), CATALOG)
    assert deepest.matches({"is_test_user": True}, {})
    assert deepest.document == nested(MAXIMUM_DEPTH)
    assert deepest.explain(None, {}).matched is False
    assert type(refused(nested(MAXIMUM_DEPTH + 1))) is TooDeep
    assert type(refused(nested(100_000))) is TooDeep


def test_a_list_that_contains_itself_is_refused() -> None:
    endless: list[object] = [A, "OR"]
    endless.append(endless)
    assert type(refused(endless)) is TooDeep


def test_too_many_conditions_and_too_many_values_are_refused() -> None:
    def of_leaves(count: int) -> list[object]:
        joined: list[object] = [A, "OR"] * count
        return joined[:-1]

    assert len(parse(of_leaves(MAXIMUM_LEAVES), CATALOG).document) == 2 * MAXIMUM_LEAVES - 1
    assert type(refused(of_leaves(MAXIMUM_LEAVES + 1))) is TooLarge
    assert type(refused(asked(operator="in", value=[1] * (MAXIMUM_VALUES + 1)))) is TooLarge
    half = asked(operator="in", value=[1] * (MAXIMUM_VALUES // 2 + 1))
    assert type(refused([*half, "OR", *half])) is TooLarge


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ("[", "line 1, column"),
        ("[] []", "not JSON"),
        ('[{"filter": "country_id", "operator": "eq", "value": NaN}]', "NaN"),
        ("[-Infinity]", "-Infinity"),
        ("[" + "9" * 5000 + "]", "beyond all limits"),
        ('[{"filter": "country_id", "operator": "eq", "value": 1, "value": 2}]', "twice"),
    ],
)
def test_text_that_is_not_clean_json_is_refused(text: str, words: str) -> None:
    with pytest.raises(MalformedConditions, match=words):
        parse_text(text, CATALOG)


@pytest.mark.parametrize("make", [lambda: "[" * 100_000, lambda: '{"a":' * 100_000, lambda: "[" * 9000 + "]" * 9000])
def test_text_nested_beyond_the_stack_is_refused_by_name(make: Callable[[], str]) -> None:
    with pytest.raises(MalformedConditions):
        parse_text(make(), CATALOG)


def test_the_public_list_names_all_that_is_public() -> None:
    public = {name for name in vars(usersplit.conditions) if name[0].isalpha()}  # pytest adds names with an @
    assert set(usersplit.conditions.__all__) == public
    assert repr(parse(SEED, CATALOG)).startswith("<Conditions is_test_user = Yes OR")
    assert isinstance(parse(SEED, CATALOG), Conditions)
