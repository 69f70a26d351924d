"""What can be wrong with who somebody is, or with what they want to do.

AccountsError
├── NotSignedIn        nobody, or a session or token that is not valid (any more)
├── WrongPassword      no account of that name has that password
├── TooManyAttempts    too many wrong passwords lately
├── NotAllowed         the role, or the token's scopes, do not include it
├── CrossSite          a browser was made to ask by a page of somebody else
├── AccountExists      the name is taken
├── NoSuchAccount      there is no account of that name
├── WrongAccountName   a name that cannot be one
├── WeakPassword       a password that is too short, or too long
├── UnknownRole        a role that does not exist
├── LastSuperuser      nobody could administer any more
├── NoSuchToken        there is no such API token, or it is another person's
├── WrongToken         an API token that cannot be made so
└── SignInFailed       the company's identity provider did not say who it is
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
    """An API token that cannot be made like that."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)


class SignInFailed(AccountsError):
    """The identity provider's answer does not say who signs in."""

    def __init__(self, detail: str) -> None:
        super().__init__(f"signing in did not work: {detail}; start again from the sign-in page")


def said_of_expiry(expired_at: datetime) -> str:
    """Return the sentence that a token has ended."""
    return f"the API token expired at {expired_at:%Y-%m-%d %H:%M} UTC"
