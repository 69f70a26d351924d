"""A page that stays open while its server is stopped and started again, and a server without a users table."""

import re
import shutil
from contextlib import ExitStack
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.support.pages import Pages, fill, process
from tests.support.ports import free_port


def test_a_form_outlives_its_server_and_says_that_nobody_is_counted_without_users(
    chromium: Browser, migrated_sqlite_file: Path, tmp_path: Path
) -> None:
    url = f"sqlite:///{shutil.copy(migrated_sqlite_file, tmp_path / 'pages.db')}"
    port = free_port()
    served = Pages(url=f"http://127.0.0.1:{port}", database_url=url, browser=chromium)
    served.account("ann", "manager")
    with served.commands("ann") as (commands, request):
        commands.create(request, key="outlived", name="Outlived")
    settings = {"USERSPLIT_DATABASE_URL": url, "USERSPLIT_LOG_LEVEL": "ERROR", "USERSPLIT_HTTP_PORT": str(port)}

    with ExitStack() as windows:
        with process("serve", **settings):
            served.wait()
            page = windows.enter_context(served.signed_in("ann"))
            page.goto("/tests/outlived/settings")
            expect(page.get_by_text("No users table is connected, so nobody is counted")).to_be_visible()
            expect(page.get_by_role("button", name="Preview")).to_have_count(0)
            fill(page, "Total percent of users", "37.5")
            page.wait_for_function("localStorage.getItem('usersplit.settings.ann.outlived')?.includes('37.5')")
        expect(page.get_by_text(re.compile("Connection lost"))).to_be_visible()
        with process("serve", **settings):
            served.wait()
            expect(page.get_by_text("These are your unfinished changes")).to_be_visible()
            expect(page.get_by_label("Total percent of users")).to_have_value("37.5")
            windows.close()
