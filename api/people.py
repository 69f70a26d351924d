"""Accounts, for superusers; and everybody's own password."""

from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from accounts.directory import Account
from accounts.identity import Role
from api.audit import address_of, note_change
from api.changes import etag
from api.cursors import After, Limit, cursor_of, parts_of
from api.first_answers import Deed
from api.identify import Administrator, DeskHere, Person
from api.once import Administering, Done, MakingAccounts
from api.rendering import rendered
from api.texts import StorableText

router = APIRouter(prefix="/api/v1", tags=["people"])


class AccountDocument(TypedDict):
    """An account, and what opens it: `password`, `openid`, or both. `version` is what a change may expect, the ETag."""

    name: str
    role: Role
    is_active: bool
    signs_in_by: list[str]
    created_at: datetime
    version: int


class AccountPage(TypedDict):
    """A page of the list; `next` is the `after` of the page behind it, null on the last one."""

    accounts: list[AccountDocument]
    total: int
    next: str | None


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


@router.get("/accounts", summary="The accounts, by name", response_model=AccountPage)
def list_accounts(desk: DeskHere, _: Administrator, after: After = None, limit: Limit = 50) -> Response:
    """Return a page of all accounts, closed ones too."""
    page = desk.directory.page(limit=limit, after="" if after is None else parts_of("accounts", after, 1)[0])
    behind = None if page.next is None else cursor_of("accounts", [page.next])
    return rendered(AccountPage(accounts=[_account(each) for each in page.accounts], total=page.total, next=behind))


@router.get("/accounts/{name}", summary="One account", response_model=AccountDocument)
def get_account(desk: DeskHere, _: Administrator, name: StorableText) -> Response:
    """Return the account; its ETag is what a change may expect."""
    account = desk.directory.get(name)
    return rendered(_account(account), headers={"ETag": etag(account.version)})


@router.post("/accounts", summary="Make an account", status_code=201, response_model=AccountDocument)
def create_account(order: MakingAccounts, new: NewAccount) -> Response:
    """Make an account; its name is kept in lower case."""

    def create(deed: Deed) -> Done:
        directory = order.desk.directory.within(deed.writing)
        account = directory.create(new.name, new.role, password=new.password)
        return Done(
            status=201,
            noted=f"account {account.name} made as {account.role}",
            document=_account(account),
            version=account.version,
            location=f"/api/v1/accounts/{account.name}",
        )

    arguments = {"role": new.role, "password": order.told_apart(new.password)}
    return order.once("create account", new.name, arguments, create)


@router.patch("/accounts/{name}", summary="Change an account", response_model=AccountDocument)
def change_account(order: Administering, name: StorableText, changed: ChangedAccount) -> Response:
    """Give it another role, close it, or open it again. A closed one's sessions are over."""

    def change(deed: Deed) -> Done:
        directory = order.desk.directory.within(deed.writing)
        account = directory.change(
            name, role=changed.role, is_active=changed.is_active, expected_version=order.expected_version
        )
        if changed.openid_only:
            directory.invite(name)
            account = directory.get(name)
        said = f"account {account.name} is {account.role}, {'open' if account.is_active else 'closed'}"
        return Done(
            status=200,
            noted=f"{said}, and waits for the identity provider" if changed.openid_only else said,
            document=_account(account),
            version=account.version,
        )

    return order.once("change account", name, changed.model_dump(), change)


@router.post("/accounts/{name}/password", summary="Set somebody's password", status_code=204, response_class=Response)
def set_password(order: Administering, name: StorableText, new: NewPassword) -> Response:
    """Set it, and end all sessions of the account."""

    def write(deed: Deed) -> Done:
        directory = order.desk.directory.within(deed.writing)
        directory.set_password(name, new.password, expected_version=order.expected_version)
        account = directory.get(name)
        return Done(status=204, noted=f"password of {account.name} set", version=account.version)

    return order.once("set password", name, {"password": order.told_apart(new.password)}, write)


@router.delete(
    "/accounts/{name}/sessions", summary="Sign somebody out everywhere", status_code=204, response_class=Response
)
def end_sessions(order: Administering, name: StorableText) -> Response:
    """End all sessions of the account; its password and its API tokens stay."""

    def end(deed: Deed) -> Done:
        directory = order.desk.directory.within(deed.writing)
        directory.end_sessions(name, expected_version=order.expected_version)
        return Done(status=204, noted=f"sessions of {directory.get(name).name} ended")

    return order.once("end sessions", name, {}, end)


@router.post("/me/password", summary="Change my password", status_code=204)
def change_own_password(request: Request, desk: DeskHere, identity: Person, new: OwnNewPassword) -> None:
    """Set it, and end all my sessions, this one too. The current one is asked for, and guesses are counted.

    A repeated request can do no harm: its session is over.
    """
    desk.check_password(identity.name, new.current_password, address=address_of(request))
    desk.directory.set_password(identity.name, new.password)
    note_change(request, f"password of {identity.name} set")


def _account(account: Account) -> AccountDocument:
    return AccountDocument(
        name=account.name,
        role=account.role,
        is_active=account.is_active,
        signs_in_by=list(account.signs_in_by),
        created_at=account.created_at,
        version=account.version,
    )
