"""What operators do with accounts in a terminal."""

import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from accounts.desk import Desk
from events.database import open_database
from tests.support.terminal import Terminal


@pytest.fixture
def url(migrated_sqlite_file: Path, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copy(migrated_sqlite_file, tmp_path / 'accounts.db')}"


@pytest.fixture
def terminal(url: str, capsys: pytest.CaptureFixture[str]) -> Terminal:
    settings = {"USERSPLIT_DATABASE_URL": url, "USERSPLIT_NEW_PASSWORD": "a sentence rather than a word"}
    return Terminal(capsys, settings)


def test_accounts_are_made_changed_and_listed(terminal: Terminal) -> None:
    assert "No accounts yet" in terminal.done("accounts")
    assert terminal.done("create-account", "Ann", "--role", "superuser") == "ann can sign in, as superuser.\n"
    terminal.done("create-account", "bob", "--openid-only")
    assert "there is an account 'ann' already" in terminal.refused("create-account", "ANN")
    assert "last superuser" in terminal.refused("change-account", "ann", "--close")
    terminal.done("change-account", "bob", "--role", "qa", "--password")
    assert terminal.done("accounts").count("password") == 2
    assert terminal.done("change-account", "bob", "--openid-only", "--close") == "bob is qa, closed.\n"
    assert "nothing" in terminal.done("accounts")
    assert terminal.run("change-account", "bob").exit_code == 2
    assert terminal.run("change-account", "bob", "--password", "--openid-only").exit_code == 2


def test_tokens_are_listed_with_what_tells_which_one_can_go(terminal: Terminal, url: str) -> None:
    assert "No API tokens" in terminal.done("tokens")
    for name in ("ann", "bob"):
        terminal.done("create-account", name)
    engine = open_database(url)
    desk = Desk(engine, now=lambda: datetime.now(UTC), monotonic=time.monotonic)
    _, sent = desk.tokens.create("ann", label="[red]autotests", scopes=["read", "override"])
    desk.tokens.create("bob", label="forgotten", scopes=["evaluate"])
    over, _ = desk.tokens.create("bob", label="taken back", scopes=["read"])
    desk.tokens.revoke(over.token_id, account="bob")
    desk.identity_of_token(sent)
    desk.token_uses.write()
    engine.dispose()

    listed = terminal.done("tokens")
    (used,) = [line for line in listed.splitlines() if "[red]autotests" in line]
    (unused,) = [line for line in listed.splitlines() if "forgotten" in line]
    assert "last used 2" in used
    assert "never used" in unused
    assert "taken back" not in listed
    assert "forgotten" not in terminal.done("tokens", "--account", "Ann")
    assert "no account 'carl'" in terminal.refused("tokens", "--account", "carl")


def test_the_key_that_signs_sessions_is_replaced(terminal: Terminal, url: str) -> None:
    terminal.done("create-account", "ann")
    engine = open_database(url)

    def desk() -> Desk:
        return Desk(engine, now=lambda: datetime.now(UTC), monotonic=time.monotonic)

    try:
        _, cookie = desk().sign_in("ann", "a sentence rather than a word", address="x")
        assert "People stay signed in" in terminal.done("replace-session-key")
        assert desk().identity_of_session(cookie) is not None
        assert "Everybody signs in again" in terminal.done("replace-session-key", "--sign-out")
        assert desk().identity_of_session(cookie) is None
    finally:
        engine.dispose()
