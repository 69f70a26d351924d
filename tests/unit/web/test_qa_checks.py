import pytest

from usersplit import Guest, User
from web.qa_checks import WrongProfile, profile_of


def test_a_user_and_the_way_they_came_are_read_line_by_line() -> None:
    found = profile_of(
        unit="user",
        unit_id=" 42 ",
        split_group="7",
        attributes="country_id=50\n\nis_new_user = 1",
        came="platform=web\napp=x",
    )
    assert isinstance(found.unit, User)
    assert (found.unit.id, found.unit.split_group) == ("42", 7)
    assert dict(found.unit.attributes) == {"country_id": "50", "is_new_user": "1"}
    assert found.environment.platform == "web"


def test_a_guest_has_no_profile() -> None:
    found = profile_of(unit="guest", unit_id="g", split_group="", attributes="", came="")
    assert isinstance(found.unit, Guest)


def test_a_split_group_alone_can_be_asked_about_and_nobody_cannot() -> None:
    found = profile_of(unit="user", unit_id="", split_group="7", attributes="", came="")
    assert found.unit.split_group == 7
    with pytest.raises(WrongProfile, match="the id is empty"):
        profile_of(unit="user", unit_id=" ", split_group="", attributes="country_id=50", came="")


@pytest.mark.parametrize("group", ["0", "2401", "²", "-1", "seven", "1e3", "9" * 50])
def test_what_is_no_split_group_is_refused(group: str) -> None:
    with pytest.raises(WrongProfile, match="no split group"):
        profile_of(unit="user", unit_id="1", split_group=group, attributes="", came="")


@pytest.mark.parametrize("line", ["country_id", "=50"])
def test_a_line_that_is_not_name_and_value_is_refused(line: str) -> None:
    with pytest.raises(WrongProfile, match="NAME=VALUE"):
        profile_of(unit="user", unit_id="1", split_group="", attributes=line, came="")
