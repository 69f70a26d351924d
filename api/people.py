"""Accounts, for superusers; and API tokens, for everybody their own."""

from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from accounts.desk import Desk
from accounts.directory import Account
from accounts.errors import NotByToken
from accounts.identity import Permission, Role
from accounts.tokens import ApiToken
from api.audit import address_of, note_change
from api.identify import Administrator, Evaluator, Person
from api.texts import AwareMoment, StorableText

router = APIRouter(prefix="/api/v1", tags=["people"])


async def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


DeskHere: TypeAlias = Annotated[Desk, Depends(_desk)]


class AccountDocument(BaseModel):
    """An account, and what opens it: `password`, `openid`, or both."""

    name: str
    role: Role
    is_active: bool
    signs_in_by: list[str]
    created_at: datetime


class NewAccount(BaseModel):
    """An account to be made; without a password it is opened by the identity provider alone."""

    model_config = ConfigDict(extra="forbid")

    name: str
    role: Role = "viewer"
    password: str | None = Field(default=None, max_length=1000)


class ChangedAccount(BaseModel):
    """What changes of an account; what is absent stays."""

    model_config = ConfigDict(extra="forbid")

    role: Role | None = None
    is_active: bool | None = None
    openid_only: Literal[True] | None = Field(
        default=None, description="Take its password away: the first who has its name at the identity provider opens it"
    )


class NewPassword(BaseModel):
    """A password to be set."""

    model_config = ConfigDict(extra="forbid")

    password: str = Field(max_length=1000)


class OwnNewPassword(NewPassword):
    """My new password, and the one until now."""

    current_password: str = Field(max_length=1000)


class TokenDocument(BaseModel):
    """An API token, without its secret."""

    token_id: str
    account: str
    label: str
    scopes: list[Permission]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class NewToken(BaseModel):
    """An API token to be made: what it is for, what it may at most, and when it ends (null: never)."""

    model_config = ConfigDict(extra="forbid")

    label: str
    scopes: list[Permission] = Field(min_length=1, max_length=20)
    expires_at: AwareMoment | None = None


class ShownToken(TokenDocument):
    """A new API token with its secret `token`: shown now, and never again."""

    token: str


@router.get("/accounts", summary="All accounts")
def list_accounts(desk: DeskHere, _: Administrator) -> list[AccountDocument]:
    """Return every account, closed ones too."""
    return [_account(account) for account in desk.directory.all()]


@router.post("/accounts", summary="Make an account", status_code=201)
def create_account(request: Request, desk: DeskHere, _: Administrator, new: NewAccount) -> AccountDocument:
    """Make an account; its name is kept in lower case."""
    account = desk.directory.create(new.name, new.role, password=new.password)
    note_change(request, f"account {account.name} made as {account.role}")
    return _account(account)


@router.patch("/accounts/{name}", summary="Change an account")
def change_account(
    request: Request, desk: DeskHere, _: Administrator, name: StorableText, changed: ChangedAccount
) -> AccountDocument:
    """Give it another role, close it, or open it again. A closed one's sessions are over."""
    account = desk.directory.change(name, role=changed.role, is_active=changed.is_active)
    if changed.openid_only:
        desk.directory.invite(name)
        note_change(request, f"account {account.name} waits for the identity provider")
        account = desk.directory.get(name)
    note_change(request, f"account {account.name} is {account.role}, {'open' if account.is_active else 'closed'}")
    return _account(account)


@router.post("/accounts/{name}/password", summary="Set somebody's password", status_code=204)
def set_password(request: Request, desk: DeskHere, _: Administrator, name: StorableText, new: NewPassword) -> None:
    """Set it, and end all sessions of the account."""
    desk.directory.set_password(name, new.password)
    note_change(request, f"password of {name} set")


@router.post("/me/password", summary="Change my password", status_code=204)
def change_own_password(request: Request, desk: DeskHere, identity: Person, new: OwnNewPassword) -> None:
    """Set it, and end all my sessions, this one too. The current one is asked for, and guesses are counted."""
    desk.check_password(identity.name, new.current_password, address=address_of(request))
    desk.directory.set_password(identity.name, new.password)
    note_change(request, f"password of {identity.name} set")


@router.get("/tokens", summary="My API tokens")
def list_tokens(
    desk: DeskHere,
    identity: Evaluator,
    everybody: Annotated[bool, Query(description="Those of all accounts; for superusers")] = False,  # noqa: FBT002 - a query has names
) -> list[TokenDocument]:
    """Return the tokens, the newest first, without their secrets; to a token only with the scope `administer`."""
    if everybody:
        identity.require("administer")
    elif identity.token_id and not identity.may("administer"):
        raise NotByToken(identity.name)
    return [_token(token) for token in desk.tokens.of(None if everybody else identity.name)]


@router.post("/tokens", summary="Make an API token", status_code=201)
def create_token(request: Request, desk: DeskHere, identity: Person, new: NewToken) -> ShownToken:
    """Make a token that speaks for you. Its text is in this answer and nowhere else."""
    token, text = desk.tokens.create(identity.name, label=new.label, scopes=new.scopes, expires_at=new.expires_at)
    note_change(request, f"token {token.token_id} made with the scopes {' '.join(token.scopes)}")
    return ShownToken(token=text, **_token(token).model_dump())


@router.delete("/tokens/{token_id}", summary="Revoke an API token", status_code=204)
def revoke_token(request: Request, desk: DeskHere, identity: Evaluator, token_id: StorableText) -> None:
    """Take a token back, for good; superusers anybody's. A token can be its own end, and no other's."""
    if identity.token_id not in {"", token_id} and not identity.may("administer"):
        raise NotByToken(identity.name)
    desk.tokens.revoke(token_id, account=None if identity.may("administer") else identity.name)
    note_change(request, f"token {token_id} revoked")


def _account(account: Account) -> AccountDocument:
    return AccountDocument(
        name=account.name,
        role=account.role,
        is_active=account.is_active,
        signs_in_by=list(account.signs_in_by),
        created_at=account.created_at,
    )


def _token(token: ApiToken) -> TokenDocument:
    return TokenDocument(
        token_id=token.token_id,
        account=token.account,
        label=token.label,
        scopes=list(token.scopes),
        created_at=token.created_at,
        expires_at=token.expires_at,
        revoked_at=token.revoked_at,
    )
