from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from events import facts
from projections import test_list as listing
from projections.test_list import ListedSplitTest
from tests.support.histories import JUNE, KEY, MAY, code_deployed, created, draft_with_settings, proposed, running
from tests.support.read_models import BEGINNING, ReadModels


@pytest.fixture
def models(sqlite_database: Engine) -> ReadModels:
    return ReadModels(sqlite_database, projections=[listing.PROJECTION])


def line(models: ReadModels, key: str = KEY) -> ListedSplitTest:
    with models.engine.connect() as connection:
        found = listing.get(connection, key)
    assert found is not None
    return found


def keys(models: ReadModels, *, status: str | None = None, search: str = "") -> list[str]:
    with models.engine.connect() as connection:
        return [each.key for each in listing.rows(connection, status=status, search=search)]


def test_a_new_draft_is_listed_with_its_properties(models: ReadModels) -> None:
    models.given(created(description="Bigger", type="mobile", issue_key="SHOP-1", chat_room="#green"))
    assert line(models) == ListedSplitTest(
        key=KEY,
        name="Green button",
        description="Bigger",
        type="mobile",
        issue_key="SHOP-1",
        chat_room="#green",
        author="anna",
        managers=("anna",),
        status="draft",
        settings_group=0,
        starts_at=None,
        ends_at=None,
        code_deployed_at=None,
        created_at=BEGINNING + timedelta(minutes=1),
        updated_at=BEGINNING + timedelta(minutes=1),
        version=1,
    )


def test_edits_managers_and_the_time_of_the_last_change_are_shown(models: ReadModels) -> None:
    edits = (
        facts.PropertyChange(name="name", before="Green button", after="Blue button"),
        facts.PropertyChange(name="of_the_future", before="", after="x"),
    )
    models.given(
        created(),
        facts.PropertiesEdited(key=KEY, changes=edits),
        facts.ManagersChanged(key=KEY, added=("ivan",), removed=("anna",), managers=("ivan",)),
    )
    found = line(models)
    assert (found.name, found.managers, found.version) == ("Blue button", ("ivan",), 3)
    assert found.updated_at == BEGINNING + timedelta(minutes=3)


def test_the_dates_are_those_of_the_current_settings_group(models: ReadModels) -> None:
    models.given(created(), proposed())
    assert (line(models).settings_group, line(models).starts_at) == (0, None)
    models.given(*draft_with_settings("prepared"), proposed("prepared", 2, ends_at=JUNE + timedelta(days=9)))
    found = line(models, "prepared")
    assert (found.settings_group, found.starts_at, found.ends_at) == (1, MAY, JUNE)


def test_the_deployed_code_is_shown(models: ReadModels) -> None:
    models.given(*running(), code_deployed())
    assert line(models).code_deployed_at == datetime(2026, 5, 3, 14, 5, tzinfo=UTC)
    assert line(models).status == "running"


def test_the_newest_test_comes_first_and_a_discarded_draft_not_at_all(models: ReadModels) -> None:
    models.given(created("a"), created("b"), created("c"), facts.DraftDiscarded(key="b"))
    assert keys(models) == ["c", "a"]


def test_the_list_can_be_narrowed_to_a_status(models: ReadModels) -> None:
    models.given(created("a"), *running("b"))
    assert keys(models, status="running") == ["b"]


@pytest.mark.parametrize("search", ["GREEN", "кнопка", "shop-7", "anna", "100%", "A.b"])
def test_a_search_finds_any_case_in_any_alphabet_and_takes_no_wildcards(models: ReadModels, search: str) -> None:
    models.given(
        created("a.b", name="Зелёная КНОПКА 100%", description="green", issue_key="SHOP-7"),
        created("other", name="100 of it", author="oleg", managers=("oleg",)),
    )
    assert keys(models, search=search) == ["a.b"]
