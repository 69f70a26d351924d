"""Which claims name a person, and which role they give."""

from typing import Any

import pytest

from accounts.errors import NoNameGiven, NoRoleGiven
from accounts.identity import Role
from accounts.openid_people import PeopleRules

GROUPS: dict[str, Role] = {"pm": "manager", "admins": "superuser", "all": "viewer"}


@pytest.mark.parametrize(
    ("said", "role"),
    [
        (["all"], "viewer"),
        (["all", "pm"], "manager"),
        (["admins", "all", "pm"], "superuser"),
        ("pm", "manager"),
        (["elsewhere", "pm", 5, None, ["pm"]], "manager"),
    ],
)
def test_of_several_groups_the_one_that_may_most_counts(said: Any, role: Role) -> None:
    assert PeopleRules(role_claim="groups", roles=GROUPS).role_in({"groups": said}) == role


@pytest.mark.parametrize("said", [[], None, "", "PM", ["elsewhere"], {"pm": True}, 5])
def test_who_is_in_no_group_of_ours_gets_the_default_or_nothing(said: Any) -> None:
    with pytest.raises(NoRoleGiven, match="groups"):
        PeopleRules(role_claim="groups", roles=GROUPS).role_in({"groups": said})
    rules = PeopleRules(role_claim="groups", roles=GROUPS, default_role="viewer")
    assert rules.role_in({"groups": said}) == "viewer"


def test_without_a_claim_for_roles_the_account_keeps_its_own() -> None:
    assert PeopleRules(default_role="viewer").role_in({"groups": ["admins"]}) is None


def test_a_claim_is_found_by_its_name_or_by_its_path() -> None:
    nested = PeopleRules(role_claim="realm_access.roles", roles=GROUPS)
    assert nested.role_in({"realm_access": {"roles": ["pm"]}}) == "manager"
    with pytest.raises(NoRoleGiven):
        nested.role_in({"realm_access": ["roles"]})
    url = PeopleRules(role_claim="https://example.com/roles", roles=GROUPS)
    assert url.role_in({"https://example.com/roles": ["pm"]}) == "manager"


@pytest.mark.parametrize("said", [None, "", "  ", 5, ["ann"]])
def test_a_person_without_a_name_is_refused(said: Any) -> None:
    with pytest.raises(NoNameGiven, match="preferred_username"):
        PeopleRules().name_in({"preferred_username": said})


def test_a_mail_address_names_nobody_while_it_is_not_verified() -> None:
    rules = PeopleRules(name_claim="email")
    assert rules.name_in({"email": "ann@example.com"}) == "ann@example.com"
    assert rules.name_in({"email": "ann@example.com", "email_verified": True}) == "ann@example.com"
    with pytest.raises(NoNameGiven):
        rules.name_in({"email": "ann@example.com", "email_verified": False})
