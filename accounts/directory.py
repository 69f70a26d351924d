"""The accounts in the database: made, found, changed."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from accounts.errors import AccountExists, LastSuperuser, NoSuchAccount, UnknownRole, WrongAccountName
from accounts.identity import ROLES, Role
from accounts.passwords import Passwords
from accounts.revision import Revision
from accounts.tables import accounts_table, ended_sessions_table
from accounts.transactions import Shared, Transactions, insert_if_new
from events.errors import VersionConflict

_NAME = re.compile(r"[a-z0-9._+@-]{1,100}")

_NEXT: Final = {"version": accounts_table.c.version + 1}
_SESSIONS_OVER: Final = {"session_epoch": accounts_table.c.session_epoch + 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A person's account.

    Attributes:
        session_epoch: sessions of an earlier one are over.
        signs_in_by: what opens it: a password, the company's identity provider, or both.
        version: what a change may expect; another one after each change of its role, its closing or what opens it.
    """

    name: str
    role: Role
    is_active: bool
    session_epoch: int
    signs_in_by: tuple[str, ...]
    created_at: datetime
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPage:
    """Some accounts by name, how many there are in all, and the name that the next page begins behind (None: none)."""

    accounts: list[Account]
    total: int
    next: str | None


class AccountDirectory:
    """Accounts by name. Safe to share between threads.

    Args:
        engine: the database.
        passwords: makes and compares hashes.
        now: the clock.
        revision: moves when what an account may has changed, or a session is over.
    """

    def __init__(self, engine: Engine, passwords: Passwords, now: Callable[[], datetime], revision: Revision) -> None:
        self._transactions = Transactions(engine)
        self._passwords = passwords
        self._now = now
        self._revision = revision

    def within(self, shared: Shared) -> "AccountDirectory":
        """Return the same directory as part of one transaction: who commits it moves the revision afterwards."""
        engine = self._transactions.engine
        bound = AccountDirectory(engine, self._passwords, self._now, self._revision)
        bound._transactions = Transactions(engine, shared)
        return bound

    def create(self, name: str, role: str, *, password: str | None) -> Account:
        """Make an account; without a password it is opened by the identity provider only.

        Raises:
            WrongAccountName, UnknownRole, WeakPassword, AccountExists: see there.
        """
        row = self._new_row(name, role, self._passwords.hash(password) if password is not None else "")
        try:
            with self._transactions.writing() as connection:
                connection.execute(insert(accounts_table).values(row))
        except IntegrityError as error:
            raise AccountExists(row["name"]) from error
        return self.get(row["name"])

    def find(self, name: str) -> Account | None:
        """Return the account, None if there is none."""
        with self._transactions.reading() as connection:
            row = _row(connection, name)
        return None if row is None else _account(row)

    def of_session(self, name: str, session_id: str) -> Account | None:
        """Return the account of a session, None if there is none or the session was ended."""
        was_ended = select(ended_sessions_table.c.session_id).where(ended_sessions_table.c.session_id == session_id)
        query = select(accounts_table).where(accounts_table.c.name == name, ~was_ended.exists())
        with self._transactions.reading() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _account(row)

    def end_session(self, session_id: str, *, until: datetime) -> None:
        """End one session, whose cookie is too old `until` then."""
        with self._transactions.writing() as connection:
            connection.execute(delete(ended_sessions_table).where(ended_sessions_table.c.until <= self._now()))
            insert_if_new(connection, ended_sessions_table, {"session_id": session_id, "until": until})
        self._revision.move()

    def get(self, name: str) -> Account:
        """Return the account.

        Raises:
            NoSuchAccount: there is none.
        """
        found = self.find(name)
        if found is None:
            raise NoSuchAccount(name)
        return found

    def all(self) -> list[Account]:
        """Return every account, by name, closed ones too."""
        with self._transactions.reading() as connection:
            return [_account(row) for row in connection.execute(select(accounts_table).order_by(accounts_table.c.name))]

    def page(self, *, limit: int, after: str = "") -> AccountPage:
        """Return at most `limit` accounts, by name, behind the name `after`; closed ones too."""
        query = select(accounts_table).where(accounts_table.c.name > after).order_by(accounts_table.c.name)
        with self._transactions.reading() as connection:
            found = [_account(row) for row in connection.execute(query.limit(limit + 1))]
            total = connection.execute(select(func.count()).select_from(accounts_table)).scalar_one()
        behind = found[limit - 1].name if len(found) > limit else None
        return AccountPage(accounts=found[:limit], total=total, next=behind)

    def is_empty(self) -> bool:
        """Return whether nobody can sign in yet."""
        with self._transactions.reading() as connection:
            return connection.execute(select(func.count()).select_from(accounts_table)).scalar_one() == 0

    def with_password(self, name: str, password: str) -> Account | None:
        """Return the account that this name and password open, None if they open none. Takes the same time always."""
        with self._transactions.reading() as connection:
            row = _row(connection, name)
        right = self._passwords.is_right(password, row.password_hash if row is not None else "")
        if row is None or not right or not row.is_active:
            return None
        if self._passwords.is_outdated(row.password_hash):
            self._write(row.name, {"password_hash": self._passwords.hash(password)})
        return _account(row)

    def set_password(self, name: str, password: str, *, expected_version: int | None = None) -> None:
        """Set a password; all sessions of the account are over.

        Raises:
            NoSuchAccount, WeakPassword: see there.
            VersionConflict: the account is not at `expected_version` (None: whatever it is at).
        """
        hashed = self._passwords.hash(password)
        self._write(name, {"password_hash": hashed, **_SESSIONS_OVER, **_NEXT}, expected_version)

    def end_sessions(self, name: str, *, expected_version: int | None = None) -> None:
        """Sign the account out everywhere.

        Raises:
            NoSuchAccount: there is none.
            VersionConflict: the account is not at `expected_version` (None: whatever it is at).
        """
        self._write(name, _SESSIONS_OVER, expected_version)

    def change(
        self,
        name: str,
        *,
        role: str | None = None,
        is_active: bool | None = None,
        expected_version: int | None = None,
    ) -> Account:
        """Give an account another role, close it, or open it again. A closed account's sessions are over.

        Raises:
            NoSuchAccount, UnknownRole: see there.
            VersionConflict: the account is not at `expected_version` (None: whatever it is at).
            LastSuperuser: no active superuser would remain.
        """
        with self._transactions.writing() as connection:
            # Locked in one order, so that two superusers who close each other cannot both succeed.
            superusers = connection.execute(
                select(accounts_table.c.name)
                .where(accounts_table.c.role == "superuser", accounts_table.c.is_active)
                .order_by(accounts_table.c.name)
                .with_for_update()
            ).scalars()
            others = [each for each in superusers if each != _folded(name)]
            row = _row(connection, name, is_to_change=True)
            if row is None:
                raise NoSuchAccount(name)
            _require_version(row, expected_version)
            new_role = row.role if role is None else _role(role)
            active = row.is_active if is_active is None else is_active
            stays = active and new_role == "superuser"
            if row.role == "superuser" and row.is_active and not stays and not others:
                raise LastSuperuser(row.name)
            epoch = row.session_epoch if active else row.session_epoch + 1
            version = row.version + ((row.role, row.is_active) != (new_role, active))
            connection.execute(
                update(accounts_table)
                .where(accounts_table.c.name == row.name)
                .values(role=new_role, is_active=active, session_epoch=epoch, version=version)
            )
        self._revision.move()
        return self.get(name)

    def with_subject(self, issuer: str, subject: str) -> Account | None:
        """Return the account that the identity provider's subject opens, None if there is none."""
        query = select(accounts_table).where(accounts_table.c.issuer == issuer, accounts_table.c.subject == subject)
        with self._transactions.reading() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _account(row)

    def create_for_subject(self, name: str, role: str, *, issuer: str, subject: str) -> Account:
        """Make an account that the identity provider's subject opens.

        An account of the name that exists already is not given away: whoever can choose a name at the provider would
        take it over. A superuser invites the person (`invite`).

        Raises:
            WrongAccountName, UnknownRole, AccountExists: see there.
        """
        row = self._new_row(name, role, "") | {"issuer": issuer, "subject": subject}
        try:
            with self._transactions.writing() as connection:
                connection.execute(insert(accounts_table).values(row))
        except IntegrityError as error:
            raise AccountExists(row["name"]) from error
        return self.get(row["name"])

    def invite(self, name: str, *, expected_version: int | None = None) -> None:
        """Let the identity provider alone open an account: the first who has its name there, see `take_invitation`.

        Its password and its link to somebody there are gone, and its sessions are over.

        Raises:
            NoSuchAccount: there is none.
            VersionConflict: the account is not at `expected_version` (None: whatever it is at).
        """
        gone = {"password_hash": "", "issuer": "", "subject": None}
        self._write(name, {**gone, **_SESSIONS_OVER, **_NEXT}, expected_version)

    def take_invitation(self, name: str, *, issuer: str, subject: str) -> Account | None:
        """Link the subject to an account that waits for whoever has its name there, and return it; None if none does.

        Such an account was made without a password, or `invite` took it away, and no subject opens it yet. It is taken
        once, by the first who has its name there.
        """
        if _NAME.fullmatch(_folded(name)) is None:
            return None
        is_open = (
            (accounts_table.c.name == _folded(name))
            & (accounts_table.c.password_hash == "")
            & accounts_table.c.subject.is_(None)
            & accounts_table.c.is_active
        )
        try:
            with self._transactions.writing() as connection:
                values = {"issuer": issuer, "subject": subject, **_NEXT}
                taken = connection.execute(update(accounts_table).where(is_open).values(values)).rowcount
        except IntegrityError:
            return None  # the subject opens an account already
        return self.get(name) if taken else None

    def _new_row(self, name: str, role: str, password_hash: str) -> dict[str, Any]:
        folded = _folded(name)
        if _NAME.fullmatch(folded) is None:
            raise WrongAccountName(name)
        return {
            "name": folded,
            "role": _role(role),
            "password_hash": password_hash,
            "is_active": True,
            "session_epoch": 0,
            "created_at": self._now(),
            "version": 1,
        }

    def _write(self, name: str, values: Mapping[str, Any], expected_version: int | None = None) -> None:
        with self._transactions.writing() as connection:
            row = _row(connection, name, is_to_change=True)
            if row is None:
                raise NoSuchAccount(name)
            _require_version(row, expected_version)
            connection.execute(update(accounts_table).where(accounts_table.c.name == row.name).values(values))
        self._revision.move()


def _folded(name: str) -> str:
    stripped = name.strip()
    # In lower case the Kelvin sign is a k: who is called so at an identity provider would be somebody else here.
    return stripped.lower() if stripped.isascii() else stripped


def _role(role: str) -> Role:
    for known in ROLES:
        if role == known:
            return known
    raise UnknownRole(role, ROLES)


def _row(connection: Connection, name: str, *, is_to_change: bool = False) -> Row[Any] | None:
    folded = _folded(name)
    if _NAME.fullmatch(folded) is None:  # such as one with a NUL, which a database would not take as a question
        return None
    query = select(accounts_table).where(accounts_table.c.name == folded)
    return connection.execute(query.with_for_update() if is_to_change else query).one_or_none()


def _require_version(row: Row[Any], expected: int | None) -> None:
    if expected is not None and expected != row.version:
        raise VersionConflict(f"account {row.name}", expected, row.version)


def _account(row: Row[Any]) -> Account:
    ways = (("password", bool(row.password_hash)), ("openid", row.subject is not None))
    return Account(
        name=row.name,
        role=row.role,
        is_active=row.is_active,
        session_epoch=row.session_epoch,
        signs_in_by=tuple(name for name, opens in ways if opens),
        created_at=row.created_at,
        version=row.version,
    )
