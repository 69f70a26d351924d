from collections.abc import Mapping
from dataclasses import replace

import pytest

from domain.circle import MAX_MANAGERS
from domain.errors import (
    KeyTaken,
    LastManager,
    NameMissing,
    NoSuchManager,
    NotAManager,
    NothingChanges,
    NotOneLine,
    SplitTestNotFound,
    TextTooLong,
    TooManyManagers,
    WrongKey,
    WrongManagerName,
    WrongProperty,
    WrongText,
    WrongType,
)
from domain.properties import NewSplitTest, change_managers, create, edit_properties
from domain.split_test import load
from events.facts import DraftDiscarded, ManagersChanged, PropertiesEdited, PropertyChange, SplitTestCreated
from tests.unit.domain.histories import ANNA, DRAFT, FINISHED, IN_DEV, KEY, READY, STRANGER, SUPERUSER

WANTED = NewSplitTest(key=KEY, name=" Green button ", issue_key="UI-7", managers=("boris", "anna", "boris"))


def test_anyone_creates_and_becomes_the_first_manager() -> None:
    assert create(None, ANNA, WANTED) == (
        SplitTestCreated(
            key=KEY, name="Green button", author="anna", managers=("anna", "boris"), type="web", issue_key="UI-7"
        ),
    )


def test_a_taken_key_is_refused_without_a_word_about_the_other_test() -> None:
    with pytest.raises(KeyTaken) as refusal:
        create(load(DRAFT), STRANGER, WANTED)
    assert str(refusal.value) == "the key 'green_button' is taken; choose another one"


def test_a_discarded_key_is_free_and_its_settings_groups_go_on_counting() -> None:
    discarded = load([*READY, DraftDiscarded(key=KEY)])
    created = create(discarded, STRANGER, WANTED)
    assert created[0].author == "stranger"
    again = load([*READY, DraftDiscarded(key=KEY), *created])
    assert again is not None
    assert (again.current, again.pending, again.last_settings_group) == (None, None, 1)


@pytest.mark.parametrize("key", ["a", "Green.Button-2_x", "7", "-", "x" * 100])
def test_a_key_is_made_of_letters_digits_dots_underscores_and_dashes(key: str) -> None:
    assert create(None, ANNA, replace(WANTED, key=key))


@pytest.mark.parametrize(
    ("key", "detail"),
    [
        ("", "it is empty"),
        ("x" * 101, "it has 101 characters"),
        ("green button", "use only letters"),
        ("grün", "use only letters"),
        ("a/b", "use only letters"),
        ("a\n", "use only letters"),
        ("..", "it starts with a dot"),
        (".hidden", "it starts with a dot"),
    ],
)
def test_anything_else_is_no_key(key: str, detail: str) -> None:
    with pytest.raises(WrongKey, match=detail):
        create(None, ANNA, replace(WANTED, key=key))


@pytest.mark.parametrize("name", ["", "  ", "two\nlines"])
def test_a_test_needs_a_name_of_one_line(name: str) -> None:
    with pytest.raises(NameMissing):
        create(None, ANNA, replace(WANTED, name=name))


@pytest.mark.parametrize("value", ["", "Web", "two words", "9x"])
def test_a_type_is_one_lower_case_word(value: str) -> None:
    with pytest.raises(WrongType):
        create(None, ANNA, replace(WANTED, type=value))


def test_a_manager_needs_a_name() -> None:
    with pytest.raises(WrongManagerName):
        create(None, ANNA, replace(WANTED, managers=(" ",)))


def test_an_edit_records_what_changes_before_and_after() -> None:
    changes = {"name": "Greener button", "type": "web", "description": "  why "}
    assert edit_properties(load(FINISHED), KEY, ANNA, changes) == (
        PropertiesEdited(
            key=KEY,
            changes=(
                PropertyChange(name="name", before="Green button", after="Greener button"),
                PropertyChange(name="description", before="", after="why"),
            ),
        ),
    )


def test_an_edit_is_what_the_state_shows_afterwards() -> None:
    changes = {"name": "N", "description": "d", "type": "mobile", "issue_key": "I-1", "chat_room": "room"}
    after = load([*DRAFT, *edit_properties(load(DRAFT), KEY, ANNA, changes)])
    assert after is not None
    assert (after.name, after.description, after.type, after.issue_key, after.chat_room) == tuple(changes.values())


@pytest.mark.parametrize("changes", [{}, {"name": "Green button "}])
def test_an_edit_that_changes_nothing_is_refused(changes: Mapping[str, str]) -> None:
    with pytest.raises(NothingChanges, match="the properties of green_button"):
        edit_properties(load(DRAFT), KEY, ANNA, changes)


@pytest.mark.parametrize("changes", [{"key": "other"}, {"nmae": "x"}, {"name": 7}])
def test_what_is_no_property_cannot_be_edited(changes: Mapping[str, str]) -> None:
    with pytest.raises(WrongProperty, match="name, description, type, issue_key, chat_room"):
        edit_properties(load(DRAFT), KEY, ANNA, changes)


@pytest.mark.parametrize("text", ["zero \0", "half a pair \ud800"])
def test_a_text_that_no_database_could_store_is_refused(text: str) -> None:
    with pytest.raises(WrongText, match="description holds characters that cannot be stored"):
        create(None, ANNA, replace(WANTED, description=text))
    with pytest.raises(NotOneLine, match="issue_key"):
        edit_properties(load(DRAFT), KEY, ANNA, {"issue_key": text})


def test_only_managers_edit() -> None:
    with pytest.raises(NotAManager):
        edit_properties(load(IN_DEV), KEY, STRANGER, {"name": "x"})
    with pytest.raises(SplitTestNotFound):
        edit_properties(load(DRAFT), KEY, STRANGER, {"name": "x"})


def test_managers_are_exchanged_in_one_step() -> None:
    assert change_managers(load(FINISHED), KEY, ANNA, add=["clara"], remove=["anna"]) == (
        ManagersChanged(key=KEY, added=("clara",), removed=("anna",), managers=("boris", "clara")),
    )


def test_one_manager_must_remain() -> None:
    with pytest.raises(LastManager):
        change_managers(load(DRAFT), KEY, SUPERUSER, remove=["anna", "boris"])


def test_who_is_not_in_the_circle_cannot_leave_it() -> None:
    with pytest.raises(NoSuchManager, match="ana is not a manager of green_button, whose managers are anna, boris"):
        change_managers(load(DRAFT), KEY, ANNA, remove=["ana"])


@pytest.mark.parametrize("add", [[], ["boris"]])
def test_a_circle_that_stays_the_same_is_refused(add: list[str]) -> None:
    with pytest.raises(NothingChanges, match="the managers"):
        change_managers(load(DRAFT), KEY, ANNA, add=add)


def test_an_added_manager_needs_a_name() -> None:
    with pytest.raises(WrongManagerName):
        change_managers(load(DRAFT), KEY, ANNA, add=[""])


LONGEST = {"name": 200, "description": 10_000, "issue_key": 200, "chat_room": 200}


@pytest.mark.parametrize(("field", "most"), LONGEST.items())
def test_texts_have_an_end(field: str, most: int) -> None:
    longest = NewSplitTest(**{"key": KEY, "name": "N", field: "x" * most})
    assert getattr(create(None, ANNA, longest)[0], field) == "x" * most
    too_long = NewSplitTest(**{"key": KEY, "name": "N", field: "x" * (most + 1)})
    with pytest.raises(TextTooLong, match=f"{most + 1:,} characters and may have {most:,}"):
        create(None, ANNA, too_long)
    with pytest.raises(TextTooLong):
        edit_properties(load(DRAFT), KEY, ANNA, {field: "x" * (most + 1)})


def test_a_type_of_more_than_forty_letters_is_refused_in_a_short_sentence() -> None:
    with pytest.raises(WrongType) as refused:
        create(None, ANNA, replace(WANTED, type="x" * 100_000))
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("text", ["two\nlines", "a\ttab", "an escape \x1b[31m", "a line \u2028 separator", "nul \0"])
@pytest.mark.parametrize("field", ["issue_key", "chat_room"])
def test_what_stands_on_one_line_has_no_control_characters(field: str, text: str) -> None:
    with pytest.raises(NotOneLine, match=field):
        edit_properties(load(DRAFT), KEY, ANNA, {field: text})


def test_a_description_has_lines_and_tabs_and_no_orders_to_a_terminal() -> None:
    created = create(None, ANNA, replace(WANTED, description="one\r\n\ttwo\n"))
    assert created[0].description == "one\n\ttwo"
    with pytest.raises(WrongText):
        create(None, ANNA, replace(WANTED, description="red \x1b[31m"))


def test_a_manager_has_a_name_that_fits() -> None:
    assert create(None, ANNA, replace(WANTED, managers=("x" * 200,)))
    with pytest.raises(TextTooLong, match="a manager's name"):
        create(None, ANNA, replace(WANTED, managers=("x" * 201,)))
    with pytest.raises(TextTooLong, match="a manager's name"):
        change_managers(load(DRAFT), KEY, ANNA, add=["x" * 201])


def test_a_circle_has_a_hundred_managers_at_most() -> None:
    people = tuple(f"person {number}" for number in range(MAX_MANAGERS))
    assert len(create(None, ANNA, replace(WANTED, managers=people[1:]))[0].managers) == MAX_MANAGERS
    with pytest.raises(TooManyManagers, match="101 managers and may be 100"):
        create(None, ANNA, replace(WANTED, managers=people))
    with pytest.raises(TooManyManagers):
        change_managers(load(DRAFT), KEY, ANNA, add=people)


def test_a_circle_from_before_there_were_bounds_can_be_made_smaller() -> None:
    crowd = (*(f"person {number}" for number in range(150)), "x" * 300)
    test = load(DRAFT)
    assert test is not None
    (changed,) = change_managers(replace(test, managers=("anna", *crowd)), KEY, ANNA, remove=[crowd[0]])
    assert changed.managers == ("anna", *crowd[1:])
