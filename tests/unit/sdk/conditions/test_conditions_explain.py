from datetime import UTC, datetime

import pytest

from usersplit.conditions import Catalog, Filter, FilterType, parse

CATALOG = Catalog(
    [
        Filter("is_test_user", "boolean", "user"),
        Filter("country_id", "integer", "user"),
        Filter("is_new_user", "boolean", "user"),
        Filter("platform", "string", "environment"),
    ]
)
SEED = parse(
    [
        {"filter": "is_test_user", "operator": "eq", "value": "Yes"},
        "OR",
        [
            {"filter": "country_id", "operator": "in", "value": ["50"]},
            "AND",
            {"filter": "is_new_user", "operator": "eq", "value": "1"},
        ],
    ],
    CATALOG,
)


def test_the_first_met_node_of_an_or_explains_it() -> None:
    explanation = SEED.explain({"is_test_user": False, "country_id": 50, "is_new_user": True}, {})
    assert explanation.matched
    assert [outcome.path for outcome in explanation.decisive] == ["conditions[2][0]", "conditions[2][2]"]
    assert explanation.sentence == "The conditions are met: country_id is 50, in 50; is_new_user is Yes."


def test_all_nodes_of_an_or_explain_why_it_is_not_met_each_by_what_settled_it() -> None:
    explanation = SEED.explain({"is_test_user": False, "country_id": 77, "is_new_user": True}, {})
    assert not explanation.matched
    first, second = explanation.decisive
    assert (first.reason, first.actual, first.expected, first.operator) == ("not_met", False, (True,), "eq")
    assert (second.filter, second.actual, second.expected, second.met) == ("country_id", 77, (50,), False)
    assert explanation.sentence == (
        "The conditions are not met: is_test_user is No, not Yes; country_id is 77, not in 50."
    )


def test_what_is_not_known_is_said_so() -> None:
    assert SEED.explain({"is_test_user": None, "country_id": 50}, {}).sentence == (
        "The conditions are not met: is_test_user is not known of this user; is_new_user is not known of this user."
    )
    platform = parse([{"filter": "platform", "operator": "ne", "value": "iOS"}], CATALOG)
    assert platform.explain({}, {}).sentence == "The conditions are not met: platform is not known of this visit."
    assert platform.explain({}, {}).decisive[0].actual is None


def test_guests_are_told_that_they_have_no_profile() -> None:
    explanation = SEED.explain(None, {})
    assert {outcome.reason for outcome in explanation.decisive} == {"guest"}
    assert "country_id cannot be met: guests have no profile" in explanation.sentence


def test_a_value_of_the_wrong_type_is_named_by_its_type() -> None:
    explanation = SEED.explain({"is_test_user": [], "country_id": 50.0}, {})
    assert [outcome.reason for outcome in explanation.decisive] == ["wrong_type", "wrong_type"]
    assert "is_test_user came as a Python list that is not a Yes or No" in explanation.sentence
    assert "country_id came as a Python float that is not a whole number" in explanation.sentence


def test_everybody_is_explained_too() -> None:
    explanation = parse([], CATALOG).explain(None, {})
    assert (explanation.matched, explanation.decisive) == (True, ())
    assert explanation.sentence == "There are no conditions: everybody meets them."


@pytest.mark.parametrize(
    ("type_", "operator", "value", "actual", "sentence"),
    [
        ("integer", "ne", 50, 77, "a is 77, not 50 (Russia)"),
        ("integer", "ne", 50, "50", "a is 50 (Russia), and must not be"),
        ("integer", "not_in", [50, 7], 7, "a is 7, and must not be in 50 (Russia), 7"),
        (
            "integer",
            "in",
            list(range(100, 120)),
            1,
            "not in 100, 101, 102, 103, 104, 105, 106, 107, 108, 109 and 10 more",
        ),
        ("integer", "lt", 18, 20, "a is 20, not below 18"),
        ("integer", "gte", 18, 20, "a is 20, at least 18"),
        ("number", "lte", "1.5", 2, "a is 2.0, not at most 1.5"),
        ("string", "contains", "OS", "Web", 'a is "Web", which does not contain "OS"'),
        ("string", "starts_with", "i", "iOS", 'a is "iOS", which starts with "i"'),
        ("string", "eq", "x", "y" * 100, 'a is "' + "y" * 59 + '…", not "x"'),
        ("version", "gt", "1.10.0", "1.9", "a is 1.9, not above 1.10"),
        ("version", "eq", "1", "0.0", "a is 0, not 1"),
        (
            "time",
            "lt",
            "2026-05-01",
            datetime(2026, 5, 2, tzinfo=UTC),
            "a is 2026-05-02T00:00:00Z, not below 2026-05-01T",
        ),
    ],
)
def test_a_sentence_says_what_was_found_and_what_was_asked(
    type_: FilterType, operator: str, value: object, actual: object, sentence: str
) -> None:
    labels = {"50": "Russia"} if type_ == "integer" else {}
    catalog = Catalog([Filter("a", type_, "user", values=labels)])
    conditions = parse([{"filter": "a", "operator": operator, "value": value}], catalog)
    assert sentence in conditions.explain({"a": actual}, {}).sentence


def test_a_long_explanation_is_cut_and_says_how_much_was_left_out() -> None:
    one = {"filter": "country_id", "operator": "eq", "value": 1}
    joined: list[object] = [one, "OR"] * 1500
    explanation = parse(joined[:-1], CATALOG).explain({"country_id": 2}, {})
    assert len(explanation.decisive) == 1500
    assert explanation.sentence.endswith("; and 1,490 more.")
