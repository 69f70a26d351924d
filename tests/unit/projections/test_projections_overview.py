from dataclasses import replace

import pytest
from sqlalchemy import Engine

from events.database import write_transaction
from projections import changelog, registry
from projections import test_list as listing
from projections.errors import NothingToPause, NothingToResume
from projections.overview import GenerationOverview, overview
from projections.projection import Projection
from tests.support.histories import created
from tests.support.read_models import ReadModels

MODEL = listing.PROJECTION


@pytest.fixture
def models(sqlite_database: Engine) -> ReadModels:
    return ReadModels(sqlite_database, projections=[MODEL])


def seen(models: ReadModels, *projections: Projection) -> list[GenerationOverview]:
    with models.engine.connect() as connection:
        return overview(connection, projections or (MODEL,), head=models.store.head())


def pause(models: ReadModels, reason: str = "a look at it") -> None:
    with write_transaction(models.engine) as connection:
        registry.pause(connection, MODEL.name, reason=reason)


def resume(models: ReadModels) -> None:
    with write_transaction(models.engine) as connection:
        registry.resume(connection, MODEL.name)


def test_a_live_projection_needs_no_advice(models: ReadModels) -> None:
    models.given(created())
    (found,) = seen(models)
    assert (found.generation, found.position, found.lag, found.state, found.serves) == (1, 1, 0, "live", True)
    assert not found.advice


def test_a_projection_that_never_ran_is_missing(models: ReadModels) -> None:
    models.append([created()])
    (found,) = seen(models)
    assert (found.generation, found.lag, found.state, found.serves) == (0, 1, "missing", False)
    assert found.advice == "start the projector, which builds it"


def test_a_paused_projection_serves_its_last_rows_and_says_why_how_far_behind_and_how_to_go_on(
    models: ReadModels,
) -> None:
    models.given(created())
    pause(models)
    models.given(created("second"))
    (found,) = seen(models)
    assert (found.state, found.reason, found.lag, found.serves) == ("paused", "a look at it", 1, True)
    assert "projections resume test_list" in found.advice
    with models.engine.connect() as connection:
        assert [row.key for row in listing.rows(connection)] == [created().key]
    resume(models)
    models.projector.catch_up()
    assert seen(models)[0].lag == 0


def test_generations_stand_side_by_side_while_one_is_built(models: ReadModels) -> None:
    models.given(created())
    with write_transaction(models.engine) as connection:
        registry.create(connection, MODEL, number=2, state="building")
    assert [(each.generation, each.state, each.lag, each.serves) for each in seen(models)] == [
        (1, "live", 0, True),
        (2, "building", 1, False),
    ]


def test_rows_of_another_version_are_outdated_and_serve_nobody(models: ReadModels) -> None:
    models.given(created())
    (found,) = seen(models, replace(MODEL, version=MODEL.version + 1))
    assert (found.state, found.version, found.serves) == ("outdated", MODEL.version, False)
    assert found.advice.endswith("`rebuild test_list`")


def test_a_projection_that_is_ahead_of_a_restored_log_is_told_apart(models: ReadModels) -> None:
    models.given(created())
    older = ReadModels(models.engine, projections=[MODEL])
    (found,) = seen(older)
    assert (found.lag, found.state) == (-1, "live")
    assert "was an older one restored" in found.advice


def test_only_what_is_live_is_paused_and_only_what_is_paused_is_resumed(models: ReadModels) -> None:
    with pytest.raises(NothingToPause, match="is not built yet"):
        pause(models)
    models.given(created())
    with pytest.raises(NothingToResume, match="is live"):
        resume(models)
    pause(models)
    with pytest.raises(NothingToPause, match="is paused"):
        pause(models)
    assert seen(models, changelog.PROJECTION)[0].state == "missing", "nothing else was touched"
