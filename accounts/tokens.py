"""API tokens: what programs send in a person's place. Shown once, kept as a hash, limited by scopes and in time."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, func, insert, select, update

from accounts.errors import NoSuchToken, NotSignedIn, WrongToken, said_of_expiry
from accounts.identity import PERMISSIONS, Identity, Permission
from accounts.revision import Revision
from accounts.tables import accounts_table, tokens_table
from accounts.transactions import Shared, Transactions
from events.errors import VersionConflict

_FORM: Final = re.compile(r"usersplit_([a-z0-9]{16})_([A-Za-z0-9_-]{43})")
_MOST_LABEL: Final = 100
MOST_TOKENS: Final = 200
"""So many an account has at once; those that are over do not count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """An API token, without its secret.

    Attributes:
        label: what its owner calls it.
        scopes: what it may, at most; never more than its owner's role.
        expires_at: when it ends, None: never.
        revoked_at: when it was taken back.
        last_used_at: when somebody sent it last, to the hour; None: nobody did (see `uses_unknown_before`).
        uses_unknown_before: until when nobody noted whether it was used; None: its uses were noted from the first one.
    """

    token_id: str
    account: str
    label: str
    scopes: tuple[Permission, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    uses_unknown_before: datetime | None

    @property
    def version(self) -> int:
        """What a change may expect: nobody changes anything of a token but that it is revoked."""
        return 1 if self.revoked_at is None else 2

    def is_over(self, now: datetime) -> bool:
        """Return whether it opens nothing any more, whatever becomes of its owner's account."""
        return self.revoked_at is not None or (self.expires_at is not None and self.expires_at <= now)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPlace:
    """The place of a token in lists, which begin with the newest."""

    created_at: datetime
    token_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPage:
    """Some tokens, the newest first; how many there are in all, and what the next page begins behind (None: none)."""

    tokens: list[ApiToken]
    total: int
    next: TokenPlace | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidToken:
    """Whom a token speaks for, and when it ends (None: never)."""

    identity: Identity
    expires_at: datetime | None


class ApiTokens:
    """API tokens in the database. Safe to share between threads.

    Args:
        engine: the database.
        now: the clock.
        revision: moves when a token is revoked.
    """

    def __init__(self, engine: Engine, now: Callable[[], datetime], revision: Revision) -> None:
        self._transactions = Transactions(engine)
        self._now = now
        self._revision = revision

    def within(self, shared: Shared) -> "ApiTokens":
        """Return the same tokens as part of one transaction: who commits it moves the revision afterwards."""
        bound = ApiTokens(self._transactions.engine, self._now, self._revision)
        bound._transactions = Transactions(self._transactions.engine, shared)
        return bound

    def create(
        self, account: str, *, label: str, scopes: Iterable[str], expires_at: datetime | None = None
    ) -> tuple[ApiToken, str]:
        """Make a token for `account`; return it and its text, which nobody can see again.

        Raises:
            WrongToken: no label, an unknown scope or none, an end that has passed, or too many tokens.
        """
        now, wanted = self._now(), _scopes(scopes)
        name = label.strip()
        if not name or len(name) > _MOST_LABEL or not name.isprintable():
            raise WrongToken(
                f"a token needs a label of one line and at most {_MOST_LABEL} characters; say what for", "label"
            )
        if expires_at is not None and expires_at <= now:
            raise WrongToken("the token would have expired already; give a later end", "expires_at")
        # 64 bits that name it, and 256 that open it: a hash without salt or slowness is safe for those.
        token_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
        row = {
            "token_id": token_id,
            "account": account,
            "label": name,
            "secret_hash": _hash(secret),
            "scopes": " ".join(wanted),
            "created_at": now,
            "expires_at": expires_at,
            "revoked_at": None,
        }
        with self._transactions.writing() as connection:
            if _valid_of(connection, account, now) >= MOST_TOKENS:
                raise WrongToken(f"{account} has {MOST_TOKENS} tokens already; revoke those that nobody uses", "number")
            connection.execute(insert(tokens_table).values(row))
            made = connection.execute(select(tokens_table).where(tokens_table.c.token_id == token_id)).one()
        return _token(made), f"usersplit_{token_id}_{secret}"

    def of(self, account: str | None) -> list[ApiToken]:
        """Return the tokens of an account, of everybody if None; the newest first."""
        query = select(tokens_table).order_by(tokens_table.c.created_at.desc(), tokens_table.c.token_id)
        if account is not None:
            query = query.where(tokens_table.c.account == account)
        with self._transactions.reading() as connection:
            return [_token(row) for row in connection.execute(query)]

    def page(self, account: str | None, *, limit: int, after: TokenPlace | None = None) -> TokenPage:
        """Return at most `limit` tokens of an account, of everybody if None, behind the place `after`."""
        table = tokens_table.c
        query = select(tokens_table).order_by(table.created_at.desc(), table.token_id)
        counted = select(func.count()).select_from(tokens_table)
        if account is not None:
            query, counted = query.where(table.account == account), counted.where(table.account == account)
        if after is not None:
            same = (table.created_at == after.created_at) & (table.token_id > after.token_id)
            query = query.where((table.created_at < after.created_at) | same)
        with self._transactions.reading() as connection:
            found = [_token(row) for row in connection.execute(query.limit(limit + 1))]
            total = connection.execute(counted).scalar_one()
        last = found[limit - 1] if len(found) > limit else None
        behind = None if last is None else TokenPlace(created_at=last.created_at, token_id=last.token_id)
        return TokenPage(tokens=found[:limit], total=total, next=behind)

    def get(self, token_id: str, *, account: str | None) -> ApiToken:
        """Return a token of an account; of anybody if None.

        Raises:
            NoSuchToken: there is none, or it is another person's.
        """
        with self._transactions.reading() as connection:
            return _token(_row(connection, token_id, account))

    def revoke(self, token_id: str, *, account: str | None, expected_version: int | None = None) -> None:
        """Take a token back, for good. `account` is its owner; None for a superuser, who takes back anybody's.

        Raises:
            NoSuchToken: there is none, or it is another person's.
            VersionConflict: it is not at `expected_version` (None: it may have been taken back before).
        """
        with self._transactions.writing() as connection:
            token = _token(_row(connection, token_id, account, is_to_change=True))
            if expected_version is not None and expected_version != token.version:
                raise VersionConflict(f"API token {token_id}", expected_version, token.version)
            if token.revoked_at is None:
                mine = tokens_table.c.token_id == token_id
                connection.execute(update(tokens_table).where(mine).values(revoked_at=self._now()))
        self._revision.move()

    def identity_of(self, text: str) -> Identity:
        """Return whom a token speaks for.

        Raises:
            NotSignedIn: it is no token of ours, revoked, expired, or its owner's account is closed.
        """
        return self.valid(text).identity

    def valid(self, text: str) -> ValidToken:
        """Return whom a token speaks for, and for how long.

        Raises:
            NotSignedIn: see `identity_of`.
        """
        parts = _FORM.fullmatch(text)
        row = None if parts is None else self._with_owner(parts[1])
        if parts is None or row is None or not hmac.compare_digest(row.secret_hash, _hash(parts[2])):
            raise NotSignedIn("the API token is not valid")
        return self._open(row)

    def with_id(self, token_id: str) -> ValidToken:
        """Return whom the token of this id speaks for; who asks knows already that it was shown.

        Raises:
            NotSignedIn: there is none, or it is over: see `identity_of`.
        """
        row = self._with_owner(token_id)
        if row is None:
            raise NotSignedIn("the API token is not valid")
        return self._open(row)

    def _with_owner(self, token_id: str) -> Row[Any] | None:
        query = (
            select(tokens_table, accounts_table.c.role, accounts_table.c.is_active)
            .join(accounts_table, accounts_table.c.name == tokens_table.c.account)
            .where(tokens_table.c.token_id == token_id)
        )
        with self._transactions.reading() as connection:
            return connection.execute(query).one_or_none()

    def _open(self, row: Row[Any]) -> ValidToken:
        if row.revoked_at is not None:
            raise NotSignedIn("the API token was revoked")
        if row.expires_at is not None and row.expires_at <= self._now():
            raise NotSignedIn(said_of_expiry(row.expires_at))
        if not row.is_active:
            raise NotSignedIn("the account of the API token is closed")
        scopes = frozenset(_token(row).scopes)
        identity = Identity(name=row.account, role=row.role, token_id=row.token_id, scopes=scopes)
        return ValidToken(identity=identity, expires_at=row.expires_at)


def said_of_use(token: ApiToken) -> str:
    """Return in words when a token was used last."""
    if token.last_used_at is not None:
        return f"last used {token.last_used_at:%Y-%m-%d %H:%M} UTC"
    if token.uses_unknown_before is not None:
        return f"not used since {token.uses_unknown_before:%Y-%m-%d %H:%M} UTC"
    return "never used"


def _row(connection: Connection, token_id: str, account: str | None, *, is_to_change: bool = False) -> Row[Any]:
    if not (token_id.isascii() and token_id.isalnum()):
        raise NoSuchToken(token_id)
    query = select(tokens_table).where(tokens_table.c.token_id == token_id)
    if account is not None:
        query = query.where(tokens_table.c.account == account)
    row = connection.execute(query.with_for_update() if is_to_change else query).one_or_none()
    if row is None:
        raise NoSuchToken(token_id)
    return row


def _valid_of(connection: Connection, account: str, now: datetime) -> int:
    """Return how many tokens of an account are not over; until the transaction ends nobody else makes one for it."""
    connection.execute(select(accounts_table.c.name).where(accounts_table.c.name == account).with_for_update())
    table = tokens_table.c
    ends_later = table.expires_at.is_(None) | (table.expires_at > now)
    mine = (table.account == account) & table.revoked_at.is_(None) & ends_later
    return connection.execute(select(func.count()).select_from(tokens_table).where(mine)).scalar_one()


def _scopes(scopes: Iterable[str]) -> tuple[Permission, ...]:
    wanted = set(scopes)
    if unknown := wanted - set(PERMISSIONS):
        raise WrongToken(f"{min(unknown)!r:.60} is no scope; use some of {', '.join(PERMISSIONS)}", "scopes")
    if not wanted:
        raise WrongToken(f"a token needs at least one scope of {', '.join(PERMISSIONS)}", "scopes")
    return tuple(scope for scope in PERMISSIONS if scope in wanted)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _token(row: Row[Any]) -> ApiToken:
    return ApiToken(
        token_id=row.token_id,
        account=row.account,
        label=row.label,
        scopes=tuple(scope for scope in PERMISSIONS if scope in row.scopes.split()),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
        uses_unknown_before=row.uses_unknown_before,
    )
