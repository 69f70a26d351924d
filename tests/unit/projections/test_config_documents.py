import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from events import facts
from projections import config
from projections.config import ConfigDocument
from tests.support.histories import (
    JUNE,
    KEY,
    code_deployed,
    created,
    draft_with_settings,
    prepared,
    proposed,
    published,
    running,
)
from tests.support.read_models import ReadModels


@pytest.fixture
def models(sqlite_database: Engine) -> ReadModels:
    return ReadModels(sqlite_database, projections=[config.PROJECTION])


def found(models: ReadModels, key: str = KEY) -> ConfigDocument | None:
    with models.engine.connect() as connection:
        return config.get(connection, key)


def document(models: ReadModels, key: str = KEY) -> dict[str, Any]:
    config_document = found(models, key)
    assert config_document is not None
    decoded = json.loads(config_document.document)
    assert decoded["position"] == config_document.position
    return dict(decoded)


def test_a_draft_that_was_never_published_has_no_document(models: ReadModels) -> None:
    models.given(*draft_with_settings())
    assert found(models) is None
    models.given(facts.DraftDiscarded(key=KEY))
    assert found(models) is None


def test_the_document_has_every_field_of_the_format_in_its_order(models: ReadModels) -> None:
    models.given(*published())
    config_document = found(models)
    assert config_document == ConfigDocument(
        key=KEY,
        position=4,
        document='{"format":1,"kind":"split_test","key":"green_button","position":4,"status":"in_dev","type":"web",'
        '"settings_group":1,"starts_at":"2026-05-01T00:00:00Z","ends_at":"2026-06-01T00:00:00Z",'
        '"conditions":[{"filter": "is_test_user", "operator": "eq", "value": "Yes"}],'
        '"filters":{"is_test_user":{"type":"boolean","scope":"user"}},'
        '"variants":[{"name":"control","is_control":true,"split_groups":[1,3,5]},'
        '{"name":"red","is_control":false,"split_groups":[2,4,2400]}],"result":null}',
    )


def test_a_test_published_without_settings_has_empty_lists_and_no_dates(models: ReadModels) -> None:
    models.given(created(), facts.SplitTestPublished(key=KEY))
    shown = document(models)
    assert (shown["settings_group"], shown["starts_at"], shown["ends_at"]) == (0, None, None)
    assert (shown["conditions"], shown["filters"], shown["variants"]) == ([], {}, [])


def test_conditions_are_kept_exactly_as_the_manager_gave_them(models: ReadModels) -> None:
    given = '[ {"value": 1.50, "filter": "x", "operator": "eq"} ]'
    models.given(created(), proposed(conditions=given), prepared(), facts.SplitTestPublished(key=KEY))
    config_document = found(models)
    assert config_document is not None
    assert f'"conditions":{given}' in config_document.document


def test_a_proposal_changes_nothing_until_it_is_prepared(models: ReadModels) -> None:
    models.given(*running())
    before = found(models)
    models.given(proposed(settings_group=2, ends_at=JUNE + timedelta(days=1)))
    assert found(models) == before
    models.given(prepared(settings_group=2))
    assert document(models)["settings_group"] == 2
    assert document(models)["ends_at"] == "2026-06-02T00:00:00Z"
    assert document(models)["position"] == 8


def test_facts_that_change_nothing_in_the_document_do_not_move_it(models: ReadModels) -> None:
    models.given(*running())
    before = found(models)
    rename = facts.PropertyChange(name="name", before="Green button", after="Blue button")
    models.given(
        code_deployed(),
        facts.PropertiesEdited(key=KEY, changes=(rename,)),
        facts.ManagersChanged(key=KEY, added=("ivan",), removed=(), managers=("anna", "ivan")),
        facts.SettingsGroupPreparationFailed(key=KEY, settings_group=2, reason="…"),
    )
    assert found(models) == before


def test_another_type_moves_it(models: ReadModels) -> None:
    retype = facts.PropertyChange(name="type", before="web", after="server")
    models.given(*running(), facts.PropertiesEdited(key=KEY, changes=(retype,)))
    assert (document(models)["type"], document(models)["position"]) == ("server", 7)


def test_each_step_of_the_life_moves_it(models: ReadModels) -> None:
    models.given(*running())
    for fact, status in (
        (facts.SplitTestPaused(key=KEY), "paused"),
        (facts.SplitTestResumed(key=KEY), "running"),
        (facts.SplitTestFinished(key=KEY, resulting_variant="red", scope="conditions"), "finished"),
    ):
        before = document(models)["position"]
        models.given(fact)
        assert document(models)["status"] == status
        assert document(models)["position"] == before + 1
    assert document(models)["result"] == {"variant": "red", "scope": "conditions"}


def test_an_unpublished_test_tells_servers_to_forget_it_and_nothing_more(models: ReadModels) -> None:
    models.given(*published(), facts.SplitTestUnpublished(key=KEY))
    forget = {"format": 1, "kind": "split_test", "key": KEY, "position": 5, "status": "draft"}
    assert document(models) == forget
    models.given(proposed(settings_group=2), prepared(settings_group=2))
    assert document(models) == forget, "what a Draft becomes is nobody's business"
    models.given(facts.DraftDiscarded(key=KEY))
    assert document(models) == forget | {"position": 8, "status": "discarded"}


def test_a_new_test_of_a_discarded_key_leaves_the_document_alone_until_it_is_published(models: ReadModels) -> None:
    models.given(*published(), facts.SplitTestUnpublished(key=KEY), facts.DraftDiscarded(key=KEY))
    discarded = found(models)
    models.given(*draft_with_settings())
    assert found(models) == discarded
    models.given(facts.DraftDiscarded(key=KEY))
    assert found(models) == discarded
    models.given(*published())
    assert (document(models)["status"], document(models)["position"]) == ("in_dev", 14)


def test_documents_can_be_had_together(models: ReadModels) -> None:
    models.given(*published("b"), *published("a"), created("draft"))
    with models.engine.connect() as connection:
        assert [each.key for each in config.all_documents(connection)] == ["a", "b"]
        assert [each.key for each in config.get_many(connection, ["b", "draft", "gone"])] == ["b"]
