from pathlib import Path

import pytest

from audience.catalog import CatalogFileError, CatalogFileMissing, CatalogFileTorn, CatalogFileWrong, load_catalog
from usersplit.conditions import FILTER_TYPES, parse


def test_the_default_catalog_understands_the_conditions_of_the_article() -> None:
    tree = [
        {"filter": "is_test_user", "operator": "eq", "value": "Yes"},
        "OR",
        [
            {"filter": "country_id", "operator": "in", "value": ["50"]},
            "AND",
            {"filter": "is_new_user", "operator": "eq", "value": "1"},
        ],
    ]
    conditions = parse(tree, load_catalog())
    assert conditions.matches({"country_id": 50, "is_new_user": True, "is_test_user": False}, {})
    assert not conditions.matches({"country_id": 51, "is_new_user": True, "is_test_user": False}, {})


def test_the_default_catalog_knows_how_a_visitor_came() -> None:
    catalog = load_catalog()
    environment = {name for name, definition in catalog.items() if definition.scope == "environment"}
    assert environment == {"platform", "country", "user_agent", "app", "app_version"}
    newer_app = parse([{"filter": "app_version", "operator": "gte", "value": "5.10"}], catalog)
    assert newer_app.matches(None, {"app_version": "5.12.1"})


def test_every_filter_of_the_default_catalog_has_a_label_and_a_known_type() -> None:
    for definition in load_catalog().values():
        assert definition.label
        assert definition.type in FILTER_TYPES


def test_a_catalog_of_ones_own_takes_its_place(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[filters.plan]\ntype = "string"\nscope = "user"\nvalues = {pro = "Pro"}\n')
    catalog = load_catalog(file)
    assert list(catalog) == ["plan"]
    assert catalog["plan"].label_of("pro") == "Pro"


PLAN = '[filters.plan]\ntype = "string"\nscope = "user"\n'


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("[filters", CatalogFileTorn, "is not TOML"),
        ("", CatalogFileWrong, "it has no filters"),
        ("filters = 5", CatalogFileWrong, "it has no filters"),
        ("[filters]", CatalogFileWrong, "it has no filters"),
        ("[filter.plan]", CatalogFileWrong, "it has a table 'filter'"),
        ("[filters]\nplan = 5", CatalogFileWrong, "filters.plan is not a table"),
        (PLAN + 'lable = "Plan"', CatalogFileWrong, "filters.plan has a field 'lable'; known are type, scope, label"),
        ('[filters.plan]\nscope = "user"', CatalogFileWrong, "type"),
        ('[filters.plan]\ntype = "text"\nscope = "user"', CatalogFileWrong, "text"),
        ('[filters.plan]\ntype = "string"\nscope = "visitor"', CatalogFileWrong, "visitor"),
        (PLAN + 'operators = ["gt"]', CatalogFileWrong, "gt"),
        (PLAN + "label = 5", CatalogFileWrong, "label"),
    ],
)
def test_a_bad_file_is_refused_by_name_with_its_path(
    tmp_path: Path, text: str, error: type[CatalogFileError], message: str
) -> None:
    file = tmp_path / "catalog.toml"
    file.write_text(text)
    with pytest.raises(error) as refusal:
        load_catalog(file)
    assert str(file) in str(refusal.value)
    assert message in str(refusal.value)


def test_a_missing_or_unreadable_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(CatalogFileMissing, match="No such file"):
        load_catalog(tmp_path / "nowhere.toml")
    with pytest.raises(CatalogFileMissing):
        load_catalog(tmp_path)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "catalog.toml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CatalogFileTorn):
        load_catalog(file)
