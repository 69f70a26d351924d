"""The accounts in the database: made, found, changed."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from accounts.errors import AccountExists, LastSuperuser, NoSuchAccount, UnknownRole, WrongAccountName
from accounts.identity import ROLES, Role
from accounts.passwords import Passwords
from accounts.revision import Revision
from accounts.tables import accounts_table, ended_sessions_table
from events.database import write_transaction

_NAME = re.compile(r"[a-z0-9._+@-]{1,100}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A person's account.

    Attributes:
        session_epoch: sessions of an earlier one are over.
        signs_in_by: what opens it: a password, the company's identity provider, or both.
    """

    name: str
    role: Role
    is_active: bool
    session_epoch: int
    signs_in_by: tuple[str, ...]
    created_at: datetime


class AccountDirectory:
    """Accounts by name. Safe to share between threads.

    Args:
        engine: the database.
        passwords: makes and compares hashes.
        now: the clock.
        revision: moves when what an account may has changed.
    """

    def __init__(self, engine: Engine, passwords: Passwords, now: Callable[[], datetime], revision: Revision) -> None:
        self._engine = engine
        self._passwords = passwords
        self._now = now
        self._revision = revision

    def create(self, name: str, role: str, *, password: str | None) -> Account:
        """Make an account; without a password it is opened by the identity provider only.

        Raises:
            WrongAccountName, UnknownRole, WeakPassword, AccountExists: see there.
        """
        row = self._new_row(name, role, self._passwords.hash(password) if password is not None else "")
        try:
            with write_transaction(self._engine) as connection:
                connection.execute(insert(accounts_table).values(row))
        except IntegrityError as error:
            raise AccountExists(row["name"]) from error
        return self.get(row["name"])

    def find(self, name: str) -> Account | None:
        """Return the account, None if there is none."""
        with self._engine.connect() as connection:
            row = _row(connection, name)
        return None if row is None else _account(row)

    def of_session(self, name: str, session_id: str) -> Account | None:
        """Return the account of a session, None if there is none or the session was ended."""
        was_ended = select(ended_sessions_table.c.session_id).where(ended_sessions_table.c.session_id == session_id)
        query = select(accounts_table).where(accounts_table.c.name == name, ~was_ended.exists())
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _account(row)

    def end_session(self, session_id: str, *, until: datetime) -> None:
        """End one session, whose cookie is too old `until` then."""
        with write_transaction(self._engine) as connection:
            connection.execute(delete(ended_sessions_table).where(ended_sessions_table.c.until <= self._now()))
        try:
            with write_transaction(self._engine) as connection:
                connection.execute(insert(ended_sessions_table).values(session_id=session_id, until=until))
        except IntegrityError:
            return  # it was ended twice at once

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
        with self._engine.connect() as connection:
            return [_account(row) for row in connection.execute(select(accounts_table).order_by(accounts_table.c.name))]

    def is_empty(self) -> bool:
        """Return whether nobody can sign in yet."""
        with self._engine.connect() as connection:
            return connection.execute(select(func.count()).select_from(accounts_table)).scalar_one() == 0

    def with_password(self, name: str, password: str) -> Account | None:
        """Return the account that this name and password open, None if they open none. Takes the same time always."""
        with self._engine.connect() as connection:
            row = _row(connection, name)
        right = self._passwords.is_right(password, row.password_hash if row is not None else "")
        if row is None or not right or not row.is_active:
            return None
        if self._passwords.is_outdated(row.password_hash):
            self._write(row.name, password_hash=self._passwords.hash(password))
        return _account(row)

    def set_password(self, name: str, password: str) -> None:
        """Set a password; all sessions of the account are over.

        Raises:
            NoSuchAccount, WeakPassword: see there.
        """
        hashed = self._passwords.hash(password)
        self._write(name, password_hash=hashed, session_epoch=accounts_table.c.session_epoch + 1)

    def end_sessions(self, name: str) -> None:
        """Sign the account out everywhere.

        Raises:
            NoSuchAccount: there is none.
        """
        self._write(name, session_epoch=accounts_table.c.session_epoch + 1)

    def change(self, name: str, *, role: str | None = None, is_active: bool | None = None) -> Account:
        """Give an account another role, close it, or open it again. A closed account's sessions are over.

        Raises:
            NoSuchAccount, UnknownRole: see there.
            LastSuperuser: no active superuser would remain.
        """
        with write_transaction(self._engine) as connection:
            # Locked in one order, so that two superusers who close each other cannot both succeed.
            superusers = connection.execute(
                select(accounts_table.c.name)
                .where(accounts_table.c.role == "superuser", accounts_table.c.is_active)
                .order_by(accounts_table.c.name)
                .with_for_update()
            ).scalars()
            others = [each for each in superusers if each != _folded(name)]
            row = _row(connection, name)
            if row is None:
                raise NoSuchAccount(name)
            new_role = row.role if role is None else _role(role)
            active = row.is_active if is_active is None else is_active
            stays = active and new_role == "superuser"
            if row.role == "superuser" and row.is_active and not stays and not others:
                raise LastSuperuser(row.name)
            epoch = row.session_epoch if active else row.session_epoch + 1
            connection.execute(
                update(accounts_table)
                .where(accounts_table.c.name == row.name)
                .values(role=new_role, is_active=active, session_epoch=epoch)
            )
        self._revision.move()
        return self.get(name)

    def with_subject(self, issuer: str, subject: str) -> Account | None:
        """Return the account that the identity provider's subject opens, None if there is none."""
        query = select(accounts_table).where(accounts_table.c.issuer == issuer, accounts_table.c.subject == subject)
        with self._engine.connect() as connection:
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
            with write_transaction(self._engine) as connection:
                connection.execute(insert(accounts_table).values(row))
        except IntegrityError as error:
            raise AccountExists(row["name"]) from error
        return self.get(row["name"])

    def invite(self, name: str) -> None:
        """Let the identity provider alone open an account: the first who has its name there, see `take_invitation`.

        Its password and its link to somebody there are gone, and its sessions are over.

        Raises:
            NoSuchAccount: there is none.
        """
        epoch = accounts_table.c.session_epoch + 1
        self._write(name, password_hash="", issuer="", subject=None, session_epoch=epoch)

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
            with write_transaction(self._engine) as connection:
                values = {"issuer": issuer, "subject": subject}
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
        }

    def _write(self, name: str, **values: Any) -> None:
        with write_transaction(self._engine) as connection:
            changed = connection.execute(
                update(accounts_table).where(accounts_table.c.name == _folded(name)).values(**values)
            )
            if changed.rowcount != 1:
                raise NoSuchAccount(name)


def _folded(name: str) -> str:
    return name.strip().lower()


def _role(role: str) -> Role:
    for known in ROLES:
        if role == known:
            return known
    raise UnknownRole(role, ROLES)


def _row(connection: Connection, name: str) -> Row[Any] | None:
    folded = _folded(name)
    if _NAME.fullmatch(folded) is None:  # such as one with a NUL, which a database would not take as a question
        return None
    return connection.execute(select(accounts_table).where(accounts_table.c.name == folded)).one_or_none()


def _account(row: Row[Any]) -> Account:
    ways = (("password", bool(row.password_hash)), ("openid", row.subject is not None))
    return Account(
        name=row.name,
        role=row.role,
        is_active=row.is_active,
        session_epoch=row.session_epoch,
        signs_in_by=tuple(name for name, opens in ways if opens),
        created_at=row.created_at,
    )
