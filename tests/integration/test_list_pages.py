"""Pages of the list of tests on both kinds of database: filters, the total, and where the next page begins."""

import pytest
from sqlalchemy import Engine

from events import facts
from events.facts import REGISTRY
from events.sql_store import SqlEventStore
from projections import list_pages
from projections.list_pages import Onlooker, Page, Place, Wanted
from tests.support.read_models import ReadModels

ANNA, BORIS, ROOT = Onlooker(name="anna"), Onlooker(name="boris"), Onlooker(name="root", sees_everything=True)
NAMES = {"plain": "Plain", "percent": "100% off", "under": "a_b", "slash": "x/y", "quote": 'say "Ä"', "back": "c\\d"}


@pytest.fixture
def models(database: Engine) -> ReadModels:
    models = ReadModels(database, store=SqlEventStore(database, REGISTRY))
    for key, name in NAMES.items():
        models.append([facts.SplitTestCreated(key=key, name=name, author="anna", managers=("anna",), type="web")])
        if key != "plain":
            models.append([facts.SplitTestPublished(key=key)])
    models.append(
        [
            facts.PropertiesEdited(
                key="under", changes=(facts.PropertyChange(name="type", before="web", after="mobile"),)
            )
        ]
    )
    models.projector.catch_up()
    return models


def asked(
    models: ReadModels, onlooker: Onlooker, wanted: Wanted | None = None, *, limit: int = 50, after: Place | None = None
) -> Page:
    with models.engine.connect() as connection:
        return list_pages.page(connection, onlooker, wanted or Wanted(), limit=limit, after=after)


def keys(page: Page) -> list[str]:
    return [row.key for row in page.rows]


SEARCHES = {
    "100%": ["percent"],
    "%": ["percent"],
    "a_b": ["under"],
    "_": ["under"],
    "/": ["slash"],
    '"ä"': ["quote"],
    "\\": ["back"],
    "nothing of it": [],
    "'; DROP TABLE events; --": [],
}


def test_a_search_takes_every_character_as_it_is(models: ReadModels) -> None:
    for search, found in SEARCHES.items():
        page = asked(models, ROOT, Wanted(search=search))
        assert (keys(page), page.total, page.next) == (found, len(found), None), search


def test_filters_narrow_the_list_and_its_total(models: ReadModels) -> None:
    assert asked(models, ROOT).total == 6
    assert asked(models, BORIS).total == 5
    assert asked(models, BORIS, Wanted(is_mine=True)).total == 0
    assert asked(models, ANNA, Wanted(is_mine=True)).total == 6
    assert keys(asked(models, ANNA, Wanted(statuses=("draft", "running")))) == ["plain"]
    assert keys(asked(models, BORIS, Wanted(types=("mobile", "server"), search="A_"))) == ["under"]
    assert asked(models, Onlooker(name="a,b"), Wanted(is_mine=True)).total == 0
    with models.engine.connect() as connection:
        assert list_pages.visible_keys(connection, BORIS) == NAMES.keys() - {"plain"}
        assert list_pages.visible_keys(connection, ROOT) == NAMES.keys()


def test_pages_follow_each_other_without_a_gap_and_know_the_total(models: ReadModels) -> None:
    found, after = list[str](), None
    while True:
        page = asked(models, ROOT, limit=2, after=after)
        assert page.total == 6
        found += keys(page)
        if page.next is None:
            break
        after = page.next
    assert found == list(reversed(NAMES))
    last = asked(models, ROOT, limit=2).rows[0]
    beyond = Place(created_at=last.created_at.replace(year=2000), key="z")
    page = asked(models, ROOT, after=beyond)
    assert (page.rows, page.total) == ([], 6)
