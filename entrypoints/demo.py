"""The demo: the coconut store runs two split tests through their whole life, on embedded parts, under load.

Nothing of it is staged: each step is a command that a manager gives, each number at the end is compared with what the
visitors saw on their side of HTTP.
"""

import json
import os
import socket
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.text import Text
from sqlalchemy import Engine

from accounts.desk import Desk
from accounts.identity import Role
from commands.split_tests import Request
from domain.people import Actor
from entrypoints.clock import now
from entrypoints.console import plain
from entrypoints.demo_load import InForce, Shown, Visitors
from entrypoints.demo_numbers import NumbersDiffer, compare
from entrypoints.demo_settings import settings
from entrypoints.demo_store import coconut_store
from entrypoints.embedded import EmbeddedUserSplit
from entrypoints.estimate_lines import estimate_lines
from entrypoints.operator_commands import hits_table
from entrypoints.reading_commands import changelog_table
from events.store import Appended
from notifications.notifier import Notification
from projections import changelog, config, current_settings, test_list

DELAY: Final = "catalog_delay"
PRICING: Final = "coconut_pricing"
COLORS: Final = "coconut_colors"
BASKET: Final = "coconut_basket"
MANAGER: Final = "coconut-manager"
RUSSIA, SPAIN = 50, 59
USERS: Final = 3000
MADE_UP_USERS: Final = 1_000_000
"""In the users table, for the estimates; those who visit the store are others."""
TEST_USERS: Final = 60
SHARE_OF_NEW_USERS: Final = 0.8
PEOPLE: Final[Mapping[str, Role]] = {MANAGER: "manager", "qa": "qa", "viewer": "viewer", "superuser": "superuser"}
PASSWORD: Final = "coconuts for everybody"  # noqa: S105 - of a demo that listens on this machine alone
_USUAL_PORT: Final = 8080


class TerminalNotifier:
    """Tells whoever watches the demo what the test managers are told."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def notify(self, notification: Notification) -> None:
        """Print the notification."""
        to = ", ".join(notification.recipients)
        self._console.print(Text.assemble("  ", plain(f"✉ to {to}:", style="yellow"), " ", plain(notification.text)))

    def close(self) -> None:
        """Nothing to let go of."""


class Demo:
    """One run of the demo.

    Args:
        directory: where databases, config files and the settings file of this run are; emptied by the caller.
        console: where the story is told.
    """

    def __init__(self, directory: Path, console: Console) -> None:
        self._console = console
        self._directory = directory
        self._listening = _listening()
        self._port = int(self._listening.getsockname()[1])
        self._usersplit = EmbeddedUserSplit(
            directory,
            notifier=TerminalNotifier(console),
            made_up_users=MADE_UP_USERS,
            pages=self._listening,
            let_in=_let_people_in,
        )
        self._manager = Actor(name=MANAGER)
        self._store_url = ""

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run UserSplit and the coconut store, until the block ends."""
        self._say("Starting UserSplit on embedded parts: SQLite, DuckDB, and the Kafka broker inside librdkafka")
        self._tell("(that broker is in memory and forgets everything with this process: it is for trials)")
        with self._listening, self._usersplit, coconut_store(self._usersplit) as url:
            self._store_url = url
            self._visitors = Visitors(url)
            try:
                yield
            finally:
                self._visitors.close()

    def play(self) -> None:
        """Take both tests through their lives.

        Raises:
            NumbersDiffer: BI holds something else than what the visitors saw.
        """
        commands = self._usersplit.backbone.split_tests
        self._create()
        self._publish()
        users = self._register()
        self._see_code_deployed(users["test"])
        self._say("The code is deployed: start both tests")
        self._lay_out(commands.start(self._request(), DELAY), DELAY)
        self._lay_out(commands.start(self._request(), PRICING), PRICING)
        self._load(users["all"], rounds=2, what="Running, settings group 1")
        self._change_settings()
        self._load(users["all"], rounds=2, what="coconut_pricing has settings group 2 now")
        self._finish(users["all"])
        self._compare()

    def leave_open(self) -> None:
        """Make two more tests that overlap, and leave them under way: so that there is something to steer on pages."""
        commands = self._usersplit.backbone.split_tests
        for key, name, issue_key, document in (
            (BASKET, "Does a bigger basket sell more?", "SHOP-14", settings(50, [SPAIN], "bigger")),
            (COLORS, "Do yellow coconuts sell better?", "SHOP-17", settings(80, [RUSSIA, SPAIN], "yellow")),
        ):
            commands.create(self._request(), key=key, name=name, issue_key=issue_key)
            commands.propose_settings(self._request(), key, document)
            self._wait_until_current(key, settings_group=1)
            commands.publish(self._request(), key)
        commands.start(self._request(), BASKET)

    def report(self) -> None:
        """Print what a manager and an analyst would look at, and what to try next."""
        with self._usersplit.backbone.reading() as connection:
            entries = changelog.entries(connection, PRICING)
        self._say(f"The changelog of {PRICING}")
        self._console.print(changelog_table(entries))
        self._say("Hits per variant and settings group, from BI (DuckDB)")
        self._console.print(hits_table(self._usersplit.warehouse.hits_per_variant()))
        settings_file = self._directory / "settings.env"
        run = f"python -m entrypoints --settings {_short(settings_file)}"
        self._say("What to look at next (with . .venv/bin/activate)")
        for line in (
            f"{run} list",
            f"{run} changelog {DELAY}",
            f"{run} check {PRICING} --user 7 --split-group 1207 --attribute country_id={RUSSIA}",
            f"cat {_short(self._usersplit.config_directory)}/{PRICING}.json      # what a check reads",
            f"{run} hits      # once this process has ended: DuckDB lets one process in",
        ):
            self._console.print(plain(f"  {line}"), soft_wrap=True)

    def write_settings_file(self) -> None:
        """Write what a second terminal needs to look at this run."""
        lines = [
            f"USERSPLIT_ACTOR={MANAGER}",
            f"USERSPLIT_DATABASE_URL={self._usersplit.database_url}",
            f"USERSPLIT_WAREHOUSE_URL=duckdb:///{self._usersplit.warehouse_path}",
            f"USERSPLIT_KAFKA_BOOTSTRAP_SERVERS={self._usersplit.embedded_broker.bootstrap_servers}",
        ]
        (self._directory / "settings.env").write_text("\n".join(lines) + "\n")

    @property
    def pages_url(self) -> str:
        """Where the managers' pages are."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def store_url(self) -> str:
        """Where the coconut store is open."""
        return self._store_url

    def _say(self, sentence: str) -> None:
        self._console.print(plain(f"▸ {sentence}", style="bold"))

    def _tell(self, sentence: str) -> None:
        self._console.print(plain(f"  {sentence}"))

    def _request(self) -> Request:
        return Request(actor=self._manager)

    def _create(self) -> None:
        self._say("A manager creates two split tests (Draft) and proposes their settings")
        commands = self._usersplit.backbone.split_tests
        commands.create(
            self._request(), key=DELAY, name="How slow may the catalog be?", description="A smaller server", type="web"
        )
        commands.create(
            self._request(), key=PRICING, name="What may a coconut cost?", description="One coin up or down", type="web"
        )
        for key, document in (
            (DELAY, settings(60, [RUSSIA], "short", "long")),
            (PRICING, settings(60, [RUSSIA], "expensive", "cheap")),
        ):
            commands.propose_settings(self._request(), key, document)
            self._wait_until_current(key, settings_group=1)

    def _wait_until_current(self, key: str, *, settings_group: int) -> None:
        def is_current() -> bool:
            with self._usersplit.backbone.reading() as connection:
                found = current_settings.get(connection, key)
            return found is not None and found.settings_group == settings_group

        self._usersplit.wait_for(f"settings group {settings_group} of {key} is prepared", is_current)
        with self._usersplit.backbone.reading() as connection:
            found = current_settings.get(connection, key)
        if found is not None:
            self._tell(f"{key}: settings group {settings_group} is prepared, counted over {MADE_UP_USERS:,} users")
            for label, text in estimate_lines(found):
                self._tell(f"  {label}: {text}")

    def _publish(self) -> None:
        self._say("Publish (In Dev): test users get the variants, whatever the dates say")
        commands = self._usersplit.backbone.split_tests
        for key in (DELAY, PRICING):
            self._lay_out(commands.publish(self._request(), key), key)

    def _lay_out(self, appended: Appended, key: str) -> None:
        """Wait until the store's server has the config that a change brought about."""
        with self._usersplit.backbone.reading() as connection:
            document = config.get(connection, key)
        if document is None:
            raise NumbersDiffer(f"{key} has no config document at position {appended.position}")
        self._usersplit.wait_for(
            f"the config of {key} is laid out",
            lambda: self._visitors.health()["configs"][key] >= document.position,
        )
        status = json.loads(document.document)["status"]
        self._tell(f"{key} is {status} on the store's server (config of position {document.position})")

    def _register(self) -> Mapping[str, Sequence[str]]:
        self._say(f"{USERS:,} users register at the coconut store; each draws a split group for life")
        draw = np.random.default_rng(2400)
        profiles = [
            {
                "country_id": int(draw.choice([RUSSIA, SPAIN, 1])),
                "is_new_user": bool(draw.random() < SHARE_OF_NEW_USERS),
                "is_test_user": number < TEST_USERS,
            }
            for number in range(USERS)
        ]
        ids = self._visitors.register(profiles)
        return {"all": ids, "test": ids[:TEST_USERS]}

    def _in_force(self) -> Mapping[str, InForce]:
        with self._usersplit.backbone.reading() as connection:
            rows = {row.key: row for row in test_list.rows(connection)}
        return {
            key: InForce(settings_group=row.settings_group, logs_hits=row.status != "finished")
            for key, row in rows.items()
        }

    def _see_code_deployed(self, test_users: Sequence[str]) -> None:
        self._say("Test users visit: the first hits from production tell that the code is deployed")
        for _ in self._visitors.visit(test_users, self._in_force()):
            pass

        def all_deployed() -> bool:
            with self._usersplit.backbone.reading() as connection:
                return all(row.code_deployed_at for row in test_list.rows(connection))

        self._usersplit.wait_for("the code is seen to be deployed", all_deployed)
        time.sleep(0.5)  # so that the notification is printed before the next chapter, not within it

    def _load(self, user_ids: Sequence[str], *, rounds: int, what: str) -> None:
        self._say(f"Load: every user visits {rounds} times ({what})")
        began, visits = time.monotonic(), rounds * len(user_ids)
        columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} of {task.total:,.0f} visits, {task.description}"))
        with Progress(*columns, console=self._console, transient=True) as bar:
            task = bar.add_task("hits in BI: 0", total=visits)
            for number, _ in enumerate(self._visitors.visit(list(user_ids) * rounds, self._in_force()), start=1):
                if number % 250 == 0:
                    bar.update(task, completed=number, description=f"hits in BI: {self._in_bi().total():,}")
        rate = visits / (time.monotonic() - began)
        self._tell(f"{visits:,} visits at {rate:,.0f} a second")

    def _change_settings(self) -> None:
        self._say(f"Settings of {PRICING} change while it runs: Spain joins; who was in a variant stays in it")
        commands = self._usersplit.backbone.split_tests
        document = settings(60, [RUSSIA, SPAIN], "expensive", "cheap")
        appended = commands.propose_settings(self._request(), PRICING, document)
        self._wait_until_current(PRICING, settings_group=2)
        self._lay_out(appended, PRICING)

    def _finish(self, user_ids: Sequence[str]) -> None:
        self._say(f"Finish: {PRICING} with cheap, worldwide; {DELAY} is rejected, the old behaviour stays")
        commands = self._usersplit.backbone.split_tests
        finished = commands.finish(self._request(), PRICING, resulting_variant="cheap", scope="worldwide")
        self._lay_out(finished, PRICING)
        self._lay_out(commands.reject(self._request(), DELAY), DELAY)
        pages = list(self._visitors.visit(user_ids[:200], self._in_force()))
        wrong = [page for page in pages if page["variants"] != {DELAY: None, PRICING: "cheap"}]
        if wrong:
            raise NumbersDiffer(
                f"after the end, {len(wrong)} of {len(pages)} visitors still saw {wrong[0]['variants']}"
            )
        self._tell(f"all of {len(pages)} visitors see the cheap coconuts; no hits any more")

    def _in_bi(self) -> Counter[Shown]:
        rows = self._usersplit.warehouse.hits_per_variant()
        return Counter({(row.test_key, row.settings_group, row.variant): row.hits for row in rows})

    def _compare(self) -> None:
        expected = self._visitors.tally.hits
        self._say(f"Comparing: {expected.total():,} variants shown by the store, by the visitors' own tally")
        try:
            self._usersplit.wait_for(
                "all hits are in BI", lambda: self._in_bi().total() >= expected.total(), timeout_seconds=20
            )
        finally:
            compare(shown=expected, in_bi=self._in_bi(), accounting=self._visitors.health()["hits"])
        self._console.print(
            f"  [green]✔[/] {expected.total():,} shown = accepted by the SDK = hits in BI,"
            " for each variant and settings group; none lost, none twice"
        )


def _listening() -> socket.socket:
    """Listen where the pages will be served, from now on: another demo that starts meanwhile takes another port."""
    try:
        return socket.create_server(("127.0.0.1", _USUAL_PORT))
    except OSError:
        return socket.create_server(("127.0.0.1", 0))


def _let_people_in(engine: Engine) -> None:
    desk = Desk(engine, now=now, monotonic=time.monotonic)
    for name, role in PEOPLE.items():
        desk.directory.create(name, role, password=PASSWORD)


def _short(path: Path) -> str:
    return os.path.relpath(path)
