"""The read model of user groups: list, changelog, and the document that servers get."""

import json
from typing import Any

import pytest
from sqlalchemy import Engine

from events import user_group_facts as facts
from projections import user_groups
from projections.config import ConfigDocument
from projections.user_groups import ListedUserGroup
from tests.support.histories import (
    CONDITIONS,
    FILTERS,
    KEY,
    active_group,
    conditions_changed,
    group_created,
    whole_life_of_user_group,
)
from tests.support.read_models import BEGINNING, ReadModels


@pytest.fixture
def models(sqlite_database: Engine) -> ReadModels:
    return ReadModels(sqlite_database, projections=[user_groups.PROJECTION])


def document_in(models: ReadModels, key: str = KEY) -> ConfigDocument | None:
    with models.engine.connect() as connection:
        return next(iter(user_groups.documents(connection, [key])), None)


def fields_in(models: ReadModels) -> dict[str, Any]:
    found = document_in(models)
    assert found is not None
    fields = json.loads(found.document)
    assert found.position == fields.pop("position")
    return dict(fields)


def sentences(models: ReadModels, key: str = KEY) -> list[str]:
    with models.engine.connect() as connection:
        return [entry.sentence for entry in user_groups.changelog(connection, key)]


def test_an_active_user_group_has_the_document_that_the_guide_shows(models: ReadModels) -> None:
    models.given(*active_group())

    assert document_in(models) == ConfigDocument(
        key="~user_group.green_button",
        position=3,
        document=(
            '{"format":1,"kind":"user_group","key":"green_button","position":3,"status":"active","settings_group":1,'
            f'"conditions":{CONDITIONS},'
            '"filters":{"is_test_user":{"type":"boolean","scope":"user"}}}'
        ),
    )


def test_a_draft_has_no_document(models: ReadModels) -> None:
    models.given(*active_group()[:2])

    assert document_in(models) is None


def test_new_conditions_of_an_active_one_are_in_its_document_at_once(models: ReadModels) -> None:
    models.given(*active_group(), conditions_changed(settings_group=2, conditions="[]"))

    fields = fields_in(models)
    assert (fields["settings_group"], fields["conditions"], fields["filters"]) == (2, [], {})


def test_what_servers_need_not_know_leaves_the_document_as_it_is(models: ReadModels) -> None:
    models.given(*active_group())
    before = document_in(models)
    models.given(*whole_life_of_user_group()[4:6])

    assert document_in(models) == before


def test_one_that_is_switched_off_is_off_and_keeps_its_conditions(models: ReadModels) -> None:
    models.given(*active_group(), facts.UserGroupSwitchedOff(key=KEY))

    assert (fields_in(models)["status"], fields_in(models)["conditions"]) == ("off", json.loads(CONDITIONS))


def test_a_discarded_one_tells_servers_to_forget_it_until_its_key_is_active_again(models: ReadModels) -> None:
    forget = {"format": 1, "kind": "user_group", "key": KEY, "status": "discarded"}
    models.given(*active_group(), facts.UserGroupSwitchedOff(key=KEY), facts.UserGroupDiscarded(key=KEY))
    assert fields_in(models) == forget

    models.given(group_created(), conditions_changed(settings_group=2))
    assert fields_in(models) == forget

    models.given(facts.UserGroupActivated(key=KEY))
    assert (fields_in(models)["status"], fields_in(models)["settings_group"]) == ("active", 2)


def test_a_draft_that_was_never_active_leaves_nothing_behind(models: ReadModels) -> None:
    models.given(group_created(), facts.UserGroupDiscarded(key=KEY))

    with models.engine.connect() as connection:
        assert user_groups.rows(connection) == []
        assert user_groups.documents(connection) == []


def test_the_list_has_what_people_look_for(models: ReadModels) -> None:
    models.given(*whole_life_of_user_group("a"), *whole_life_of_user_group("b")[:5], group_created("gone"))
    models.given(facts.UserGroupDiscarded(key="gone"))

    with models.engine.connect() as connection:
        assert [group.key for group in user_groups.rows(connection)] == ["b", "a"]
        assert [group.key for group in user_groups.rows(connection, search="WHO pays")] == ["b"]
        assert [group.key for group in user_groups.rows(connection, status="off")] == []
        assert user_groups.get(connection, "gone") is None
        group = user_groups.get(connection, "a")
    assert group is not None
    assert group == ListedUserGroup(
        key="a",
        name="Premium again",
        description="",
        author="anna",
        managers=("anna",),
        status="active",
        settings_group=3,
        conditions=CONDITIONS,
        filters=FILTERS,
        created_at=group.created_at,
        updated_at=group.updated_at,
        version=11,
    )
    assert BEGINNING < group.created_at < group.updated_at


def test_the_changelog_says_who_changed_what(models: ReadModels) -> None:
    models.given(*whole_life_of_user_group()[:7])

    assert sentences(models) == [
        "Created the user group “Premium”, a Draft.",
        "Changed the conditions; settings group 1 is in force: conditions (none) → is_test_user = Yes.",
        "Activated the user group; whoever meets the conditions is in it: status Draft → Active.",
        "Changed the conditions; settings group 2 is in force: conditions is_test_user = Yes → everybody.",
        "Edited the properties: description (none) → Who pays.",
        "Changed the managers: added ivan.",
        "Switched the user group off; nobody is in it: status Active → Off.",
    ]
    with models.engine.connect() as connection:
        entries = user_groups.changelog(connection, KEY, after=2, limit=1)
    assert [(each.position, each.actor, each.changes) for each in entries] == [
        (3, "anna", (("status", "Draft", "Active"),))
    ]


def test_the_changelog_of_an_earlier_life_is_nobodys_to_read(models: ReadModels) -> None:
    life = whole_life_of_user_group()
    models.given(*life[:8])
    assert sentences(models) == []

    models.given(*life[8:])
    assert [sentence.split(";")[0] for sentence in sentences(models)] == [
        "Created the user group “Premium again”, a Draft.",
        "Changed the conditions",
        "Activated the user group",
    ]
