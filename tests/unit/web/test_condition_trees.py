import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audience.catalog import load_catalog
from usersplit.conditions import ConditionsError, parse
from web import condition_tree
from web.condition_tree import Group, Question

CATALOG = load_catalog()
OF_THE_ARTICLE = [
    {"filter": "is_test_user", "operator": "eq", "value": "Yes"},
    "OR",
    [
        {"filter": "country_id", "operator": "in", "value": ["50"]},
        "AND",
        {"filter": "is_new_user", "operator": "eq", "value": "1"},
    ],
]

LEAVES = st.sampled_from(
    [
        {"filter": "is_test_user", "operator": "eq", "value": "Yes"},
        {"filter": "country_id", "operator": "in", "value": ["50", "7"]},
        {"filter": "age", "operator": "gte", "value": "18"},
        {"filter": "language", "operator": "ne", "value": "de"},
    ]
)


def joined(nodes: list[object], joint: str) -> list[object]:
    items: list[object] = []
    for node in nodes:
        items.extend([joint, node] if items else [node])
    return items


BRACKETS = st.recursive(
    LEAVES, lambda inside: st.builds(joined, st.lists(inside, min_size=1, max_size=3), st.sampled_from(["AND", "OR"]))
)
DOCUMENTS = st.builds(joined, st.lists(BRACKETS, max_size=4), st.sampled_from(["AND", "OR"]))


@settings(max_examples=50)
@given(DOCUMENTS)
def test_a_document_comes_back_from_its_tree_as_it_was(document: list[object]) -> None:
    assert condition_tree.to_document(condition_tree.from_document(document, CATALOG)) == document


@settings(max_examples=50)
@given(DOCUMENTS)
def test_the_text_of_a_document_reads_as_the_document(document: list[object]) -> None:
    assert json.loads(condition_tree.to_json_text(document)) == document


@settings(max_examples=50)
@given(DOCUMENTS)
def test_every_condition_knows_the_path_that_the_parser_names(document: list[object]) -> None:
    tree = condition_tree.from_document(document, CATALOG)
    condition_tree.to_document(tree)
    for question in condition_tree.questions(tree):
        kept, question.values = question.values, ["a value that no filter here can have \x00"]
        question.filter, operator, name = "age", question.operator, question.filter
        question.operator = "eq"
        with pytest.raises(ConditionsError) as raised:
            parse(condition_tree.to_document(tree), CATALOG)
        assert raised.value.path == f"{question.path}.value"
        question.values, question.filter, question.operator = kept, name, operator


def test_no_text_at_all_is_everybody() -> None:
    assert condition_tree.from_json_text("  ", CATALOG).nodes == []


def test_text_that_is_not_json_is_refused_with_its_place() -> None:
    with pytest.raises(ConditionsError, match="line 1"):
        condition_tree.from_json_text("[{]", CATALOG)


def test_a_number_in_json_is_shown_as_it_is_typed() -> None:
    tree = condition_tree.from_document([{"filter": "country_id", "operator": "in", "value": [50]}], CATALOG)
    assert [question.values for question in condition_tree.questions(tree)] == [["50"]]


def test_brackets_that_lost_their_last_condition_are_left_out() -> None:
    tree = condition_tree.from_document(OF_THE_ARTICLE, CATALOG)
    brackets = tree.nodes[1]
    assert isinstance(brackets, Group)
    brackets.nodes.clear()
    assert condition_tree.to_document(tree) == [OF_THE_ARTICLE[0]]


def test_another_filter_asks_for_some_of_its_known_values() -> None:
    question = Question(filter="age", operator="gte", values=["18"])
    condition_tree.with_filter(question, "language", CATALOG)
    assert (question.filter, question.operator, question.values) == ("language", "in", [])


def test_a_boolean_filter_starts_with_yes() -> None:
    question = condition_tree.with_filter(Question(filter="age", operator="gte"), "is_paying", CATALOG)
    assert (question.operator, question.values) == ("eq", ["Yes"])


def test_an_operator_that_takes_one_value_keeps_the_first_of_a_list() -> None:
    question = condition_tree.with_operator(Question(filter="country_id", operator="in", values=["50", "7"]), "eq")
    assert condition_tree.to_document(Group(nodes=[question])) == [
        {"filter": "country_id", "operator": "eq", "value": "50"}
    ]


def test_brackets_are_put_around_a_condition_and_taken_away_again() -> None:
    tree = condition_tree.from_document(OF_THE_ARTICLE, CATALOG)
    brackets = condition_tree.put_in_brackets(tree, tree.nodes[0])
    assert condition_tree.to_document(tree)[0] == [OF_THE_ARTICLE[0]]
    condition_tree.take_out_of_brackets(tree, brackets)
    assert condition_tree.to_document(tree) == OF_THE_ARTICLE


def test_a_condition_moves_among_its_neighbours_and_stops_at_the_end() -> None:
    tree = condition_tree.from_document(OF_THE_ARTICLE, CATALOG)
    last = tree.nodes[1]
    condition_tree.move(tree, last, by=-1)
    condition_tree.move(tree, last, by=-1)
    assert tree.nodes[0] is last


def test_unfinished_conditions_survive_being_kept() -> None:
    unfinished = [
        {"filter": "country_id", "operator": "in", "value": []},
        "AND",
        {"filter": "age", "operator": "eq", "value": ""},
    ]
    assert condition_tree.to_document(condition_tree.unfinished(unfinished, CATALOG)) == unfinished


@pytest.mark.parametrize("kept", [None, 7, ["AND"], [{"filter": "gone", "operator": "eq", "value": "1"}], [{}], [[[]]]])
def test_what_no_tree_can_show_is_left_out_of_what_was_kept(kept: object) -> None:
    assert condition_tree.to_document(condition_tree.unfinished(kept, CATALOG)) == []
