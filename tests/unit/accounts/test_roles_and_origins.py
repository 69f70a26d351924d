"""What each role may, and which requests a browser's cookie counts for."""

import pytest

from accounts.errors import NotAllowed
from accounts.identity import PERMISSIONS, PERMISSIONS_OF, ROLES, Identity, Permission, Role
from accounts.origin import is_foreign, is_our_own, own_address

TABLE: dict[Role, set[Permission]] = {
    "viewer": {"read", "evaluate"},
    "qa": {"read", "evaluate", "override"},
    "developer": {"read", "evaluate", "override", "create"},
    "manager": {"read", "evaluate", "override", "create", "steer"},
    "superuser": set(PERMISSIONS),
}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("permission", PERMISSIONS)
def test_a_role_may_what_the_table_says_and_nothing_else(role: Role, permission: Permission) -> None:
    identity = Identity(name="ann", role=role)
    assert identity.may(permission) == (permission in TABLE[role])
    if permission not in TABLE[role]:
        with pytest.raises(NotAllowed, match=f"ann may not {permission}: the role {role}"):
            identity.require(permission)


def test_every_role_is_in_the_table() -> None:
    assert set(TABLE) == set(PERMISSIONS_OF) == set(ROLES)


def test_only_superusers_act_as_such() -> None:
    assert [role for role in ROLES if Identity(name="ann", role=role).actor.is_superuser] == ["superuser"]


HOST = {"host": "split.example.com"}


@pytest.mark.parametrize(
    ("headers", "ours", "foreign"),
    [
        ({}, False, False),
        ({"origin": "https://split.example.com"}, True, False),
        ({"origin": "http://SPLIT.example.com"}, True, False),
        ({"sec-fetch-site": "same-origin"}, True, False),
        ({"sec-fetch-site": "none"}, True, False),
        ({"sec-fetch-site": "same-site", "origin": "https://split.example.com"}, False, True),
        ({"sec-fetch-site": "cross-site"}, False, True),
        ({"origin": "https://evil.example.com"}, False, True),
        ({"origin": "https://split.example.com.evil.com"}, False, True),
        ({"origin": "https://split.example.com:8443"}, False, True),
        ({"origin": "null"}, False, True),
        ({"origin": "https://["}, False, True),
        ({"origin": ""}, False, True),
    ],
)
def test_a_cookie_counts_for_our_own_pages_only(headers: dict[str, str], ours: bool, foreign: bool) -> None:  # noqa: FBT001 - a table
    assert is_our_own(HOST | headers) is ours
    assert is_foreign(HOST | headers) is foreign


def test_behind_a_proxy_the_public_address_is_ours_as_well() -> None:
    headers = {"host": "10.0.0.7:8080", "origin": "https://split.example.com"}
    assert not is_our_own(headers)
    assert is_our_own(headers, public_url="https://split.example.com")


@pytest.mark.parametrize("target", ["/", "/tests/green?tab=2", "/tests/a//b", "/?next=https://evil.example"])
def test_an_address_of_ours_is_led_on_to(target: str) -> None:
    assert own_address(target) == target


@pytest.mark.parametrize(
    "target",
    [
        "",
        "tests",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "https://evil.example/",
        "https:/evil.example",
        "javascript:alert(1)",
        "/\n/evil.example",
        "/\t/evil.example",
        "\n//evil.example",
        " //evil.example",
        "http://[",
    ],
)
def test_any_other_address_becomes_the_first_page(target: str) -> None:
    assert own_address(target) == "/"
