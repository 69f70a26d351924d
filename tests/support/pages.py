"""The pages in a real browser: `serve` and the preparer as processes of their own, Chromium driven by Playwright."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import duckdb
import httpx
import pytest
from argon2 import PasswordHasher
from playwright.sync_api import Browser, BrowserContext, Page, WebSocket
from playwright.sync_api import Error as PlaywrightError

from accounts.desk import Desk
from accounts.identity import Role
from accounts.passwords import Passwords
from audience.catalog import load_catalog
from commands.split_tests import Request, SplitTestCommands
from domain.people import Actor
from events.database import open_database
from events.facts import (
    REGISTRY,
    CodeDeployed,
    SettingsGroupPreparationFailed,
    SettingsGroupPrepared,
    split_test_stream,
)
from events.sql_store import SqlEventStore
from events.store import EventStore, Provenance
from tests.support.chromium import PATIENCE_MILLISECONDS
from tests.support.identity_provider import CLIENT_ID, CLIENT_SECRET
from tests.support.ports import free_ports
from tests.support.terminal import ROOT, wait_until
from warehouse.duckdb_users import DuckDbUsers
from warehouse.generated_users import generate_duckdb

PASSWORD: Final = "a sentence rather than a word"  # noqa: S105 - of accounts that exist for a test
USERS: Final = 20_000
"""So many users there are to be counted."""
# A hash that is worth a password takes 50 ms; those of these tests guard nothing.
QUICK_PASSWORDS: Final = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Pages:
    """UserSplit's pages, served.

    Attributes:
        url: where they are.
        database_url: what they show.
        browser: to look at them with.
        provider_port: where they expect the company's identity provider; a test that wants it starts it there.
    """

    url: str
    database_url: str
    browser: Browser
    provider_port: int = 0

    def account(self, name: str, role: Role) -> None:
        """Make an account with `PASSWORD`."""
        engine = open_database(self.database_url)
        try:
            desk = Desk(engine, now=now, monotonic=time.monotonic, passwords=QUICK_PASSWORDS)
            desk.directory.create(name, role, password=PASSWORD)
        finally:
            engine.dispose()

    def wait(self) -> None:
        """Return once they are served."""
        wait_until("the login answers", lambda: answers(f"{self.url}/login"), timeout_seconds=240)

    @contextmanager
    def store(self) -> Iterator[SqlEventStore]:
        """Yield the log that the pages show."""
        engine = open_database(self.database_url)
        try:
            yield SqlEventStore(engine, REGISTRY)
        finally:
            engine.dispose()

    def hit_from_production(self, key: str) -> None:
        """Let the notifier find out that the code of a test is deployed."""
        stream = split_test_stream(key)
        with self.store() as store:
            store.append(
                stream,
                [CodeDeployed(key=key, hit_id="hit", occurred_at=now(), app="store", host="web-1")],
                expected_version=store.read_stream(stream)[-1].version,
                provenance=Provenance(actor="code-deployed", recorded_at=now()),
            )

    def change_account(self, name: str, *, role: Role) -> None:
        """Give an account another role, as a superuser elsewhere does."""
        engine = open_database(self.database_url)
        try:
            Desk(engine, now=now, monotonic=time.monotonic).directory.change(name, role=role)
        finally:
            engine.dispose()

    @contextmanager
    def commands(self, name: str) -> Iterator[tuple[SplitTestCommands, Request]]:
        """Yield the commands on the same database, and a request by somebody."""
        with self.store() as store:
            commands = SplitTestCommands(store=store, registry=REGISTRY, catalog=load_catalog(), now=now)
            yield commands, Request(actor=Actor(name=name))

    @contextmanager
    def stranger(self, **options: Any) -> Iterator[Page]:
        """Yield a fresh browser window in which nobody is signed in; errors of the page's scripts fail the test.

        An error that leaves it is told with what the window went through and shows.
        """
        context: BrowserContext = self.browser.new_context(**{"base_url": self.url, **options})
        context.set_default_timeout(PATIENCE_MILLISECONDS)
        page = context.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        history = _history(page)
        try:
            yield page
        except Exception as error:
            error.add_note("\n".join((*history, _shown(page))))
            raise
        finally:
            context.close()
        assert wrong == []

    @contextmanager
    def signed_in(self, name: str, **options: Any) -> Iterator[Page]:
        """Yield a window in which `name` has signed in, as a person does."""
        with self.stranger(**options) as page:
            page.goto("/login")
            page.get_by_label("Name").fill(name)
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Sign in").click()
            page.wait_for_url("/")
            yield page


def _history(page: Page) -> list[str]:
    """Return what will have happened to a window: where it went, its sockets, what its scripts said."""
    begun, history = time.monotonic(), list[str]()

    def note(sentence: str) -> None:
        history.append(f"{time.monotonic() - begun:7.2f} s: {sentence}")

    def watch(socket: WebSocket) -> None:
        note("a socket was opened")
        socket.on("close", lambda _: note("a socket was closed"))

    page.on("framenavigated", lambda frame: note(f"at {frame.url}"))
    page.on("websocket", watch)
    page.on("console", lambda message: note(f"the console said {message.text!r}"))
    return history


def _shown(page: Page) -> str:
    try:
        return page.locator("body").aria_snapshot(timeout=5000)
    except PlaywrightError as error:
        return f"the page does not tell what it shows: {error}"


def settle(
    pages: Pages,
    key: str,
    settings: Mapping[str, Any],
    *,
    type_: str = "web",
    managers: Sequence[str] = (),
    is_running: bool = False,
) -> None:
    """Make a test of ann's with settings in force, published or running."""
    with pages.commands("ann") as (commands, request), pages.store() as store:
        commands.create(request, key=key, name=f"Test {key}", type=type_, managers=managers)
        commands.propose_settings(request, key, settings)
        wait_until(f"the settings of {key} are prepared", lambda: _is_prepared(store, key))
        commands.publish(request, key)
        if is_running:
            commands.start(request, key)


def _is_prepared(store: EventStore, key: str) -> bool:
    last = REGISTRY.decode(store.read_stream(split_test_stream(key))[-1].encoded)
    assert not isinstance(last, SettingsGroupPreparationFailed), last
    return isinstance(last, SettingsGroupPrepared)


def choose(page: Page, label: str, option: str, *, within: Any = None) -> None:
    """Choose from a drop-down list as a person does: open it, and click the option."""
    (within or page).get_by_label(label, exact=True).last.click()
    page.get_by_role("option", name=option, exact=True).click()


def fill(page: Page, label: str, value: str) -> None:
    """Type into the field of this label."""
    page.get_by_label(label, exact=True).last.fill(value)


def does_not_leave(page: Page, for_address: re.Pattern[str]) -> None:
    """Let `page` stay when it leads there by itself: on a busy machine it may do so before a person has acted."""
    page.route(for_address, lambda route: route.fulfill(status=httpx.codes.NO_CONTENT))


def of_test(key: str) -> Callable[[str], bool]:
    """Return whether an address is the overview of a test."""
    return lambda url: re.search(rf"/tests/{re.escape(key)}$", url) is not None


@pytest.fixture(scope="session")
def pages(chromium: Browser, migrated_sqlite_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    """The pages of a database with `USERS` users, and the preparer at work: one for all tests, for it takes seconds.

    People: ann and bob are managers, vera is a viewer, quinn of QA, sue a superuser. Each test makes tests of its own,
    by keys that no other one uses.
    """
    directory = tmp_path_factory.mktemp("pages")
    url = f"sqlite:///{shutil.copy(migrated_sqlite_file, directory / 'pages.db')}"
    port, provider_port = free_ports(2)
    address = f"http://127.0.0.1:{port}"
    settings = {
        "USERSPLIT_DATABASE_URL": url,
        "USERSPLIT_LOG_LEVEL": "WARNING",
        "USERSPLIT_USERS_URL": users_in(directory / "users.duckdb", USERS),
    }
    openid = {
        "USERSPLIT_PUBLIC_URL": address,
        "USERSPLIT_OPENID_ISSUER": f"http://127.0.0.1:{provider_port}",
        "USERSPLIT_OPENID_CLIENT_ID": CLIENT_ID,
        "USERSPLIT_OPENID_CLIENT_SECRET": CLIENT_SECRET,
        "USERSPLIT_OPENID_ROLE_CLAIM": "groups",
        "USERSPLIT_OPENID_ROLES": '{"product": "manager"}',
        "USERSPLIT_OPENID_LABEL": "Example ID",
        "USERSPLIT_OPENID_SIGN_OUT": "true",
    }
    served = Pages(url=address, database_url=url, browser=chromium, provider_port=provider_port)
    people: dict[str, Role] = {"ann": "manager", "bob": "manager", "vera": "viewer", "quinn": "qa", "sue": "superuser"}
    for name, role in people.items():
        served.account(name, role)
    with ExitStack() as stack:
        stack.enter_context(process("serve", **settings, **openid, USERSPLIT_HTTP_PORT=str(port)))
        stack.enter_context(process("preparer", **settings))
        served.wait()
        yield served


def users_in(path: Path, users: int) -> str:
    """Make up a users table in a DuckDB file, the same one for the same number; return its address."""
    connection = duckdb.connect(str(path))
    try:
        generate_duckdb(DuckDbUsers(connection.cursor), "users", users=users, seed=5)
    finally:
        connection.close()
    return f"duckdb:///{path}"


def users_who(pages: Pages, condition: str) -> int:
    """Count by hand-written SQL, in the users table that the pages ask."""
    place = Path(pages.database_url.removeprefix("sqlite:///")).with_name("users.duckdb")
    with duckdb.connect(str(place), read_only=True) as connection:
        return int(connection.execute(f"SELECT count(*) FROM users WHERE {condition}").fetchall()[0][0])  # noqa: S608 - a test's own words


@contextmanager
def process(command: str, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """Run a process of UserSplit; end it with SIGTERM, and hold it against exit code 0."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("USERSPLIT_")}
    running = subprocess.Popen(
        [sys.executable, "-m", "entrypoints", command],
        cwd=ROOT,
        env={**clean, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield running
    finally:
        running.send_signal(signal.SIGTERM)
        try:
            said, _ = running.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            running.kill()
            said, _ = running.communicate()
    assert running.returncode == 0, f"{command} ended with {running.returncode}: {said}"
    assert "Traceback" not in said, said
    assert "leaked" not in said, said


def answers(url: str) -> bool:
    """Return whether somebody answers there."""
    try:
        return httpx.get(url).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
