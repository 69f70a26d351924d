"""What the identity provider says of ended sessions ends those, and each word of it counts once."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, select

from accounts.errors import WrongLogoutToken
from accounts.openid_logout import LONGEST_WAY
from accounts.openid_provider import CLOCK_SKEW
from accounts.tables import provider_sessions_table, used_logout_tokens_table
from tests.support.logout_tokens import House, signed


@pytest.fixture
def house(sqlite_database: Engine) -> House:
    return House(sqlite_database)


def test_the_session_that_the_provider_names_ends_and_no_other(house: House) -> None:
    laptop, phone = house.sign_in("1", sid="laptop"), house.sign_in("1", sid="phone")
    other = house.sign_in("2", sid="theirs")
    assert house.end(sid="laptop") == ["person-1"]
    assert [house.is_open(cookie) for cookie in (laptop, phone, other)] == [False, True, True]
    assert house.end(jti="the second", sid="phone", sub=None) == ["person-1"]
    assert [house.is_open(cookie) for cookie in (laptop, phone, other)] == [False, False, True]


def test_all_sessions_of_a_person_end_where_the_provider_names_none(house: House) -> None:
    mine = [house.sign_in("1", sid="laptop"), house.sign_in("1")]
    other = house.sign_in("2")
    assert house.end() == ["person-1"]
    assert [house.is_open(cookie) for cookie in (*mine, other)] == [False, False, True]


def test_all_end_as_well_where_the_session_that_it_names_was_never_told_of(house: House) -> None:
    before = house.sign_in("1")
    assert house.end(sid="laptop") == ["person-1"]
    assert not house.is_open(before)


def test_nobody_here_is_meant_and_nothing_is_wrong_with_it(house: House) -> None:
    mine = house.sign_in("1", sid="laptop")
    assert house.end(sub="unknown") == []
    assert house.end(jti="the second", sub=None, sid="unknown") == []
    assert house.is_open(mine)


def test_who_signs_in_again_stays_although_the_provider_names_the_new_session_as_the_old_one(house: House) -> None:
    house.sign_in("1", sid="of this browser")
    house.end(sid="of this browser")
    again = house.sign_in("1", sid="of this browser")
    assert house.is_open(again)


def test_a_token_counts_once_in_every_process(house: House) -> None:
    house.sign_in("1")
    token = signed(house.logout())
    house.openid.sign_out_by_provider(token)
    again = house.sign_in("1")
    for desk in (house.openid, house.elsewhere):
        with pytest.raises(WrongLogoutToken, match="used before"):
            desk.sign_out_by_provider(token)
    assert house.is_open(again)


def test_its_id_is_remembered_until_it_is_too_old_to_count(house: House) -> None:
    house.sign_in("1")
    token = signed(house.logout(exp=None))
    house.openid.sign_out_by_provider(token)
    house.clock.moment += LONGEST_WAY + CLOCK_SKEW - timedelta(seconds=1)
    house.sign_in("1", sid="x")  # which is when old ones are forgotten
    with pytest.raises(WrongLogoutToken, match="used before"):
        house.openid.sign_out_by_provider(token)
    house.clock.moment += timedelta(seconds=1)
    house.sign_in("1", sid="y")
    with pytest.raises(WrongLogoutToken, match="too old"):
        house.openid.sign_out_by_provider(token)
    with house.engine.connect() as connection:
        assert connection.execute(select(used_logout_tokens_table)).all() == []


def test_the_link_to_the_provider_s_session_is_forgotten_with_the_session(house: House) -> None:
    house.sign_in("1", sid="laptop")
    house.clock.moment += timedelta(seconds=3600)
    house.sign_in("2", sid="another")
    with house.engine.connect() as connection:
        assert connection.execute(select(provider_sessions_table.c.account)).scalars().all() == ["person-2"]


def test_where_ending_fails_the_token_may_come_once_more(house: House) -> None:
    mine = house.sign_in("1", sid="laptop")
    token = signed(house.logout(sid="laptop"))

    def fail(*given: Any) -> None:
        if "ended_sessions" in given[2]:
            raise RuntimeError("the machine is switched off")

    event.listen(house.engine, "before_cursor_execute", fail)
    with pytest.raises(RuntimeError):
        house.openid.sign_out_by_provider(token)
    event.remove(house.engine, "before_cursor_execute", fail)
    assert house.is_open(mine)
    assert house.openid.sign_out_by_provider(token) == ["person-1"]
    assert not house.is_open(mine)
