"""What holds of every page: it fits a phone, it can be read in the dark, it can be used by keyboard alone."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from tests.support.pages import Pages, settle

CONTRAST: Final = (Path(__file__).parents[1] / "support" / "javascript" / "contrast.js").read_text()
LONG: Final = "a_name_without_a_single_place_to_break_it_because_somebody_liked_underscores_" + "x" * 20
SETTINGS: Final[Mapping[str, Any]] = {
    "starts_at": "2026-01-01",
    "ends_at": "2030-06-01",
    "conditions": [
        {"filter": "country_id", "operator": "in", "value": ["50", "59", "7", "18"]},
        "OR",
        [
            {"filter": "registered_at", "operator": "gte", "value": "2026-01-01"},
            "AND",
            {"filter": "is_test_user", "operator": "eq", "value": "Yes"},
        ],
    ],
    "total_percent": 30,
    "variants": [{"name": "control", "control": True}, {"name": "green"}, {"name": LONG}],
}
PHONE: Final[ViewportSize] = {"width": 360, "height": 740}
LOOKS: Final[tuple[Literal["light"], Literal["dark"]]] = ("light", "dark")
ADDRESSES: Final = (
    "/",
    "/new",
    "/tests/everywhere",
    "/tests/everywhere/settings",
    "/tests/everywhere/charts",
    "/tests/everywhere/changelog?as_of=2026-01-01T00:00",
    "/timeline",
    "/groups",
    "/new-group",
    "/qa",
    "/operations",
    "/accounts",
    "/new-account",
    "/accounts/vera",
    "/me",
    "/there/is/no/such/page",
)


@pytest.fixture(scope="session")  # the pages last as long, and a module may be come back to
def filled(pages: Pages) -> Pages:
    """Pages with something on each of them."""
    settle(pages, "everywhere", SETTINGS, managers=["bob", "a.manager.with.a.long.name@department.example"])
    with pages.commands("ann") as (commands, request):
        commands.create(request, key=f"k.{LONG}", name=LONG, description=LONG * 3, issue_key="SHOP-1")
    return pages


def seen(page: Page, address: str) -> Page:
    """Go to an address, and wait until its page is driven and has counted what it counts."""
    page.goto(address)
    expect(page.locator("#main")).to_be_visible()
    if address.endswith("/settings"):
        expect(page.locator("[data-live=users]")).to_be_visible()
    return page


@pytest.fixture(scope="module")
def window(filled: Pages) -> Iterator[Page]:
    with filled.signed_in("sue", color_scheme="light", reduced_motion="reduce", has_touch=True) as page:
        yield page


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_page_can_be_read_in_light_and_in_the_dark_and_fits_a_phone(window: Page, address: str) -> None:
    page = seen(window, address)
    for look in LOOKS:
        page.emulate_media(color_scheme=look)
        page.wait_for_function("dark => document.body.classList.contains('body--dark') === dark", arg=look == "dark")
        assert page.evaluate(CONTRAST) == [], f"texts too pale, {look}"
    wide = page.viewport_size
    page.set_viewport_size(PHONE)
    try:
        width, needed = page.evaluate("[document.documentElement.clientWidth, document.documentElement.scrollWidth]")
        assert needed <= width, f"{needed - width} pixels wider than the phone"
    finally:
        page.set_viewport_size(wide or {"width": 1280, "height": 720})


def test_a_person_chooses_light_or_dark_for_good(pages: Pages) -> None:
    with pages.signed_in("vera", color_scheme="light") as page:
        expect(page.locator("body")).not_to_have_class(re.compile("body--dark"))
        page.get_by_role("button", name="Light or dark").click()
        expect(page.locator("body")).to_have_class(re.compile("body--dark"))
        page.reload()
        expect(page.locator("body")).to_have_class(re.compile("body--dark"))


def tab_to(page: Page, role: str, name: str) -> None:
    """Press Tab until the focus is on what has this role and name, as somebody without a mouse does."""
    wanted = page.get_by_role(role, name=name, exact=True).last  # type: ignore[arg-type]  # a role as text
    expect(wanted).to_be_enabled()
    for _ in range(60):
        if wanted.evaluate("each => each === document.activeElement"):
            return
        page.keyboard.press("Tab")
    pytest.fail(f"no {role} {name!r} within 60 stops of the Tab key")


def press(page: Page, role: str, name: str, key: str = "Enter") -> None:
    tab_to(page, role, name)
    page.keyboard.press(key)


def test_a_test_is_created_and_started_by_keyboard_alone(pages: Pages) -> None:
    with pages.signed_in("ann") as page:
        press(page, "button", "New test")
        page.wait_for_url("/new")
        for label, text in {"Key": "by_keyboard", "Name": "By keyboard"}.items():
            tab_to(page, "textbox", label)
            page.keyboard.type(text)
        press(page, "button", "Create and go on to its settings")
        page.wait_for_url("/tests/by_keyboard/settings")
        tab_to(page, "textbox", "Total percent of users")
        page.keyboard.press("Control+a")
        page.keyboard.type("30")
        press(page, "button", "Propose these settings")
        page.wait_for_url(re.compile("/tests/by_keyboard$"))
        expect(page.locator("dl.us").first).to_contain_text("Settings group1")
        for step, status in (("Publish", "In Dev"), ("Start", "Running")):
            press(page, "button", step)
            dialog = page.get_by_role("dialog")
            expect(dialog).to_be_visible()
            page.wait_for_function("document.activeElement.closest('[role=dialog]') !== null")
            press(page, "button", step)
            expect(page.locator(".us-head .us-chip").first).to_have_text(status)
