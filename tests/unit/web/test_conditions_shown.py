import json

from audience.catalog import load_catalog
from events.facts import FilterUsed
from web.conditions_shown import readable_conditions, reader

CATALOG = load_catalog()


def said(document: object, *filters: FilterUsed) -> str:
    return readable_conditions(json.dumps(document), CATALOG, filters)


def test_values_and_filters_are_called_by_their_labels() -> None:
    assert said(
        [
            {"filter": "is_test_user", "operator": "eq", "value": "Yes"},
            "OR",
            [
                {"filter": "country_id", "operator": "in", "value": ["50", 59, 77]},
                "AND",
                {"filter": "registered_at", "operator": "gte", "value": "2026-01-01"},
            ],
        ]
    ) == (
        "Test user is Yes OR (Country of the profile is one of Russia, Spain, 77 AND "
        "Registered at is not before 2026-01-01)"
    )


def test_no_conditions_are_everybody() -> None:
    assert said([]) == "Everybody"


def test_a_long_list_of_values_is_cut() -> None:
    text = said([{"filter": "age", "operator": "in", "value": list(range(1, 1001))}])
    assert text.endswith("19, 20, 980 more")


def test_a_filter_that_the_catalog_has_lost_or_changed_is_read_as_it_was() -> None:
    lost = FilterUsed(name="shoe_size", type="integer", scope="user")
    assert said([{"filter": "shoe_size", "operator": "gt", "value": 42}], lost) == "shoe_size is more than 42"
    changed = FilterUsed(name="country_id", type="string", scope="user")
    assert said([{"filter": "country_id", "operator": "eq", "value": "RU"}], changed) == "country_id is RU"


def test_what_cannot_be_read_at_all_is_shown_as_it_is() -> None:
    assert "shoe_size" in said([{"filter": "shoe_size", "operator": "gt", "value": 42}])
    assert reader(CATALOG)("no JSON", ()) == "no JSON"
