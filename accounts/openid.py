"""Signing in with the company's identity provider: begun here, done there, finished here.

What was begun is kept in a cookie of this one browser, signed and short-lived: an answer that another browser began, or
that comes twice, opens nothing (login CSRF, replays). Accounts are known by the provider's issuer and subject, which
never change; a name only says how a new account is called.
"""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from accounts.desk import Desk
from accounts.directory import Account
from accounts.errors import (
    AccountExists,
    NameTaken,
    NoNameGiven,
    NotInvited,
    ProviderUnavailable,
    SignInDenied,
    SignInNotBegun,
    WrongAccountName,
)
from accounts.identity import Identity
from accounts.openid_people import PeopleRules
from accounts.openid_provider import OpenIdProvider, known_error
from accounts.origin import own_address

BEGUN_COOKIE: Final = "usersplit_openid"
BEGUN_SECONDS: Final = 600
"""How long somebody may take at the provider."""

_SALT: Final = "usersplit.openid.1"
_LONGEST_TARGET: Final = 1000
"""A cookie holds 4 KiB; an address that is longer than this is not led back to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A sign-in that was begun: where the browser goes, and what it keeps meanwhile."""

    url: str
    cookie: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the provider sends back through the browser: anybody could have written it."""

    state: str = ""
    code: str = ""
    error: str = ""
    issuer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A sign-in that is done: who it is, the value of the session's cookie, where the person wanted to go."""

    identity: Identity
    cookie: str
    target: str


class OpenIdDesk:
    """The desk for people whom the identity provider knows. Safe to share between threads; it may block for seconds.

    Args:
        desk: opens the sessions.
        provider: says who people are.
        people: whom its word lets in.
        public_url: under which address browsers see us.
        callback: the path that the provider leads back to.
        label: how the provider is called on the sign-in page.
        signs_out: whether signing out here leads to signing out there.
    """

    def __init__(
        self,
        desk: Desk,
        provider: OpenIdProvider,
        people: PeopleRules,
        *,
        public_url: str,
        callback: str,
        label: str = "your company account",
        signs_out: bool = False,
    ) -> None:
        self.label = label
        self.signs_out = signs_out
        self.issuer = provider.issuer
        self._desk = desk
        self._provider = provider
        self._people = people
        self._public_url = public_url
        self._redirect_uri = public_url + callback
        self._keys = desk.sessions.keys

    def begin(self, target: str) -> Begun:
        """Begin; `target` is where the person wants to go afterwards, on this site or it is forgotten.

        Raises:
            ProviderUnavailable: the provider cannot be asked where people sign in.
        """
        state, nonce, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48)
        url = self._provider.sign_in_url(redirect_uri=self._redirect_uri, state=state, nonce=nonce, verifier=verifier)
        kept = own_address(target) if len(target) <= _LONGEST_TARGET else "/"
        return Begun(url=url, cookie=self._keys.sign([state, nonce, verifier, kept], salt=_SALT))

    def finish(self, cookie: str, answer: Answer) -> Finished:
        """Return who came back, with a new session.

        Raises:
            SignInFailed: by one of its kinds.
            LastSuperuser: the provider takes the role from the last superuser.
        """
        nonce, verifier, target = self._begun(cookie, answer.state)
        if answer.issuer and answer.issuer != self.issuer:  # RFC 9207: another provider's answer
            raise SignInNotBegun
        if answer.error or not answer.code:
            raise SignInDenied(known_error(answer.error))
        claims = self._provider.claims_of(answer.code, redirect_uri=self._redirect_uri, nonce=nonce, verifier=verifier)
        account, provider_session = self._account(claims), claims.get("sid")
        identity, session = self._desk.open_session(
            account,
            issuer=self.issuer,
            provider_session=provider_session if isinstance(provider_session, str) else "",
        )
        return Finished(identity=identity, cookie=session, target=target)

    def sign_out_url(self) -> str:
        """Return where people go who signed out here: to the provider, if it has a place for that."""
        back_to = f"{self._public_url}/login"
        try:
            return self._provider.sign_out_url(back_to=back_to) or back_to
        except ProviderUnavailable:
            return back_to

    def sign_out_by_provider(self, logout_token: str) -> list[str]:
        """End what the provider says is over, without the person's browser; return whose sessions ended.

        Raises:
            WrongLogoutToken: it is not the provider's word, or was used before.
            ProviderUnavailable: its keys cannot be asked for.
        """
        return self._desk.provider_sessions.end(self.issuer, self._provider.logout_of(logout_token))

    def _begun(self, cookie: str, state: str) -> tuple[str, str, str]:
        match self._keys.read(cookie, salt=_SALT, seconds=BEGUN_SECONDS):
            case [str(expected), str(nonce), str(verifier), str(target)]:
                if hmac.compare_digest(expected.encode(), state.encode("utf-8", "replace")):
                    return nonce, verifier, target
        raise SignInNotBegun

    def _account(self, claims: Mapping[str, Any]) -> Account:
        subject = str(claims["sub"])
        known = self._desk.directory.with_subject(self.issuer, subject) or self._invited(claims, subject)
        if known is None:
            return self._made(claims, subject)
        if not known.is_active:
            return known  # it opens no session, whatever role it would have
        role = self._people.role_in(claims)
        return known if role in {None, known.role} else self._desk.directory.change(known.name, role=role)

    def _invited(self, claims: Mapping[str, Any], subject: str) -> Account | None:
        """Return the account that a superuser made for the person: by name, without a password, and not taken yet."""
        try:
            name = self._people.name_in(claims)
        except NoNameGiven:
            return None
        return self._desk.directory.take_invitation(name, issuer=self.issuer, subject=subject)

    def _made(self, claims: Mapping[str, Any], subject: str) -> Account:
        name = self._people.name_in(claims)
        role = self._people.role_in(claims) or self._people.default_role
        if not self._people.makes_accounts or role is None:
            raise NotInvited(name)
        try:
            return self._desk.directory.create_for_subject(name, role, issuer=self.issuer, subject=subject)
        except WrongAccountName as error:
            raise NoNameGiven(self._people.name_claim) from error
        except AccountExists as error:
            # Perhaps the same person made it a moment ago, in another tab.
            known = self._desk.directory.with_subject(self.issuer, subject)
            if known is None:
                raise NameTaken(name) from error
            return known
