"""People with accounts, and passwords that are quick to hash."""

import time
from datetime import UTC, datetime
from typing import Final

from argon2 import PasswordHasher
from sqlalchemy import Engine

from accounts.desk import Desk
from accounts.identity import Role
from accounts.passwords import Passwords

PASSWORD: Final = "correct horse battery"  # noqa: S105 - of made-up people
QUICK_HASHER: Final = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class MovedClock:
    """A clock that moves when it is told to; monotonic, too."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 5, 1, 9, tzinfo=UTC)
        self.seconds = 0.0

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.seconds


def open_desk(engine: Engine, clock: MovedClock | None = None) -> Desk:
    """A desk over `engine`, whose hashes are quick."""
    moved = clock or MovedClock()
    return Desk(
        engine,
        now=moved.now,
        monotonic=moved.monotonic if clock else time.monotonic,
        passwords=Passwords(QUICK_HASHER),
        session_seconds=3600,
    )


def sign_up(desk: Desk, *people: tuple[str, Role]) -> None:
    """Make accounts with the same password."""
    for name, role in people:
        desk.directory.create(name, role, password=PASSWORD)
