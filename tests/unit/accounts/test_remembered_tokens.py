"""Tokens that were valid a moment ago are not asked for again, and never let in for longer than is said."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from accounts.desk import Desk
from accounts.errors import NotSignedIn
from accounts.remembered import TRUST_SECONDS
from events.database import open_database
from tests.support.people import MovedClock, make_tables, open_desk, sign_up


class House:
    """One database, and two processes that know accounts by it."""

    def __init__(self, engine: Engine) -> None:
        self.clock = MovedClock()
        self.here = open_desk(engine, self.clock)
        self.elsewhere = open_desk(engine, self.clock)
        sign_up(self.here, ("root", "superuser"), ("ann", "manager"))

    def token(self, *, minutes: float | None = None) -> tuple[str, str]:
        ends = None if minutes is None else self.clock.now() + timedelta(minutes=minutes)
        token, text = self.here.tokens.create("ann", label="test", scopes=["read"], expires_at=ends)
        return token.token_id, text

    def pass_seconds(self, seconds: float) -> None:
        self.clock.seconds += seconds
        self.clock.moment += timedelta(seconds=seconds)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    engine = open_database(f"sqlite:///{tmp_path / 'accounts.db'}")
    make_tables(engine)
    yield House(engine)
    engine.dispose()


def known(desk: Desk, text: str) -> bool:
    return desk.known(authorization=f"Bearer {text}", api_key="") is not None


def test_a_valid_token_is_known_for_a_while_by_either_header(house: House) -> None:
    _, text = house.token()
    assert not known(house.here, text)
    identity = house.here.identity_of_token(text)
    assert house.here.known(authorization=f"bearer  {text} ", api_key="") == identity
    assert house.here.known(authorization="", api_key=text) == identity
    assert house.here.known(authorization="Basic eDp5", api_key=text) is None
    house.pass_seconds(TRUST_SECONDS + 0.1)
    assert not known(house.here, text)
    assert house.here.identity_of_token(text) == identity


def test_a_token_that_is_revoked_here_is_refused_at_once(house: House) -> None:
    token_id, text = house.token()
    house.here.identity_of_token(text)
    house.here.tokens.revoke(token_id, account="ann")
    assert not known(house.here, text)
    with pytest.raises(NotSignedIn, match="revoked"):
        house.here.identity_of_token(text)


def test_a_token_that_another_process_revokes_is_refused_when_the_trust_ends(house: House) -> None:
    token_id, text = house.token()
    house.here.identity_of_token(text)
    house.elsewhere.tokens.revoke(token_id, account="ann")
    house.here.identity_of_token(text)
    house.pass_seconds(TRUST_SECONDS + 0.1)
    with pytest.raises(NotSignedIn, match="revoked"):
        house.here.identity_of_token(text)


def test_a_role_that_changes_and_an_account_that_is_closed_count_at_once_here(house: House) -> None:
    _, text = house.token()
    assert house.here.identity_of_token(text).role == "manager"
    house.here.directory.change("ann", role="viewer")
    assert house.here.identity_of_token(text).role == "viewer"
    house.here.directory.change("ann", is_active=False)
    with pytest.raises(NotSignedIn, match="closed"):
        house.here.identity_of_token(text)


def test_a_token_is_never_let_in_after_its_end(house: House) -> None:
    _, text = house.token(minutes=0.05)
    house.here.identity_of_token(text)
    house.pass_seconds(2)
    assert known(house.here, text)
    house.pass_seconds(1.1)
    assert not known(house.here, text)
    with pytest.raises(NotSignedIn, match="expired"):
        house.here.identity_of_token(text)


@pytest.mark.parametrize("text", ["", "forged", "usersplit_0123456789abcdef_" + "x" * 43, "\ud800"])
def test_what_is_no_token_is_never_remembered(house: House, text: str) -> None:
    for _ in range(2):
        with pytest.raises(NotSignedIn):
            house.here.identity_of_token(text)
        assert not known(house.here, text)
