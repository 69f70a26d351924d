"""The desk at the entrance: takes passwords, sessions and tokens, and says who it is."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Engine

from accounts.attempts import Attempts, network_of
from accounts.directory import Account, AccountDirectory
from accounts.errors import AccountClosed, NotSignedIn, WrongPassword
from accounts.identity import Identity
from accounts.passwords import Passwords
from accounts.provider_sessions import ProviderSessions
from accounts.remembered import RememberedSessions, RememberedTokens
from accounts.revision import Revision
from accounts.sessions import Sessions, new_session
from accounts.signing import SigningKeys, kept_keys
from accounts.token_uses import TokenUses
from accounts.tokens import ApiTokens


class Desk:
    """Everything about who somebody is, over one database. Safe to share between threads.

    Args:
        engine: the database.
        now: the clock.
        monotonic: the clock that never jumps, for rate limits.
        passwords: makes and compares hashes.
        session_secrets: sign sessions, the newest first; none: those that the database keeps.
        session_seconds: how long a session lasts.
        over_https: whether browsers come by https alone.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        passwords: Passwords | None = None,
        session_secrets: Sequence[str] = (),
        session_seconds: int = 7 * 24 * 3600,
        over_https: bool = False,
    ) -> None:
        self.engine = engine
        self._now = now
        self.revision = Revision()
        self.passwords = passwords or Passwords()
        self.directory = AccountDirectory(engine, self.passwords, now, self.revision)
        self.provider_sessions = ProviderSessions(engine, self.directory, now, self.revision)
        self.tokens = ApiTokens(engine, now, self.revision)
        self.token_uses = TokenUses(engine, now)
        self._known_tokens = RememberedTokens(
            self.tokens, self.revision, used=self.token_uses.note, now=now, monotonic=monotonic
        )
        self._known_sessions = RememberedSessions(self.identity_of_session, self.revision, monotonic=monotonic)
        keys = SigningKeys(lambda: session_secrets or kept_keys(engine), monotonic)
        self.sessions = Sessions(keys, seconds=session_seconds, over_https=over_https)
        self._attempts = Attempts(monotonic)

    def sign_in(self, name: str, password: str, *, address: str) -> tuple[Identity, str]:
        """Return who it is and the value of the session's cookie.

        Raises:
            WrongPassword: no open account has this name and password.
            TooManyAttempts: too many wrong ones lately, for this name or from this address.
        """
        return self.open_session(self.check_password(name, password, address=address))

    def check_password(self, name: str, password: str, *, address: str) -> Account:
        """Return the account that a name and its password open.

        Raises:
            WrongPassword, TooManyAttempts: see `sign_in`.
        """
        by_name, by_address = f"name {name.strip().lower()[:100]}", f"address {network_of(address)}"
        self._attempts.begin(by_name, by_address)
        account = self.directory.with_password(name, password)
        if account is None:
            raise WrongPassword
        self._attempts.note_right(by_name, by_address)
        return account

    def open_session(self, account: Account, *, issuer: str = "", provider_session: str = "") -> tuple[Identity, str]:
        """Return the identity of an account whose owner was recognized, and the value of the session's cookie.

        With the `provider_session` that an identity provider named, it ends when the provider says that one is over.

        Raises:
            AccountClosed: the account is closed.
        """
        if not account.is_active:
            raise AccountClosed(account.name)
        session = new_session(account.name, account.session_epoch)
        if provider_session:
            self.provider_sessions.note(
                session.session_id,
                account=account.name,
                issuer=issuer,
                session=provider_session,
                until=self._latest_end(),
            )
        return Identity(name=account.name, role=account.role), self.sessions.write(session)

    def identity_of_session(self, cookie: str) -> Identity | None:
        """Return who signed in with this cookie's session, None if it is forged or over. It asks the database."""
        session = self.sessions.read(cookie)
        if session is None:
            return None
        account = self.directory.of_session(session.name, session.session_id)
        if account is None or not account.is_active or account.session_epoch != session.epoch:
            return None
        return Identity(name=account.name, role=account.role)

    def sign_out(self, cookie: str, *, everywhere: bool = False) -> Identity | None:
        """End the session of this cookie, or all of its account; return whose it was, None if it was over already."""
        session, identity = self.sessions.read(cookie), self.identity_of_session(cookie)
        if session is None or identity is None:
            return None
        if everywhere:
            self.directory.end_sessions(identity.name)
        else:
            self.directory.end_session(session.session_id, until=self._latest_end())
        return identity

    def _latest_end(self) -> datetime:
        """Return when the cookies that there are now are all too old."""
        return self._now() + timedelta(seconds=self.sessions.seconds)

    def identity_of_token(self, text: str) -> Identity:
        """Return whom an API token speaks for; one that was valid a moment ago is not asked for again.

        Raises:
            NotSignedIn: see `ApiTokens.identity_of`.
        """
        return self._known_tokens.identity_of(text)

    def known(self, *, authorization: str, api_key: str, cookie: str = "") -> Identity | None:
        """Return who sends these headers if that was asked a moment ago, else None. Never blocks."""
        if not authorization and not api_key:
            return self._known_sessions.known(cookie) if cookie else None
        text = api_key
        if authorization:
            scheme, _, credentials = authorization.partition(" ")
            text = credentials.strip() if scheme.lower() == "bearer" else ""
        return self._known_tokens.known(text) if text else None

    def identity_of(self, *, authorization: str, api_key: str, cookie: str) -> Identity:
        """Return who sends these headers: a token wins over a session. Who was known a moment ago is not asked for.

        Raises:
            NotSignedIn: none of them says it.
        """
        scheme, _, credentials = authorization.partition(" ")
        if scheme.lower() == "bearer":
            return self.identity_of_token(credentials.strip())
        if authorization:
            raise NotSignedIn("only Bearer tokens are understood in Authorization")
        if api_key:
            return self.identity_of_token(api_key)
        if not cookie:
            raise NotSignedIn("nobody is signed in")
        identity = self._known_sessions.identity_of(cookie)
        if identity is None:
            raise NotSignedIn("the session is over")
        return identity
