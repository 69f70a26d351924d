"""Passwords, sessions and tokens say who it is, and nothing else does."""

from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from itsdangerous import URLSafeTimedSerializer
from sqlalchemy import Engine, select

from accounts.desk import Desk
from accounts.errors import (
    AccountExists,
    LastSuperuser,
    NoSuchAccount,
    NoSuchToken,
    NotAllowed,
    NotSignedIn,
    SignInFailed,
    TooManyAttempts,
    UnknownRole,
    WeakPassword,
    WrongAccountName,
    WrongPassword,
    WrongToken,
)
from accounts.identity import PERMISSIONS, Identity
from accounts.passwords import Passwords
from accounts.sessions import Sessions, new_session
from accounts.signing import SigningKeys
from accounts.tables import accounts_table, ended_sessions_table, tokens_table
from tests.support.people import PASSWORD, QUICK_HASHER, MovedClock, open_desk, sign_up


@pytest.fixture
def engine(sqlite_database: Engine) -> Engine:
    return sqlite_database


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def desk(engine: Engine, clock: MovedClock) -> Desk:
    made = open_desk(engine, clock)
    sign_up(made, ("root", "superuser"), ("ann", "manager"))
    return made


def sign_in(desk: Desk, name: str = "ann", password: str = PASSWORD) -> tuple[Identity, str]:
    return desk.sign_in(name, password, address="10.0.0.1")


def test_a_name_and_its_password_open_a_session(desk: Desk) -> None:
    identity, cookie = sign_in(desk, " Ann ")
    assert (identity.name, identity.role) == ("ann", "manager")
    assert desk.identity_of_session(cookie) == identity


@pytest.mark.parametrize(("name", "password"), [("ann", "correct horse batterY"), ("nobody", PASSWORD), ("a\0b", "x")])
def test_anything_else_opens_nothing(desk: Desk, name: str, password: str) -> None:
    with pytest.raises(WrongPassword):
        sign_in(desk, name, password)


@pytest.mark.usefixtures("desk")
def test_no_password_is_kept(engine: Engine) -> None:
    with engine.connect() as connection:
        kept = connection.execute(select(accounts_table.c.password_hash)).scalars().all()
    assert all(each.startswith("$argon2id$") and PASSWORD not in each for each in kept)


def test_a_hash_of_weaker_parameters_is_made_anew_at_the_next_sign_in(desk: Desk, engine: Engine) -> None:
    stronger = Passwords(PasswordHasher(time_cost=2, memory_cost=8, parallelism=1))
    desk.directory._passwords = stronger
    sign_in(desk)
    with engine.connect() as connection:
        kept = connection.execute(
            select(accounts_table.c.password_hash).where(accounts_table.c.name == "ann")
        ).scalar_one()
    assert not stronger.is_outdated(kept)
    assert sign_in(desk)[0].name == "ann"


def test_guessing_has_to_wait_and_the_owner_is_let_in_afterwards(desk: Desk, clock: MovedClock) -> None:
    for _ in range(5):
        with pytest.raises(WrongPassword):
            sign_in(desk, "ann", "guessed wrong")
    with pytest.raises(TooManyAttempts) as refused:
        sign_in(desk)
    clock.seconds += refused.value.retry_after_seconds
    assert sign_in(desk)[0].name == "ann"


def test_an_address_that_guesses_many_names_has_to_wait(desk: Desk) -> None:
    for number in range(5):
        with pytest.raises(WrongPassword):
            sign_in(desk, f"name{number}", "guessed wrong")
    with pytest.raises(TooManyAttempts):
        sign_in(desk, "root", PASSWORD)
    assert desk.sign_in("root", PASSWORD, address="10.0.0.2")[0].name == "root"


def test_a_forged_session_is_nobodys(desk: Desk) -> None:
    _, cookie = sign_in(desk)
    forged = URLSafeTimedSerializer("another secret", salt="usersplit.session.1").dumps(["root", 0, "x"])
    other_salt = URLSafeTimedSerializer("secret").dumps(["root", 0, "x"])
    for each in (forged, other_salt, cookie[:-2], "", "x" * 5000, "root"):
        assert desk.identity_of_session(str(each)) is None


def test_a_signed_cookie_of_another_shape_is_nobodys() -> None:
    sessions = Sessions(SigningKeys(lambda: ["s" * 32], lambda: 0), seconds=60)
    assert sessions.read(sessions.keys.sign({"name": "root"}, salt="usersplit.session.1")) is None


def test_a_session_ends_with_its_age() -> None:
    sessions = Sessions(SigningKeys(lambda: ["s" * 32], lambda: 0), seconds=-1)
    assert sessions.read(sessions.write(new_session("ann", 0))) is None


def test_signing_out_ends_the_session_wherever_its_cookie_is_and_no_other(desk: Desk, engine: Engine) -> None:
    _, cookie = sign_in(desk)
    _, other = sign_in(desk)
    assert desk.sign_out(cookie) == desk.identity_of_session(other)
    assert desk.identity_of_session(cookie) is None
    assert open_desk(engine).identity_of_session(cookie) is None
    assert desk.sign_out(cookie) is None
    assert desk.identity_of_session(other) is not None


def test_ended_sessions_are_forgotten_once_their_cookies_are_too_old(
    desk: Desk, engine: Engine, clock: MovedClock
) -> None:
    desk.sign_out(sign_in(desk)[1])
    clock.moment += timedelta(seconds=3601)
    _, cookie = sign_in(desk)
    desk.sign_out(cookie)
    with engine.connect() as connection:
        assert len(connection.execute(select(ended_sessions_table)).all()) == 1
    desk.directory.end_session("x", until=clock.moment + timedelta(seconds=1))
    desk.directory.end_session("x", until=clock.moment + timedelta(seconds=1))


def test_signing_out_everywhere_ends_all_sessions(desk: Desk) -> None:
    cookies = [sign_in(desk)[1] for _ in range(3)]
    desk.sign_out(cookies[0], everywhere=True)
    assert [desk.identity_of_session(cookie) for cookie in cookies] == [None, None, None]


def test_every_sign_in_is_a_new_session(desk: Desk) -> None:
    assert sign_in(desk)[1] != sign_in(desk)[1]


def test_a_new_password_ends_all_sessions(desk: Desk) -> None:
    _, cookie = sign_in(desk)
    desk.directory.set_password("ann", "another sentence")
    assert desk.identity_of_session(cookie) is None
    assert sign_in(desk, "ann", "another sentence")[0].name == "ann"


def test_a_closed_account_opens_nothing_any_more(desk: Desk) -> None:
    _, cookie = sign_in(desk)
    token, text = desk.tokens.create("ann", label="ci", scopes=["read"])
    desk.directory.change("ann", is_active=False)
    assert desk.identity_of_session(cookie) is None
    with pytest.raises(WrongPassword):
        sign_in(desk)
    with pytest.raises(NotSignedIn, match="closed"):
        desk.identity_of_token(text)
    with pytest.raises(SignInFailed, match="closed"):
        desk.open_session(desk.directory.get("ann"))
    desk.directory.change("ann", is_active=True)
    assert desk.identity_of_session(cookie) is None
    assert desk.identity_of_token(text).token_id == token.token_id


def test_a_changed_role_counts_at_once(desk: Desk) -> None:
    _, cookie = sign_in(desk)
    desk.directory.change("ann", role="viewer")
    found = desk.identity_of_session(cookie)
    assert found is not None
    assert found.permissions == {"read", "evaluate"}


def test_the_last_superuser_stays(desk: Desk) -> None:
    with pytest.raises(LastSuperuser):
        desk.directory.change("root", role="viewer")
    with pytest.raises(LastSuperuser):
        desk.directory.change("root", is_active=False)
    desk.directory.change("ann", role="superuser")
    assert desk.directory.change("root", role="viewer").role == "viewer"


@pytest.mark.parametrize("name", ["", " ", "a b", "a\nb", "a\0", "ä" * 3, "x" * 101, "<script>", "';--", "\u212aate"])
def test_a_name_that_cannot_be_one_is_refused(desk: Desk, name: str) -> None:
    with pytest.raises(WrongAccountName):
        desk.directory.create(name, "viewer", password=PASSWORD)


def test_a_name_that_only_looks_like_another_one_in_lower_case_is_not_that_one(desk: Desk) -> None:
    desk.directory.create("kate", "viewer", password=None)
    assert desk.directory.find("Kate") is not None
    assert desk.directory.find("\u212aate") is None
    assert desk.directory.take_invitation("\u212aate", issuer="https://id", subject="1") is None


def test_names_are_unique_in_any_case(desk: Desk) -> None:
    with pytest.raises(AccountExists):
        desk.directory.create("ANN", "viewer", password=PASSWORD)


@pytest.mark.parametrize("password", ["short", "", "x" * 201, "\ud800" * 12])
def test_a_weak_password_is_refused(desk: Desk, password: str) -> None:
    with pytest.raises(WeakPassword):
        desk.directory.create("new", "viewer", password=password)
    assert desk.directory.find("new") is None


def test_an_unknown_role_or_account_is_refused(desk: Desk) -> None:
    with pytest.raises(UnknownRole):
        desk.directory.create("new", "god", password=PASSWORD)
    with pytest.raises(NoSuchAccount):
        desk.directory.set_password("new", PASSWORD)
    with pytest.raises(NoSuchAccount):
        desk.directory.change("new", role="viewer")


def test_a_token_speaks_for_its_owner_within_its_scopes(desk: Desk, engine: Engine) -> None:
    token, text = desk.tokens.create("root", label="ci", scopes=["read", "override"])
    identity = desk.identity_of_token(text)
    assert (identity.name, identity.token_id) == ("root", token.token_id)
    assert sorted(identity.permissions) == ["override", "read"]
    with pytest.raises(NotAllowed, match="lacks that scope"):
        identity.require("steer")
    with engine.connect() as connection:
        kept = connection.execute(select(tokens_table)).one()
    assert text.rpartition("_")[2] not in str(kept)


def test_a_token_never_may_more_than_its_owner(desk: Desk) -> None:
    _, text = desk.tokens.create("ann", label="all", scopes=PERMISSIONS)
    with pytest.raises(NotAllowed, match="role manager"):
        desk.identity_of_token(text).require("administer")


def test_a_token_ends(desk: Desk, clock: MovedClock) -> None:
    end = clock.moment + timedelta(days=1)
    token, text = desk.tokens.create("ann", label="ci", scopes=["read"], expires_at=end)
    clock.moment = end
    with pytest.raises(NotSignedIn, match="expired at 2026-05-02"):
        desk.identity_of_token(text)
    assert desk.tokens.of("ann") == [token]


def test_a_revoked_token_is_nobodys_and_only_its_owner_revokes_it(desk: Desk) -> None:
    token, text = desk.tokens.create("ann", label="ci", scopes=["read"])
    with pytest.raises(NoSuchToken):
        desk.tokens.revoke(token.token_id, account="root")
    assert desk.identity_of_token(text).name == "ann"
    desk.tokens.revoke(token.token_id, account="ann")
    with pytest.raises(NotSignedIn, match="revoked"):
        desk.identity_of_token(text)
    with pytest.raises(NoSuchToken):
        desk.tokens.revoke("\0", account=None)


def test_a_token_is_known_by_its_id_while_it_is_open(desk: Desk) -> None:
    token, text = desk.tokens.create("ann", label="ci", scopes=["evaluate"])
    assert desk.tokens.with_id(token.token_id).identity == desk.identity_of_token(text)
    desk.tokens.revoke(token.token_id, account="ann")
    for token_id in (token.token_id, "nobody's", ""):
        with pytest.raises(NotSignedIn):
            desk.tokens.with_id(token_id)


def test_a_text_that_is_no_token_is_nobodys(desk: Desk) -> None:
    _, text = desk.tokens.create("ann", label="ci", scopes=["read"])
    for each in ("", "usersplit_", text[:-1], text + "x", text[:-1] + ("a" if text[-1] != "a" else "b"), "ü"):
        with pytest.raises(NotSignedIn, match="not valid"):
            desk.identity_of_token(each)


@pytest.mark.parametrize(
    ("label", "scopes"), [("", ["read"]), ("x" * 101, ["read"]), ("a\nb", ["read"]), ("ci", []), ("ci", ["root"])]
)
def test_a_token_that_cannot_be_made_is_refused(desk: Desk, label: str, scopes: list[str]) -> None:
    with pytest.raises(WrongToken):
        desk.tokens.create("ann", label=label, scopes=scopes)
    assert desk.tokens.of(None) == []


def test_a_token_wins_over_a_session_and_a_wrong_one_is_not_passed_over(desk: Desk) -> None:
    _, cookie = sign_in(desk, "root")
    _, text = desk.tokens.create("ann", label="ci", scopes=["read"])
    assert desk.identity_of(authorization=f"Bearer {text}", api_key="", cookie=cookie).name == "ann"
    assert desk.identity_of(authorization="", api_key=text, cookie=cookie).name == "ann"
    assert desk.identity_of(authorization="", api_key="", cookie=cookie).name == "root"
    for authorization in ("Bearer wrong", "Basic cm9vdDpyb290"):
        with pytest.raises(NotSignedIn):
            desk.identity_of(authorization=authorization, api_key="", cookie=cookie)
    with pytest.raises(NotSignedIn, match="nobody"):
        desk.identity_of(authorization="", api_key="", cookie="")


def test_two_desks_over_one_database_know_each_others_sessions(desk: Desk, engine: Engine) -> None:
    _, cookie = sign_in(desk)
    found = open_desk(engine).identity_of_session(cookie)
    assert found is not None
    assert found.name == "ann"


def test_a_subject_of_the_identity_provider_opens_its_own_account_and_no_other(desk: Desk) -> None:
    made = desk.directory.create_for_subject("bob@example.com", "viewer", issuer="https://id", subject="1")
    assert desk.directory.with_subject("https://id", "1") == made
    assert made.signs_in_by == ("openid",)
    assert desk.directory.with_subject("https://other", "1") is None
    with pytest.raises(AccountExists):
        desk.directory.create_for_subject("ann", "superuser", issuer="https://id", subject="2")
    with pytest.raises(WrongPassword):
        sign_in(desk, "bob@example.com", "")


def test_an_account_that_waits_for_the_identity_provider_is_taken_once(desk: Desk) -> None:
    _, cookie = sign_in(desk)
    assert desk.directory.take_invitation("ann", issuer="https://id", subject="2") is None
    desk.directory.invite("ann")
    assert desk.identity_of_session(cookie) is None
    with pytest.raises(WrongPassword):
        sign_in(desk)
    assert desk.directory.take_invitation("nobody", issuer="https://id", subject="2") is None
    assert desk.directory.take_invitation("a\0b", issuer="https://id", subject="2") is None
    taken = desk.directory.take_invitation("Ann", issuer="https://id", subject="2")
    assert taken is not None
    assert (taken.name, taken.role, taken.signs_in_by) == ("ann", "manager", ("openid",))
    assert desk.directory.take_invitation("ann", issuer="https://id", subject="3") is None
    desk.directory.create("bob", "viewer", password=None)
    assert desk.directory.take_invitation("bob", issuer="https://id", subject="2") is None
    with pytest.raises(NoSuchAccount):
        desk.directory.invite("nobody")


def test_a_wrong_password_costs_as_much_hashing_without_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []
    passwords = Passwords(QUICK_HASHER)
    verify = QUICK_HASHER.verify

    def counted(kept: str, password: str) -> bool:
        hashed.append(kept)
        return bool(verify(kept, password))

    monkeypatch.setattr(type(QUICK_HASHER), "verify", lambda _, kept, password: counted(kept, password))
    assert not passwords.is_right(PASSWORD, "")
    assert len(hashed) == 1
