"""What can be wrong with who somebody is, or with what they want to do.

AccountsError
├── NotSignedIn        nobody, or a session or token that is not valid (any more)
├── WrongPassword      no account of that name has that password
├── TooManyAttempts    too many wrong passwords lately
├── NotAllowed         the role, or the token's scopes, do not include it
├── NotByToken         a person does this, an API token does not
├── CrossSite          a browser was made to ask by a page of somebody else
├── AccountExists      the name is taken
├── NoSuchAccount      there is no account of that name
├── WrongAccountName   a name that cannot be one
├── WeakPassword       a password that is too short, or too long
├── UnknownRole        a role that does not exist
├── LastSuperuser      nobody could administer any more
├── NoSuchToken        there is no such API token, or it is another person's
├── WrongToken         an API token that cannot be made so
├── WrongLogoutToken   what says that a session at the identity provider is over cannot be trusted
└── SignInFailed       the company's identity provider did not say who it is, or whom it names is not let in
    ├── SignInDenied         it said no, or the person did
    ├── SignInNotBegun       the answer belongs to no sign-in that this browser began lately
    ├── ProviderUnavailable  it does not answer, or not as OpenID Connect has it
    ├── WrongIdToken         what it says of the person cannot be trusted
    ├── NoNameGiven          it does not say how the account is to be called
    ├── NoRoleGiven          it gives the person none of the roles that count here
    ├── NotInvited           nobody made an account for the person
    ├── NameTaken            an account of that name is opened by something else
    └── AccountClosed        the account was closed
"""

from collections.abc import Iterable
from datetime import datetime


class AccountsError(Exception):
    """The root of this room's errors. Nothing was changed."""


class NotSignedIn(AccountsError):
    """It is not known who asks."""

    def __init__(self, detail: str) -> None:
        super().__init__(f"{detail}; sign in, or send an API token as Authorization: Bearer …")


class WrongPassword(AccountsError):
    """The same for an unknown name, a wrong password and a closed account: a stranger learns nothing of names."""

    def __init__(self) -> None:
        super().__init__("the name or the password is wrong; try again, or ask a superuser to set a new password")


class TooManyAttempts(AccountsError):
    """Guessing is made slow."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(f"too many wrong passwords; try again in {retry_after_seconds} s")
        self.retry_after_seconds = retry_after_seconds


class NotAllowed(AccountsError):
    """It is known who asks, and that person may not."""

    def __init__(self, name: str, permission: str, detail: str) -> None:
        super().__init__(f"{name} may not {permission}: {detail}; ask a superuser for it")
        self.permission = permission


class NotByToken(AccountsError):
    """A token can be in anybody's hands, say in a page's source: it gets no hold on its owner's account."""

    def __init__(self, name: str) -> None:
        super().__init__(f"this is for {name} in person, and not for an API token; sign in for it")


class CrossSite(AccountsError):
    """A cookie is sent whoever made the browser ask; so changes are taken from our own pages only."""

    def __init__(self) -> None:
        super().__init__("the request comes from another site; use UserSplit's own pages, or an API token")


class AccountExists(AccountsError):
    """Names are unique, whatever the case of their letters."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is an account {name!r} already; choose another name")


class NoSuchAccount(AccountsError):
    """There is no account of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no account {name!r:.120}; check the name")


class WrongAccountName(AccountsError):
    """The name cannot be an account's."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name!r:.120} cannot be the name of an account; use 1 to 100 letters, digits and . _ - + @, such as "
            "ann or ann@example.com"
        )


class WeakPassword(AccountsError):
    """Length is what makes a password strong."""

    def __init__(self, least: int, most: int) -> None:
        super().__init__(f"a password has {least} to {most} characters; take a sentence rather than a word")


class UnknownRole(AccountsError):
    """There is no such role."""

    def __init__(self, role: str, known: Iterable[str]) -> None:
        super().__init__(f"{role!r:.60} is no role; use one of {', '.join(known)}")


class LastSuperuser(AccountsError):
    """One superuser must remain, or nobody could let anybody in."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is the last superuser; make another one first")


class NoSuchToken(AccountsError):
    """There is no such API token among this person's."""

    def __init__(self, token_id: str) -> None:
        super().__init__(f"there is no API token {token_id!r:.60} of yours; list them to see their ids")


class WrongToken(AccountsError):
    """An API token that cannot be made like that. `about` is what is wrong: label, scopes, expires_at or number."""

    def __init__(self, detail: str, about: str) -> None:
        super().__init__(detail)
        self.about = about


class WrongLogoutToken(AccountsError):
    """A forged, damaged, outdated or misdirected word that somebody signed out at the identity provider."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"the logout token cannot be trusted ({what}); only the identity provider sends one, and each once"
        )


class SignInFailed(AccountsError):
    """The identity provider does not say who signs in, or the person is not let in."""

    advice = "start again from the sign-in page"

    def __init__(self, detail: str) -> None:
        super().__init__(f"signing in did not work: {detail}; {self.advice}")


class SignInDenied(SignInFailed):
    """The provider refused, or the person pressed "no" there. `reason` is one word of the protocol."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the identity provider said {reason}")


class SignInNotBegun(SignInFailed):
    """No cookie of ours, another one's answer, an old one, or one that was used: the answer may be somebody else's."""

    def __init__(self) -> None:
        super().__init__("this browser did not begin it, began another one since, or began it too long ago")


class ProviderUnavailable(SignInFailed):
    """The fault is not the person's."""

    advice = "try again in a moment; if it stays so, tell an operator"

    def __init__(self, what: str) -> None:
        super().__init__(f"the identity provider {what}")


class WrongIdToken(SignInFailed):
    """A forged, damaged, outdated or misdirected answer; or clocks that differ by more than a minute."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the identity provider's answer cannot be trusted ({what})")


class NoNameGiven(SignInFailed):
    """The claim is missing, or cannot be the name of an account."""

    advice = "an operator can set USERSPLIT_OPENID_NAME_CLAIM or USERSPLIT_OPENID_SCOPES"

    def __init__(self, claim: str) -> None:
        super().__init__(f"the identity provider gives no {claim!r} that can be the name of an account")


class NoRoleGiven(SignInFailed):
    """Roles come from a claim, and what it says stands for none of ours."""

    advice = "ask who keeps the groups at your identity provider"

    def __init__(self, claim: str) -> None:
        super().__init__(f"nothing in your {claim!r} stands for a role here")


class NotInvited(SignInFailed):
    """People without an account do not get one by signing in."""

    advice = "ask a superuser to make one"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no account for {name!r:.120}")


class NameTaken(SignInFailed):
    """An account is not given away by its name: whoever chooses names at the provider could take anybody's."""

    advice = "if it is yours, ask a superuser to let the identity provider open it"

    def __init__(self, name: str) -> None:
        super().__init__(f"the account {name!r:.120} is there, and is opened by something else")


class AccountClosed(SignInFailed):
    """It was switched off here; what the identity provider says does not switch it on."""

    advice = "ask a superuser to open it"

    def __init__(self, name: str) -> None:
        super().__init__(f"the account {name} is closed")


def said_of_expiry(expired_at: datetime) -> str:
    """Return the sentence that a token has ended."""
    return f"the API token expired at {expired_at:%Y-%m-%d %H:%M} UTC"
