"""The shop in Flask keeps its guests, and shows guests and users their variants."""

from collections.abc import Iterator

import pytest
from werkzeug.test import Client

import usersplit
from examples.flask_store import BUTTON_TEST, create_app
from tests.support.sdk_config_documents import config_document
from usersplit.guests import GuestCookie

DOCUMENT = config_document(
    BUTTON_TEST,
    conditions=[],
    filters={},
    ends_at="2126-01-01T00:00:00Z",
    variants=[
        {"name": "red", "is_control": False, "split_groups": list(range(1, 1201))},
        {"name": "blue", "is_control": False, "split_groups": list(range(1201, 2401))},
    ],
)
USERS = {"1": usersplit.User(id=1, split_group=1), "2": usersplit.User(id=2, split_group=2400)}
COOKIE = GuestCookie(secrets=["a secret of 16 bytes and more"])


@pytest.fixture
def wire() -> usersplit.MemoryHitTransport:
    return usersplit.MemoryHitTransport()


@pytest.fixture
def split_tests(wire: usersplit.MemoryHitTransport) -> Iterator[usersplit.UserSplit]:
    hits = usersplit.HitLogger(wire, app="shop", environment_name="devel")
    with usersplit.UserSplit(configs=usersplit.MemoryConfigs([DOCUMENT]), hits=hits) as client:
        yield client


def button(browser: Client, address: str) -> str:
    page = browser.get(address).json
    assert page is not None
    return str(page["button"])


def test_a_guest_of_the_flask_shop_sees_the_same_button_again_and_is_one_guest(
    split_tests: usersplit.UserSplit, wire: usersplit.MemoryHitTransport
) -> None:
    shop = create_app(split_tests, USERS, COOKIE)
    buttons = []
    for _ in range(30):
        browser = Client(shop)
        buttons.append({button(browser, "/") for _ in range(3)})
    assert all(len(seen) == 1 for seen in buttons)
    assert {"red"} in buttons
    assert {"blue"} in buttons
    split_tests.flush()
    assert {hit.unit_type for hit in wire.hits} == {"guest"}
    assert len(wire.hits) == 90
    assert len({hit.unit_id for hit in wire.hits}) == 30


def test_a_user_has_a_group_of_their_own_whatever_the_browsers_cookie(
    split_tests: usersplit.UserSplit, wire: usersplit.MemoryHitTransport
) -> None:
    browser = Client(create_app(split_tests, USERS, COOKIE))
    browser.get("/")
    assert (button(browser, "/?user=1"), button(browser, "/?user=2")) == ("red", "blue")
    split_tests.flush()
    assert [(hit.unit_type, hit.unit_id) for hit in wire.hits[1:]] == [("user", "1"), ("user", "2")]
    health = browser.get("/health").json
    assert health is not None
    assert set(health["dropped"].values()) == {0}
