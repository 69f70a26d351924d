"""API tokens: everybody's own; and for superusers everybody's."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from accounts.errors import NotByToken
from accounts.identity import Identity, Permission
from accounts.tokens import ApiToken, TokenPlace
from api.changes import etag
from api.cursors import After, Limit, cursor_of, moment_of, parts_of
from api.first_answers import Deed
from api.identify import DeskHere, Evaluator
from api.once import Done, MakingTokens, Revoking
from api.rendering import rendered
from api.texts import AwareMoment, StorableText

router = APIRouter(prefix="/api/v1/tokens", tags=["people"])


class TokenDocument(TypedDict):
    """An API token, without its secret. `version` is what revoking it may expect; the ETag as well.

    `last_used_at` is when it was sent last, to the hour, and null where it never was. Uses of a token that is older
    than this field were noted from `uses_unknown_before` on; it is null for every other.
    """

    token_id: str
    account: str
    label: str
    scopes: list[Permission]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    uses_unknown_before: datetime | None
    version: int


class ShownToken(TokenDocument):
    """A new API token with its secret `token`: shown now, and never again.

    `token` is null where the request was answered before, by its Idempotency-Key: who lost that answer revokes this
    token, and makes another.
    """

    token: str | None


class TokenPage(TypedDict):
    """A page of the list; `next` is the `after` of the page behind it, null on the last one."""

    tokens: list[TokenDocument]
    total: int
    next: str | None


class NewToken(BaseModel):
    """An API token to be made: what it is for, what it may at most, and when it ends (null: never)."""

    model_config = ConfigDict(extra="forbid")

    label: str
    scopes: list[Permission] = Field(min_length=1, max_length=20)
    expires_at: AwareMoment | None = None


@router.get("", summary="My API tokens, the newest first", response_model=TokenPage)
def list_tokens(
    desk: DeskHere,
    identity: Evaluator,
    everybody: Annotated[bool, Query(description="Those of all accounts; for superusers")] = False,  # noqa: FBT002 - a query has names
    after: After = None,
    limit: Limit = 50,
) -> Response:
    """Return a page of them, without their secrets; to a token only with the scope `administer`."""
    if everybody:
        identity.require("administer")
    elif identity.token_id and not identity.may("administer"):
        raise NotByToken(identity.name)
    place = None if after is None else _place(after)
    page = desk.tokens.page(None if everybody else identity.name, limit=limit, after=place)
    behind = None if page.next is None else cursor_of("tokens", [page.next.created_at.isoformat(), page.next.token_id])
    return rendered(TokenPage(tokens=[_token(each) for each in page.tokens], total=page.total, next=behind))


@router.get("/{token_id}", summary="One API token", response_model=TokenDocument)
def get_token(desk: DeskHere, identity: Evaluator, token_id: StorableText) -> Response:
    """Return the token, without its secret. A token can see itself, and no other."""
    token = desk.tokens.get(token_id, account=_owner(identity, token_id))
    return rendered(_token(token), headers={"ETag": etag(token.version)})


@router.post("", summary="Make an API token", status_code=201, response_model=ShownToken)
def create_token(order: MakingTokens, new: NewToken) -> Response:
    """Make a token that speaks for you. Its secret is in this answer and nowhere else, not even in a repeated one."""

    def create(deed: Deed) -> Done:
        token, text = order.desk.tokens.within(deed.writing).create(
            order.identity.name, label=new.label, scopes=new.scopes, expires_at=new.expires_at
        )
        return Done(
            status=201,
            noted=f"token {token.token_id} made with the scopes {' '.join(token.scopes)}",
            document=ShownToken(token=text, **_token(token)),
            again=ShownToken(token=None, **_token(token)),
            version=token.version,
            location=f"/api/v1/tokens/{token.token_id}",
        )

    return order.once("create token", "", new.model_dump(), create)


@router.delete("/{token_id}", summary="Revoke an API token", status_code=204, response_class=Response)
def revoke_token(order: Revoking, token_id: StorableText) -> Response:
    """Take a token back, for good; superusers anybody's. A token can be its own end, and no other's."""
    owner = _owner(order.identity, token_id)

    def revoke(deed: Deed) -> Done:
        tokens = order.desk.tokens.within(deed.writing)
        tokens.revoke(token_id, account=owner, expected_version=order.expected_version)
        return Done(status=204, noted=f"token {token_id} revoked")

    return order.once("revoke token", token_id, {}, revoke)


def _owner(identity: Identity, token_id: str) -> str | None:
    """Return whose token it has to be, None: anybody's.

    Raises:
        NotByToken: a token asks for another one.
    """
    if identity.may("administer"):
        return None
    if identity.token_id not in {"", token_id}:
        raise NotByToken(identity.name)
    return identity.name


def _place(cursor: str) -> TokenPlace:
    moment, token_id = parts_of("tokens", cursor, 2)
    return TokenPlace(created_at=moment_of(moment), token_id=token_id)


def _token(token: ApiToken) -> TokenDocument:
    return TokenDocument(
        token_id=token.token_id,
        account=token.account,
        label=token.label,
        scopes=list(token.scopes),
        created_at=token.created_at,
        expires_at=token.expires_at,
        revoked_at=token.revoked_at,
        last_used_at=token.last_used_at,
        uses_unknown_before=token.uses_unknown_before,
        version=token.version,
    )
