"""A preview that takes its time: its bar is seen to move, in a real browser over a users table that is slow to ask."""

import shutil
from pathlib import Path

import duckdb
from playwright.sync_api import Browser, expect

from tests.support.pages import Pages, process, users_in
from tests.support.ports import free_port

USERS = 1_000
ROWS_TO_ADD_UP = 40_000_000
"""What every question adds up on the side: half a second's work for a fast machine."""
UNDER_WAY = """() => {
    const bar = document.querySelector('[role=progressbar][aria-label=Counting]');
    return bar?.ariaValueNow === '0.1' && document.body.innerText.includes('Counting users …');
}"""
"""Whether the bar stands between its ends, and says why. It is asked at each frame that the browser draws."""


def slow_users(directory: Path) -> str:
    """Make a users table that takes a second to answer; return its address."""
    address = users_in(directory / "users.duckdb", USERS)
    with duckdb.connect(str(directory / "users.duckdb")) as connection:
        connection.execute("ALTER TABLE users RENAME TO people")
        slow = f"(SELECT sum(hash(number)) FROM range({ROWS_TO_ADD_UP}) AS made(number)) IS NOT NULL"  # noqa: S608 - a number
        connection.execute(f"CREATE VIEW users AS SELECT * FROM people WHERE {slow}")  # noqa: S608 - our own words
    return address


def test_the_bar_of_a_preview_moves_while_users_are_counted(
    chromium: Browser, migrated_sqlite_file: Path, tmp_path: Path
) -> None:
    url = f"sqlite:///{shutil.copy(migrated_sqlite_file, tmp_path / 'pages.db')}"
    port = free_port()
    served = Pages(url=f"http://127.0.0.1:{port}", database_url=url, browser=chromium)
    served.account("ann", "manager")
    with served.commands("ann") as (commands, request):
        commands.create(request, key="slow", name="Slowly counted")
    settings = {
        "USERSPLIT_DATABASE_URL": url,
        "USERSPLIT_LOG_LEVEL": "ERROR",
        "USERSPLIT_HTTP_PORT": str(port),
        "USERSPLIT_USERS_URL": slow_users(tmp_path),
    }
    with process("serve", **settings):
        served.wait()
        with served.signed_in("ann") as page:
            page.goto("/tests/slow/settings")
            page.get_by_role("button", name="Preview", exact=True).click()
            page.wait_for_function(UNDER_WAY)
            expect(page.get_by_text(f"of the {USERS:,} users who meet the conditions")).to_be_visible()
            expect(page.get_by_role("progressbar", name="Counting")).to_have_count(0)
