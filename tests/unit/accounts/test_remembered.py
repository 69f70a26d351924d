"""Tokens and sessions that were valid a moment ago are not asked for again, and not let in for longer than is said."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from accounts.desk import Desk
from accounts.errors import NotSignedIn
from accounts.remembered import TRUST_SECONDS
from tests.support.people import PASSWORD, MovedClock, open_desk, sign_up


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
def house(sqlite_database: Engine) -> House:
    return House(sqlite_database)


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


def let_in(desk: Desk, cookie: str) -> str | None:
    """Return the role of whoever shows the cookie to the API, None if nobody is let in."""
    try:
        return desk.identity_of(authorization="", api_key="", cookie=cookie).role
    except NotSignedIn:
        return None


def remembers(desk: Desk, cookie: str) -> bool:
    return desk.known(authorization="", api_key="", cookie=cookie) is not None


def test_a_session_is_known_for_a_while(house: House) -> None:
    _, cookie = house.here.sign_in("ann", PASSWORD, address="here")
    assert not remembers(house.here, cookie)
    assert let_in(house.here, cookie) == "manager"
    assert remembers(house.here, cookie)
    assert house.here.known(authorization="Bearer x", api_key="", cookie=cookie) is None
    assert house.here.known(authorization="", api_key="x", cookie=cookie) is None
    house.pass_seconds(TRUST_SECONDS + 0.1)
    assert not remembers(house.here, cookie)
    assert let_in(house.here, cookie) == "manager"


ENDS: list[Callable[[Desk, str], object]] = [
    lambda desk, cookie: desk.sign_out(cookie),
    lambda desk, cookie: desk.sign_out(cookie, everywhere=True),
    lambda desk, _: desk.directory.set_password("ann", "another sentence"),
    lambda desk, _: desk.directory.change("ann", is_active=False),
    lambda desk, _: desk.directory.invite("ann"),
]
"""Everything that ends a session before its time."""


@pytest.mark.parametrize("end", ENDS)
def test_a_session_that_is_ended_here_is_over_at_once_and_elsewhere_after_seconds(
    house: House, end: Callable[[Desk, str], object]
) -> None:
    _, cookie = house.here.sign_in("ann", PASSWORD, address="here")
    assert [let_in(desk, cookie) for desk in (house.here, house.elsewhere)] == ["manager", "manager"]
    end(house.here, cookie)
    assert (let_in(house.here, cookie), remembers(house.here, cookie)) == (None, False)
    house.pass_seconds(TRUST_SECONDS - 0.1)
    assert let_in(house.elsewhere, cookie) == "manager"
    house.pass_seconds(0.2)
    assert let_in(house.elsewhere, cookie) is None


def test_another_role_counts_for_a_session_here_at_once_and_elsewhere_after_seconds(house: House) -> None:
    _, cookie = house.here.sign_in("ann", PASSWORD, address="here")
    assert [let_in(desk, cookie) for desk in (house.here, house.elsewhere)] == ["manager", "manager"]
    house.here.directory.change("ann", role="viewer")
    assert let_in(house.here, cookie) == "viewer"
    house.pass_seconds(TRUST_SECONDS + 0.1)
    assert let_in(house.elsewhere, cookie) == "viewer"


def test_a_session_that_ends_while_it_is_asked_for_is_not_remembered(house: House) -> None:
    _, cookie = house.here.sign_in("ann", PASSWORD, address="here")
    ask = house.here.directory.of_session

    def slow(name: str, session_id: str) -> object:
        found = ask(name, session_id)
        house.here.directory.end_session(session_id, until=house.clock.now() + timedelta(hours=1))
        return found

    house.here.directory.of_session = slow  # type: ignore[method-assign,assignment]
    let_in(house.here, cookie)
    assert not remembers(house.here, cookie)


def test_a_forged_session_is_never_remembered(house: House) -> None:
    _, cookie = house.here.sign_in("ann", PASSWORD, address="here")
    assert let_in(house.here, cookie) == "manager"
    for forged in (cookie[:-1], cookie + "x", "", "x" * 5000, "\ud800"):
        assert let_in(house.here, forged) is None
        assert not remembers(house.here, forged)
