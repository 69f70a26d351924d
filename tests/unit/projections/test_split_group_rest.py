from collections.abc import Mapping

import pytest
from sqlalchemy import Engine

from events import facts
from projections import split_group_rest
from tests.support.histories import KEY, draft_with_settings, prepared, proposed, published, running
from tests.support.read_models import ReadModels


@pytest.fixture
def models(sqlite_database: Engine) -> ReadModels:
    return ReadModels(sqlite_database, projections=[split_group_rest.PROJECTION])


def last_used(models: ReadModels) -> Mapping[int, int]:
    with models.engine.connect() as connection:
        return split_group_rest.last_used(connection)


def test_groups_that_a_test_holds_have_not_been_let_go(models: ReadModels) -> None:
    models.given(*running())
    assert last_used(models) == {}


@pytest.mark.parametrize(
    "end",
    [
        facts.SplitTestFinished(key=KEY, resulting_variant="red", scope="worldwide"),
        facts.SplitTestRejected(key=KEY),
        facts.DraftDiscarded(key=KEY),
    ],
    ids=lambda end: type(end).__name__,
)
def test_the_end_of_a_test_lets_all_its_groups_go(models: ReadModels, end: object) -> None:
    models.given(*running(), end)
    assert last_used(models) == dict.fromkeys((1, 2, 3, 4, 5, 2400), 7)


def test_a_settings_group_lets_go_what_it_does_without(models: ReadModels) -> None:
    smaller = (facts.PreparedVariant(name="control", split_groups=(1, 3)),)
    models.given(*published(), proposed(settings_group=2), prepared(settings_group=2, variants=smaller))
    assert last_used(models) == dict.fromkeys((2, 4, 5, 2400), 6)
    models.given(facts.SplitTestRejected(key=KEY))
    assert last_used(models) == {1: 7, 2: 6, 3: 7, 4: 6, 5: 6, 2400: 6}


def test_what_nobody_has_seen_leaves_no_trace(models: ReadModels) -> None:
    models.given(*draft_with_settings(), facts.DraftDiscarded(key=KEY))
    assert last_used(models) == {}
