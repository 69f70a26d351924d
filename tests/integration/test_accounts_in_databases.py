"""Accounts, sessions and keys in every database that UserSplit keeps its log in."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine

from accounts.errors import AccountExists, LastSuperuser
from accounts.signing import kept_keys, replace_kept_key
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
