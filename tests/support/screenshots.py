"""Takes the pictures of docs/screenshots: `make screenshots`. They show the demo, after its play, in Chromium."""

import sys
import tempfile
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Page, sync_playwright

from entrypoints.console import console
from entrypoints.demo import COLORS, MANAGER, PASSWORD, PRICING, Demo
from tests.support.chromium import ARGUMENTS, chromium_place

PLACE: Final = Path(__file__).parents[2] / "docs" / "screenshots"
WIDE: Final = {"width": 1280, "height": 800}
PHONE: Final = {"width": 400, "height": 800}


def main() -> None:
    """Play the demo, and take a picture of each page."""
    PLACE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        play = Demo(Path(directory), console())
        with play.running():
            play.play()
            play.leave_open()
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium_place(), args=ARGUMENTS)
                _take_all(browser, play.pages_url)
                browser.close()


def _take_all(browser: Browser, url: str) -> None:
    for look, size, scheme in (("", WIDE, "light"), ("-dark", WIDE, "dark"), ("-phone", PHONE, "light")):
        for name, addresses in ((MANAGER, _ADDRESSES), ("superuser", _OF_SUPERUSERS)):
            context = browser.new_context(base_url=url, viewport=size, color_scheme=scheme)  # type: ignore[arg-type]  # a literal
            page = context.new_page()
            page.goto("/login")
            if name == MANAGER:
                _take(page, f"login{look}")
            page.get_by_label("Name").fill(name)
            page.get_by_label("Password").fill(PASSWORD)
            page.keyboard.press("Enter")
            page.wait_for_url("/")
            for each, address in addresses.items():
                _go(page, each, address, look)
                _take(page, f"{each}{look}")
            context.close()


def _go(page: Page, name: str, address: str, look: str) -> None:
    page.goto(address)
    page.wait_for_selector("#main")
    page.wait_for_timeout(1500)  # charts and counts are drawn when they come
    if name == "settings":
        page.get_by_role("button", name="Preview").click()
        page.get_by_text("Against what is in force now").wait_for()
    elif name == "your-account":
        page.get_by_label("What it is for").fill(_PURPOSES[look])
        for scope in ("read:", "override:"):
            page.get_by_role("checkbox", name=scope).click()
        page.get_by_role("button", name="Make a token").click()
        page.get_by_label("The new token").wait_for()
    page.evaluate("scrollTo(0, 0)")


_PURPOSES: Final = {"": "autotests of the shop", "-dark": "the nightly build", "-phone": "a script of the QA team"}
_ADDRESSES: Final = {
    "tests": "/",
    "test": f"/tests/{COLORS}",
    "settings": f"/tests/{COLORS}/settings",
    "charts": f"/tests/{PRICING}/charts?window=minutes",
    "changelog": f"/tests/{PRICING}/changelog",
    "timeline": "/timeline?over=1",
    "groups": "/groups",
    "qa": "/qa",
    "operations": "/operations",
    "your-account": "/me",
}
_OF_SUPERUSERS: Final = {
    "accounts": "/accounts",
    "account": f"/accounts/{MANAGER}",
    "new-account": "/new-account",
}


def _take(page: Page, name: str) -> None:
    page.screenshot(path=PLACE / f"{name}.png", full_page=True)
    sys.stdout.write(f"docs/screenshots/{name}.png\n")


if __name__ == "__main__":
    main()
