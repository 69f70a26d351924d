"""When a token was used last is known to the hour, and costs no request anything."""

from datetime import timedelta
from threading import Event

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from accounts.errors import NotSignedIn
from accounts.remembered import TRUST_SECONDS
from accounts.tokens import ApiToken, said_of_use
from events.database import write_transaction
from tests.support.people import MovedClock, open_desk, sign_up


class House:
    """A desk with a token of ann's, and the statements that its database was sent."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.clock = MovedClock()
        self.desk = open_desk(engine, self.clock)
        sign_up(self.desk, ("ann", "manager"))
        self.token_id, self.text = self.make()
        self.sent: list[str] = []
        event.listen(engine, "before_cursor_execute", lambda *given: self.sent.append(given[2]))

    def make(self) -> tuple[str, str]:
        token, text = self.desk.tokens.create("ann", label="ci", scopes=["read"])
        return token.token_id, text

    def token(self, token_id: str = "") -> ApiToken:
        return self.desk.tokens.get(token_id or self.token_id, account=None)

    @property
    def writes(self) -> int:
        return sum(statement.startswith("UPDATE api_tokens") for statement in self.sent)

    def use(self, *, after: timedelta = timedelta()) -> None:
        self.clock.moment += after
        self.clock.seconds += after.total_seconds()
        self.desk.identity_of_token(self.text)


@pytest.fixture
def house(sqlite_database: Engine) -> House:
    return House(sqlite_database)


def test_a_token_that_nobody_sent_was_never_used(house: House) -> None:
    house.desk.token_uses.write()
    assert house.token().last_used_at is None
    assert said_of_use(house.token()) == "never used"
    assert house.writes == 0


def test_a_use_is_not_written_by_who_uses_it_and_is_known_once_it_was_written(house: House) -> None:
    _, unused = house.make()[0], house.make()[0]
    used_at = house.clock.moment
    house.use()
    assert house.writes == 0
    assert house.token().last_used_at is None
    house.clock.moment += timedelta(seconds=2)
    house.desk.token_uses.write()
    assert house.token().last_used_at == used_at
    assert house.token(unused).last_used_at is None
    assert said_of_use(house.token()) == "last used 2026-05-01 09:00 UTC"


def test_a_token_is_written_once_an_hour_however_often_it_is_used(house: House) -> None:
    used_at = house.clock.moment
    house.use()
    house.desk.token_uses.write()
    for _ in range(59):
        house.use(after=timedelta(minutes=1))
        house.desk.token_uses.write()
    assert (house.writes, house.token().last_used_at) == (1, used_at)
    house.use(after=timedelta(minutes=1))
    house.desk.token_uses.write()
    assert (house.writes, house.token().last_used_at) == (2, used_at + timedelta(hours=1))


def test_without_a_new_use_the_database_is_not_asked(house: House) -> None:
    house.use()
    house.desk.token_uses.write()
    house.sent.clear()
    house.desk.token_uses.write()
    assert house.sent == []


def test_a_process_that_is_behind_does_not_turn_the_moment_back(house: House) -> None:
    elsewhere = open_desk(house.engine, house.clock)
    elsewhere.identity_of_token(house.text)
    house.use(after=timedelta(minutes=5))
    house.desk.token_uses.write()
    elsewhere.token_uses.write()
    assert house.token().last_used_at == house.clock.moment


def test_what_is_refused_is_no_use(house: House) -> None:
    house.desk.tokens.revoke(house.token_id, account="ann")
    for text in (house.text, f"usersplit_{house.token_id}_{'x' * 43}", "forged"):
        with pytest.raises(NotSignedIn):
            house.desk.identity_of_token(text)
    house.desk.token_uses.write()
    assert house.token().last_used_at is None


def test_while_the_database_is_down_nobody_who_is_known_notices_and_the_use_is_written_later(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    used_at = house.clock.moment
    house.use()
    with write_transaction(house.engine) as connection:
        connection.exec_driver_sql("ALTER TABLE api_tokens RENAME TO elsewhere")
    with pytest.raises(OperationalError):
        house.desk.token_uses.write()
    stopped = Event()
    stopped.set()
    house.desk.token_uses.follow(stopped)
    assert "they wait" in caplog.text
    house.use(after=timedelta(seconds=TRUST_SECONDS - 1))
    with write_transaction(house.engine) as connection:
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO api_tokens")
    house.desk.token_uses.follow(stopped)
    assert house.token().last_used_at == used_at


def test_of_a_token_older_than_this_only_what_came_since_is_said(house: House) -> None:
    with write_transaction(house.engine) as connection:
        connection.exec_driver_sql("UPDATE api_tokens SET uses_unknown_before = '2026-04-30 12:00:00.000000'")
    assert said_of_use(house.token()) == "not used since 2026-04-30 12:00 UTC"
    house.use()
    house.desk.token_uses.write()
    assert said_of_use(house.token()) == "last used 2026-05-01 09:00 UTC"
