"""Accounts, sessions and keys in every database that UserSplit keeps its log in."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Event

import pytest
from alembic import command
from sqlalchemy import Engine, text

from accounts.errors import AccountExists, LastSuperuser, WrongLogoutToken, WrongToken
from accounts.openid_logout import Logout
from accounts.signing import kept_keys, replace_kept_key
from accounts.tokens import MOST_TOKENS, said_of_use
from events.database import open_database, write_transaction
from events.errors import VersionConflict
from migrations.run import configuration
from migrations.run import upgrade as migrate
from tests.support.people import PASSWORD, MovedClock, open_desk, sign_up


def test_people_come_and_go_the_same_way_in_every_database(database: Engine) -> None:
    clock = MovedClock()
    desk = open_desk(database, clock)
    sign_up(desk, ("root", "superuser"), ("ann", "manager"))
    with pytest.raises(AccountExists):
        desk.directory.create("ANN", "viewer", password=PASSWORD)
    with pytest.raises(LastSuperuser):
        desk.directory.change("root", is_active=False)

    _, cookie = desk.sign_in("ann", PASSWORD, address="x")
    _, other = desk.sign_in("ann", PASSWORD, address="x")
    assert desk.sign_out(cookie) is not None
    assert desk.identity_of_session(cookie) is None
    assert desk.identity_of_session(other) is not None
    desk.directory.end_session("twice", until=clock.moment + timedelta(hours=1))
    desk.directory.end_session("twice", until=clock.moment + timedelta(hours=1))

    replace_kept_key(database, forget_old=False)
    assert open_desk(database, clock).identity_of_session(other) is not None
    replace_kept_key(database, forget_old=True)
    assert open_desk(database, clock).identity_of_session(other) is None
    assert len(kept_keys(database)) == 1

    desk.directory.invite("ann")
    assert desk.directory.take_invitation("ann", issuer="https://id", subject="1") is not None
    assert desk.directory.take_invitation("ann", issuer="https://id", subject="2") is None
    desk.directory.create("bob", "viewer", password=None)
    assert desk.directory.take_invitation("bob", issuer="https://id", subject="1") is None
    with pytest.raises(AccountExists):
        desk.directory.create_for_subject("carl", "viewer", issuer="https://id", subject="1")

    _, text = desk.tokens.create("root", label="ci", scopes=["read"], expires_at=clock.moment + timedelta(seconds=1))
    assert desk.identity_of_token(text).name == "root"
    desk.token_uses.write()
    assert [token.last_used_at for token in desk.tokens.of("root")] == [clock.moment]


def test_an_account_has_so_many_tokens_at_once_and_those_that_are_over_do_not_count(database: Engine) -> None:
    clock = MovedClock()
    desk = open_desk(database, clock)
    sign_up(desk, ("ann", "manager"), ("bob", "viewer"))
    ends = clock.moment + timedelta(days=1)
    for number in range(MOST_TOKENS - 2):
        desk.tokens.create("ann", label=f"of today {number}", scopes=["read"], expires_at=ends)
    kept, _ = desk.tokens.create("ann", label="kept", scopes=["read"])

    def make(label: str) -> bool:
        try:
            desk.tokens.create("ann", label=label, scopes=["read"])
        except WrongToken as error:
            return error.about != "number"
        return True

    assert [make("the last"), make("one too many")] == [True, False]
    desk.tokens.create("bob", label="another's", scopes=["read"])
    desk.tokens.revoke(kept.token_id, account="ann")
    assert [make("in its place"), make("one too many")] == [True, False]
    clock.moment = ends  # and most of them are over, though nobody revoked them
    assert make("of tomorrow")


def test_the_provider_s_word_that_comes_twice_at_once_counts_once_in_every_database(database: Engine) -> None:
    clock = MovedClock()
    desk = open_desk(database, clock)
    account = desk.directory.create_for_subject("nina", "viewer", issuer="https://id", subject="1")
    _, cookie = desk.open_session(account, issuer="https://id", provider_session="laptop \0")
    _, other = desk.open_session(account, issuer="https://id", provider_session="phone")
    desk.sign_out(cookie)  # what is over already does not get in the way
    until = clock.moment + timedelta(minutes=5)

    def tell(token_id: str) -> list[str]:
        logout = Logout(token_id=token_id, subject="1", session="laptop \0", until=until)
        try:
            return desk.provider_sessions.end("https://id", logout)
        except WrongLogoutToken:
            return []

    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(tell, ["first"] * 4))
    assert sorted(told) == [[], [], [], ["nina"]]
    assert tell("second \0") == ["nina"]
    assert desk.identity_of_session(other) is not None
    logout = Logout(token_id="third", subject="1", session="", until=until)  # noqa: S106 - an id
    assert desk.provider_sessions.end("https://id", logout) == ["nina"]
    assert desk.identity_of_session(other) is None


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_token_of_before_its_uses_were_noted_does_not_look_as_if_nobody_used_it(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    is_a_file = kind == "sqlite"
    url = f"sqlite:///{tmp_path / 'usersplit.db'}" if is_a_file else str(request.getfixturevalue("postgres_url"))
    engine = open_database(url)
    with write_transaction(engine) as connection:
        command.upgrade(configuration(connection), "0006")
        connection.execute(
            text(
                "INSERT INTO api_tokens (token_id, account, label, secret_hash, scopes, created_at) "
                "VALUES ('old', 'ann', 'ci', '', 'read', '2026-01-01 00:00:00')"
            )
        )
    migrate(url)
    desk = open_desk(engine, MovedClock())
    sign_up(desk, ("ann", "manager"))
    new, _ = desk.tokens.create("ann", label="new", scopes=["read"])
    old = desk.tokens.get("old", account="ann")
    assert said_of_use(old).startswith("not used since 2")
    assert old.uses_unknown_before is not None
    assert old.uses_unknown_before > old.created_at
    assert said_of_use(desk.tokens.get(new.token_id, account="ann")) == "never used"
    engine.dispose()


def two_at_once(engine: Engine, act: Callable[[int], int]) -> list[int]:
    """Let two threads run into the lock of ann's row, and go on one after the other; return what came of it, sorted."""
    # Each question in a transaction of its own: within one the server tells the same of its sessions again and again.
    watcher = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    pause = Event()
    with ThreadPoolExecutor(2) as pool:
        with engine.connect() as holder:
            holder.execute(text("SELECT * FROM accounts WHERE name = 'ann' FOR UPDATE"))
            ends = [pool.submit(act, number) for number in range(2)]
            both_wait = any(watcher.execute(waiting).scalar_one() == 2 or pause.wait(0.01) for _ in range(2_000))
        assert both_wait
        found = sorted(end.result() for end in ends)
    watcher.close()
    return found


def test_of_two_who_waited_for_the_row_and_expect_the_same_version_one_is_refused(migrated_postgres_url: str) -> None:
    engine = open_database(migrated_postgres_url)
    desk = open_desk(engine)
    sign_up(desk, ("root", "superuser"), ("ann", "manager"))

    def write(number: int) -> int:
        try:
            desk.directory.set_password("ann", f"another sentence {number}", expected_version=1)
        except VersionConflict as error:
            return error.actual
        return desk.directory.get("ann").version

    assert two_at_once(engine, write) == [2, 2]
    assert desk.directory.get("ann").version == 2
    engine.dispose()


def test_of_two_who_make_the_last_token_that_there_is_room_for_one_is_refused(migrated_postgres_url: str) -> None:
    engine = open_database(migrated_postgres_url)
    desk = open_desk(engine)
    sign_up(desk, ("ann", "manager"))
    for number in range(MOST_TOKENS - 1):
        desk.tokens.create("ann", label=f"{number}", scopes=["read"])

    def make(number: int) -> int:
        try:
            desk.tokens.create("ann", label=f"at once {number}", scopes=["read"])
        except WrongToken:
            return 0
        return 1

    assert two_at_once(engine, make) == [0, 1]
    assert len(desk.tokens.of("ann")) == MOST_TOKENS
    engine.dispose()
