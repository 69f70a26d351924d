"""A process with UserSplit on embedded parts, its pages, and the coconut store with a test In Dev; ends with its stdin.

    python -m tests.support.open_store DIRECTORY PORT

It prints one line, the address of the store, once everything is open.
"""

import socket
import sys
import time
from pathlib import Path

from sqlalchemy import Engine

from accounts.desk import Desk
from commands.split_tests import Request
from domain.people import Actor
from entrypoints.clock import now
from entrypoints.demo import PRICING, RUSSIA
from entrypoints.demo_settings import settings
from entrypoints.demo_store import coconut_store
from entrypoints.embedded import EmbeddedUserSplit
from notifications.memory_notifier import MemoryNotifier
from projections import current_settings
from tests.support.pages import PASSWORD, QUICK_PASSWORDS


def main() -> None:
    """Open everything, say so, and wait."""
    directory, port = Path(sys.argv[1]), int(sys.argv[2])
    request = Request(actor=Actor(name="ann"))
    with (
        socket.create_server(("127.0.0.1", port)) as listening,
        EmbeddedUserSplit(
            directory, notifier=MemoryNotifier(), made_up_users=1000, pages=listening, let_in=_let_quinn_in
        ) as usersplit,
        coconut_store(usersplit) as url,
    ):
        backbone = usersplit.backbone
        backbone.split_tests.create(request, key=PRICING, name="What may a coconut cost?")
        backbone.split_tests.propose_settings(request, PRICING, settings(60, [RUSSIA], "expensive", "cheap"))

        def is_prepared() -> bool:
            with backbone.reading() as connection:
                found = current_settings.get(connection, PRICING)
            return found is not None and found.settings_group == 1

        usersplit.wait_for("the settings are prepared", is_prepared)
        backbone.split_tests.publish(request, PRICING)
        sys.stdout.write(f"{url}\n")
        sys.stdout.flush()
        sys.stdin.read()


def _let_quinn_in(engine: Engine) -> None:
    desk = Desk(engine, now=now, monotonic=time.monotonic, passwords=QUICK_PASSWORDS)
    desk.directory.create("quinn", "qa", password=PASSWORD)


if __name__ == "__main__":
    main()
