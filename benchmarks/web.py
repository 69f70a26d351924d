"""How long the list of 1,000 tests takes in Chromium until somebody can use it.

    python -m benchmarks.web [--tests 1000] [--visits 7]

`serve` as a process of its own on a SQLite file with 1,000 tests, most of them with prepared settings, and 40 servers
that miss some of them; a real Chromium that has signed in. The clock starts when the browser is sent to the list, and
stops when its rows are drawn and the search box answers: a key is typed, and the narrowed list has come back from the
server. Each visit begins with an empty cache, as a person's first visit of the day does; the JSON has the median.

Beside it, for scale, the same browser with the same rows in a bare page of static HTML, without a framework.

The last line of stdout is one JSON object.
"""

import argparse
import http.server
import json
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from accounts.desk import Desk
from commands.split_tests import Request
from domain.people import Actor
from entrypoints.backbone import Backbone, migrate
from events.database import write_transaction
from projections.laid_out import Report, record
from tests.support.chromium import ARGUMENTS, chromium_place
from tests.support.pages import PASSWORD, QUICK_PASSWORDS, answers, process
from tests.support.ports import free_port
from tests.support.terminal import wait_until

REQUEST = Request(actor=Actor(name="ann"))
NOW = datetime.now(UTC)
SETTINGS = {
    "starts_at": (NOW - timedelta(days=3)).date().isoformat(),
    "ends_at": (NOW + timedelta(days=30)).date().isoformat(),
    "conditions": [{"filter": "country_id", "operator": "in", "value": ["50", "51", "52"]}],
    "total_percent": 100,
    "variants": [{"name": "control", "control": True}, {"name": "green"}],
}


def make_tests(url: str, count: int) -> None:
    """Fill the database, and let 40 servers report that they miss every tenth test."""
    migrate(url)
    backbone = Backbone(url)
    desk = Desk(backbone.engine, now=lambda: datetime.now(UTC), monotonic=time.monotonic, passwords=QUICK_PASSWORDS)
    desk.directory.create("ann", "manager", password=PASSWORD)
    types = ("web", "mobile", "server", "email")
    for number in range(count):
        key = f"test_{number:04}"
        backbone.split_tests.create(
            REQUEST, key=key, name=f"Does idea number {number} help?", type=types[number % 4], managers=["bob", "eve"]
        )
        if number % 50 == 0:  # each is allocated against all others: a few are enough for a list
            backbone.split_tests.propose_settings(REQUEST, key, SETTINGS)
            backbone.preparer.prepare(key)
            backbone.split_tests.publish(REQUEST, key)
    with backbone.reading() as connection:
        connection.rollback()
    with write_transaction(backbone.engine) as connection:
        for host in range(40):
            report = Report(environment="production", host=f"web-{host}", position=1, tests={})
            record(connection, report, offset=host, at=NOW)
    backbone.close()


def usable_seconds(browser: Browser, url: str, cookies: list[object]) -> float:
    """Return how long a visit with an empty cache takes until the list is drawn and its search has answered."""
    context = browser.new_context(base_url=url)
    context.add_cookies(cookies)  # type: ignore[arg-type]  # as they came from Playwright
    page: Page = context.new_page()
    began = time.perf_counter()
    page.goto("/", wait_until="commit")
    page.wait_for_selector("table.us tbody tr")
    page.get_by_label("Search").fill("number 777")
    page.wait_for_function("document.querySelectorAll('table.us tbody tr').length === 1")
    took = time.perf_counter() - began
    context.close()
    return took


def bare_seconds(browser: Browser, url: str) -> float:
    """Return how long the bare page takes until its rows are drawn."""
    context = browser.new_context()
    page = context.new_page()
    began = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.wait_for_selector("table tbody tr:last-child")
    took = time.perf_counter() - began
    context.close()
    return took


@contextmanager
def bare_page(rows: int) -> Iterator[str]:
    """Serve a static page with that many rows."""
    body = "".join(f"<tr><td>Does idea number {row} help?</td><td>Draft</td><td>web</td></tr>" for row in range(rows))
    document = f"<!doctype html><table><tbody>{body}</tbody></table>".encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(document)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
            """Keep quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", type=int, default=1000)
    parser.add_argument("--visits", type=int, default=7)
    arguments = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="usersplit-web-"))
    try:
        url = f"sqlite:///{directory / 'web.db'}"
        make_tests(url, arguments.tests)
        port = free_port()
        settings = {"USERSPLIT_DATABASE_URL": url, "USERSPLIT_LOG_LEVEL": "WARNING", "USERSPLIT_HTTP_PORT": str(port)}
        address = f"http://127.0.0.1:{port}"
        with process("serve", **settings), sync_playwright() as playwright, bare_page(50) as bare:
            wait_until("the login answers", lambda: answers(f"{address}/login"))
            browser = playwright.chromium.launch(executable_path=chromium_place(), args=ARGUMENTS)
            context = browser.new_context(base_url=address)
            signed = context.request.post("/api/v1/session", data={"name": "ann", "password": PASSWORD})
            assert signed.ok, signed.text()
            cookies: list[object] = list(context.cookies())
            context.close()
            usable_seconds(browser, address, cookies)  # the first one warms the server up
            visits = [usable_seconds(browser, address, cookies) for _ in range(arguments.visits)]
            plain = [bare_seconds(browser, bare) for _ in range(arguments.visits)]
            browser.close()
        print(f"{arguments.tests} tests, empty cache: {', '.join(f'{each:.2f}' for each in visits)} s")
        print(f"a bare page with as many rows: {', '.join(f'{each:.3f}' for each in plain)} s")
        figures = {
            "list_1000_seconds": round(statistics.median(visits), 3),
            "list_1000_slowest_seconds": round(max(visits), 3),
            "bare_page_seconds": round(statistics.median(plain), 3),
            "tests": arguments.tests,
        }
        print(json.dumps(figures))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
