from typing import Any

import pytest

from usersplit.conditions import FILTER_TYPES, OPERATORS, Catalog, CatalogError, Filter, UnknownFilterType, parse


def test_a_catalog_is_a_mapping_in_the_order_given() -> None:
    country, platform = Filter("country_id", "integer", "user"), Filter("platform", "string", "environment")
    catalog = Catalog([platform, country])
    assert list(catalog) == ["platform", "country_id"]
    assert catalog["country_id"] is country
    assert "gender" not in catalog
    assert len(catalog) == 2
    assert "platform" in repr(catalog)


def test_a_catalog_from_a_config_document_ignores_what_it_does_not_know() -> None:
    catalog = Catalog.from_document(
        {
            "country_id": {
                "type": "integer",
                "scope": "user",
                "unit": "ISO",
                "label": "Country",
                "values": {"50": "Russia"},
            }
        }
    )
    assert catalog["country_id"] == Filter("country_id", "integer", "user", "Country", {"50": "Russia"})
    assert hash(catalog["country_id"]) == hash(Filter("country_id", "integer", "user", "Country", {"50": "Russia"}))


def test_the_filters_used_by_conditions_make_a_catalog_that_parses_them_again() -> None:
    catalog = Catalog([Filter("country_id", "integer", "user"), Filter("platform", "string", "environment")])
    conditions = parse([{"filter": "country_id", "operator": "eq", "value": 1}], catalog)
    document = {each.name: {"type": each.type, "scope": each.scope} for each in conditions.filters_used}
    assert parse(conditions.document, Catalog.from_document(document)) == conditions


def test_labels_are_found_by_value_and_do_not_restrict() -> None:
    catalog = Catalog([Filter("is_new", "boolean", "user", values={"1": "new", "no": "old"})])
    assert catalog["is_new"].label_of(True) == "new"  # noqa: FBT003 - a value, not a switch
    assert catalog["is_new"].label_of(False) == "old"  # noqa: FBT003 - as above
    country = Catalog([Filter("country_id", "integer", "user", values={"50": "Russia"})])
    assert country["country_id"].label_of(77) == ""
    assert parse([{"filter": "country_id", "operator": "eq", "value": 77}], country).matches({"country_id": 77}, {})


def test_a_filter_may_offer_fewer_operators_than_its_type_has() -> None:
    assert Filter("a", "string", "user", operators=("eq", "in")).allowed_operators == ("eq", "in")
    for type_ in FILTER_TYPES:
        assert Filter("a", type_, "user").allowed_operators == OPERATORS[type_]


def test_a_definition_cannot_be_changed_from_outside() -> None:
    labels = {"50": "Russia"}
    definition = Filter("country_id", "integer", "user", values=labels)
    labels["50"] = "France"
    assert definition.label_of(50) == "Russia"


def test_two_filters_of_one_name_are_refused() -> None:
    with pytest.raises(CatalogError, match="two filters have this name"):
        Catalog([Filter("a", "string", "user"), Filter("a", "integer", "user")])


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "must be an object of filters by name"),
        ({"a": 1}, "filters.a: must be an object with type and scope; this is 1"),
        ({"a": {"type": "integer"}}, 'filters.a: has no "scope"'),
        ({"a": {"scope": "user"}}, 'filters.a: has no "type"'),
        ({"a": {"type": "integer", "scope": "cookie"}}, "filters.a.scope: must be user"),
        ({"a": {"type": "integer", "scope": ["user"]}}, "filters.a.scope: must be user"),
        ({"a": {"type": "integer", "scope": "user", "label": 1}}, "filters.a.label"),
        ({"a": {"type": "integer", "scope": "user", "values": []}}, "filters.a.values"),
        ({"a": {"type": "integer", "scope": "user", "values": {"50": 1}}}, "filters.a.values"),
        ({"a": {"type": "integer", "scope": "user", "values": {"x": "X"}}}, '"x" is not a whole number'),
        ({"a": {"type": "integer", "scope": "user", "values": {"5": "X", "05": "Y"}}}, "another spelling"),
        ({"a": {"type": "integer", "scope": "user", "operators": "eq"}}, "filters.a.operators"),
        ({"a": {"type": "integer", "scope": "user", "operators": []}}, "is empty"),
        (
            {"a": {"type": "integer", "scope": "user", "operators": ["contains"]}},
            '"contains" is not for the type integer',
        ),
        ({"a": {"type": "integer", "scope": "user", "operators": [{}]}}, "an object is not for the type"),
        ({"": {"type": "integer", "scope": "user"}}, '"" cannot be a filter\'s name'),
        ({"a b": {"type": "integer", "scope": "user"}}, "cannot be a filter's name"),
        ({5: {"type": "integer", "scope": "user"}}, "5 cannot be a filter's name"),
        ({"And": {"type": "integer", "scope": "user"}}, "a word of the conditions themselves"),
    ],
)
def test_a_wrong_definition_is_refused_with_the_place(document: Any, words: str) -> None:
    with pytest.raises(CatalogError) as caught:
        Catalog.from_document(document)
    assert words in str(caught.value)


@pytest.mark.parametrize("type_", ["geometry", "Integer", 5, None, ["integer"]])
def test_a_type_of_the_future_has_an_error_of_its_own(type_: Any) -> None:
    with pytest.raises(UnknownFilterType, match=r"filters\.a\.type: .* is not a type known here"):
        Catalog.from_document({"a": {"type": type_, "scope": "user"}})
