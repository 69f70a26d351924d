"""A real Chromium for tests of pages, driven by Playwright."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.support.tiers import remember

CHROMIUM: Final = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
# The two popups of the address bar, which nobody sees, are pages in a process of their own: for each window
# that took more work than the window itself. The other names are Playwright's, whose switch this one replaces.
_WITHOUT: Final = (
    "WebUIOmniboxPopup WebUIOmniboxAimPopup AimEnabled AvoidCorsURLLoaderRestartOnRedirect "
    "AvoidUnnecessaryBeforeUnloadCheckSync DestroyProfileOnBrowserClose HttpsFirstBalancedModeAutoEnable HttpsUpgrades "
    "LensOverlay MediaRouter NetworkTimeServiceQuerying OptimizationHints PaintHolding PreconnectToSearch "
    "TcpPortRandomizationWin ThirdPartyStoragePartitioning"
)
INSECURE_HOST: Final = "usersplit.example"
"""A name of this machine under which browsers keep back what they keep for https: to them localhost is as good."""

ARGUMENTS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    f"--disable-features={_WITHOUT.replace(' ', ',')}",
    f"--host-resolver-rules=MAP {INSECURE_HOST} 127.0.0.1",
]
PATIENCE_MILLISECONDS: Final = 60_000
"""How long a page may take to do anything. Where all is well nobody waits for it, and a busy machine is no fault."""
_TEST_SECONDS: Final = 600


def chromium_place() -> str | None:
    """Return where a Chromium is on this machine, None if none is known."""
    return os.environ.get("USERSPLIT_TEST_CHROMIUM") or next((path for path in CHROMIUM if Path(path).exists()), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests in a browser the time that their waits may take together."""
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(_TEST_SECONDS))


@contextmanager
def _out_of_the_loop(item: pytest.Item) -> Iterator[None]:
    # Playwright's event loop counts as running in this thread for as long as the browser is open, and asyncio.run
    # refuses to begin another one. Other tests may come behind those of the pages, by the will of who shares them out.
    running = asyncio._get_running_loop()
    if running is None or "chromium" in getattr(item, "fixturenames", ()):
        yield
        return
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(running)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    with _out_of_the_loop(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    with _out_of_the_loop(item):
        return (yield)


@pytest.fixture(scope="session")
def chromium(pytestconfig: pytest.Config) -> Iterator[Browser]:
    """A real Chromium; where none is installed, the tests that need it are skipped, or fail with REQUIRE_REAL=1."""
    place = chromium_place()
    if place is None:
        remember(pytestconfig, "Chromium", "missing, the tests of the pages were skipped")
        reason = "the pages are tested in a real Chromium: apt-get install chromium, or set USERSPLIT_TEST_CHROMIUM"
        if os.environ.get("REQUIRE_REAL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    remember(pytestconfig, "Chromium", "real, headless")
    expect.set_options(timeout=PATIENCE_MILLISECONDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=place, args=ARGUMENTS)
        yield browser
        browser.close()
